package run

import (
	"cmp"
	"math"
	"testing"
)

func TestRanges(t *testing.T) {
	ints := func(v int) error { return cmp.Or(Within("other", 0, 0, 0), Within("size", v, 2, 5)) }
	reals := func(v float64) error { return Within("rate", v, 1e-9, 1e6) }
	for _, c := range []struct {
		err  error
		want string // "": none
	}{
		{ints(2), ""}, {ints(5), ""}, {ints(1), "size is 1, want 2 to 5"}, {ints(6), "size is 6, want 2 to 5"},
		{reals(1e-9), ""}, {reals(1e6), ""}, {reals(0), "rate is 0, want 1e-09 to 1e+06"},
		{reals(math.NaN()), "rate is NaN, want 1e-09 to 1e+06"}, {reals(math.Inf(1)), "rate is +Inf, want 1e-09 to 1e+06"},
		{OneOf("vm", "tape", []string{"engine", "tape"}), ""},
		{OneOf("vm", "gpu", []string{"engine", "tape"}), `vm is "gpu", want one of engine, tape`},
	} {
		if (c.err == nil) != (c.want == "") || c.err != nil && c.err.Error() != c.want {
			t.Errorf("error %v, want %q", c.err, c.want)
		}
	}
}
