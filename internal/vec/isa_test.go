package vec

import "testing"

// eachISA runs a test with every instruction set that the machine has, plain Go among them.
func eachISA(t *testing.T, f func(t *testing.T)) {
	old := current
	defer func() { current = old }()
	for i, name := range isaNames {
		t.Run(name, func(t *testing.T) {
			if isa(i) > best {
				t.Skipf("this machine or build has no %s", name)
			}
			current = isa(i)
			f(t)
		})
	}
}

func TestChooseISA(t *testing.T) {
	for _, c := range []struct {
		best isa
		name string
		want isa
	}{
		{isaAVX512, "", isaAVX512}, {isaAVX512, "avx2", isaAVX2}, {isaAVX512, "GO", isaGo}, {isaAVX512, "sse9", isaAVX512},
		{isaAVX2, "avx512", isaAVX2}, {isaGo, "avx2", isaGo}, {isaGo, "", isaGo},
	} {
		if got := choose(c.best, c.name); got != c.want {
			t.Errorf("choose(%d, %q) = %d, want %d", c.best, c.name, got, c.want)
		}
	}
	if ISA() != isaNames[current] {
		t.Errorf("ISA() = %s", ISA())
	}
}
