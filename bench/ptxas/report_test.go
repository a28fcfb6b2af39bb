package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/internal/nvrtc"
)

// TestLimits compiles everything for real and holds it to the limits. It takes minutes, so by itself it compiles the
// main programs for one device; `make ptxas` asks for all.
func TestLimits(t *testing.T) {
	if os.Getenv("GODCEM_PTXAS") == "later" {
		t.Skip("not run: GODCEM_PTXAS=later says that `make ptxas` follows")
	}
	lib, err := nvrtc.Open()
	if errors.Is(err, nvrtc.ErrMissing) && os.Getenv("GODCEM_PTXAS") == "" {
		t.Skipf("not run: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	list, archs, all := programs(), []int{75, 80, 86, 89, 90}, os.Getenv("GODCEM_PTXAS") == "all"
	if !all {
		archs = archs[len(archs)-1:]
		list = slices.DeleteFunc(list, func(p program) bool { return !p.main })
	}
	r := compileAll(lib, list, archs)
	var out strings.Builder
	r.print(&out)
	t.Log(out.String())
	if path := filepath.Join("..", "..", "out", "ptxas.json"); all {
		if err := record.Write(path, r); err != nil {
			t.Error(err)
		}
	}
	for _, b := range r.broken() {
		t.Error(b)
	}
	// What was looked at is there.
	dcem := 0
	for _, k := range r.Kernels {
		if k.DCEM {
			dcem++
		}
		if len(k.Archs) == 0 {
			t.Errorf("%s: compiled for no device", k.Name)
		}
	}
	if dcem < 10 || len(r.Kernels) < 100 {
		t.Errorf("%d kernels, %d of them with DCEM's ops: that is not all of them", len(r.Kernels), dcem)
	}
	for _, p := range r.Programs {
		if p.Kernels == 0 || p.Host > 0 && p.Name != "the backends' cases" {
			t.Errorf("%s: %d kernels, %d launches of the host", p.Name, p.Kernels, p.Host)
		}
	}
}

// What was said of a text is said again for it, for the same device and text alone, and nothing else is believed.
func TestKept(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(keptEnv, dir)
	plans, err := programs()[0].plans()
	if err != nil {
		t.Fatal(err)
	}
	e, err := emit.New(plans[0], emit.Options{SMs: sms[90]})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, k := range e.Kernels {
		for _, arch := range []int{80, 90} {
			id, err := key(k, arch)
			if err != nil {
				t.Fatal(err)
			}
			ids[id] = true
		}
	}
	if len(ids) != 2*len(e.Kernels) {
		t.Errorf("%d keys of %d kernels for two devices", len(ids), len(e.Kernels))
	}
	first := openKept("1.2")
	first.add("a", usage{Registers: 7})
	first.add("b", usage{Registers: 8})
	first.add("broken", usage{})
	if err := first.save(false); err != nil {
		t.Fatal(err)
	}
	second := openKept("1.2")
	if u, ok := second.find("a"); !ok || u.Registers != 7 {
		t.Errorf("a: %v, %v", u, ok)
	}
	for _, id := range []string{"c", "broken"} {
		if u, ok := second.find(id); ok {
			t.Errorf("%s was never said: %v", id, u)
		}
	}
	if _, ok := openKept("1.3").find("a"); ok {
		t.Error("another compiler's answer is believed")
	}
	if err := second.save(true); err != nil {
		t.Fatal(err)
	}
	if _, ok := openKept("1.2").find("b"); ok {
		t.Error("what nobody wanted is kept")
	}
	if err := os.WriteFile(second.path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if k := openKept("1.2"); len(k.said) != 0 {
		t.Errorf("of a broken file: %v", k.said)
	}
	t.Setenv(keptEnv, "off")
	if k := openKept("1.2"); k.path != "" || k.save(true) != nil {
		t.Errorf("off: %q", k.path)
	}
}

// All devices are in the table, the oldest and the newest with all main programs.
func TestSampleIsThere(t *testing.T) {
	names := map[string]bool{}
	for _, p := range programs() {
		names[p.name] = p.main
		if !p.on(4, 5) || p.on(0, 5) != p.main || !p.on(0, 1) {
			t.Errorf("%s: on the oldest %v, on the newest %v", p.name, p.on(0, 5), p.on(4, 5))
		}
	}
	for _, s := range sample {
		if !names[s] {
			t.Errorf("%s is no main program", s)
		}
	}
}

const log = `ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'k_b' for 'sm_90'
ptxas info    : Function properties for k_b
ptxas         .     800 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 32 registers, used 0 barriers, 800 bytes cumulative stack size
ptxas info    : Compile time = 14.972 ms
ptxas info    : Compiling entry function 'k_a' for 'sm_90'
ptxas info    : Function properties for k_a
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, used 1 barriers, 400 bytes smem, 360 bytes cmem[0]
`

func TestParseLog(t *testing.T) {
	got, err := parseLog(log)
	if err != nil || len(got) != 2 || got["k_a"] != (usage{Registers: 12, Shared: 400}) ||
		got["k_b"] != (usage{Registers: 32, SpillStores: 4, SpillLoads: 8, Stack: 800}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parseLog(strings.Replace(log, "spill", "spell", 4)); err == nil {
		t.Error("a log that does not speak of spills passes")
	}
}

func TestTheLimitsCanFail(t *testing.T) {
	for _, c := range []struct {
		dcem, fused bool
		used        usage
		want        string
	}{
		{true, false, usage{Registers: 128, Shared: 48 << 10}, ""},
		{true, false, usage{}, "no registers"},
		{true, false, usage{Registers: 129}, "129 registers: fewer than 2 blocks of 256 threads"},
		{true, false, usage{Registers: 1, SpillStores: 4}, "4 and 0 bytes spilled"},
		{true, false, usage{Registers: 1, Stack: 16}, "a stack of 16, want at most 0 and 0"},
		{true, false, usage{Registers: 1, Shared: 48<<10 + 1}, "49153 bytes of shared"},
		{true, true, usage{Registers: 255, Stack: 40}, ""},
		{true, true, usage{Registers: 255, SpillLoads: 4, Stack: 8}, "0 and 4 bytes spilled"},
		{true, true, usage{Registers: 255, Stack: 48}, "a stack of 48, want at most 0 and 40"},
		{false, false, usage{Registers: 255, SpillLoads: 9999, Stack: 8 << 10}, ""},
		{false, false, usage{Registers: 255, Stack: 8<<10 + 8}, "a stack of 8200, want at most"},
	} {
		r := &report{Archs: []int{80}, Kernels: []*kernelReport{{Name: "k", DCEM: c.dcem, Alone: !c.fused, Threads: 256,
			Archs: map[int]*usage{80: &c.used}}}}
		got := r.broken()
		if c.want == "" && len(got) > 0 || c.want != "" && !slices.ContainsFunc(got,
			func(s string) bool { return strings.Contains(s, c.want) }) {
			t.Errorf("%+v: %q, want %q", c, got, c.want)
		}
	}
	if got := (&report{Failed: []string{"emit"}}).broken(); len(got) != 1 {
		t.Errorf("what failed is not reported: %q", got)
	}
}
