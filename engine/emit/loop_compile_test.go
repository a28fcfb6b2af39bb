package emit

import (
	"errors"
	"testing"

	"github.com/godcem/godcem/internal/nvrtc"
)

// TestLoopsCompile compiles random loops by NVIDIA's compiler, for the oldest and the newest architecture that is
// supported: the simulated one takes what it would refuse.
func TestLoopsCompile(t *testing.T) {
	l, err := nvrtc.Open()
	if errors.Is(err, nvrtc.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	count := uint64(40)
	if testing.Short() {
		count = 8
	}
	known := map[string]bool{}
	var all []Kernel
	for seed := range count {
		r := newTrial(seed)
		e := &emitter{p: r.p, o: Options{SMs: r.sms, Shared: 48 << 10}, wide: seed%5 == 4}
		parts, err := e.loop(0, r.l)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if q, ok := e.loopRows(0, r.l, 1); ok {
			parts = append(parts, q)
		}
		for i := range parts {
			k, _ := (&group{lanes: []lane{{parts: parts[i : i+1]}}}).kernel()
			if !known[k.Name] {
				known[k.Name] = true
				all = append(all, k)
			}
		}
	}
	text, err := Text(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"sm_75", "sm_90"} {
		if _, log, err := l.Compile("loops", text, "--fmad=false", "--std=c++14", "-default-device", "--diag-suppress=177",
			"-arch="+arch); err != nil {
			t.Errorf("%s: %v\n%s", arch, err, log)
		} else if log != "" {
			t.Errorf("%s: %s", arch, log)
		}
	}
	t.Logf("%d kernels", len(all))
}
