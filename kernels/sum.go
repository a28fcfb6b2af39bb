package kernels

// compensated is a sum with the rounding error of every addition beside it (Knuth's two-sum): good to the last bit of
// the total for any length and any order, where a plain sum of 1e5 equal terms is off by 1e-12. Unlike Kahan's its
// steps wait for only one addition of the step before. It goes by value, which keeps it in registers.
type compensated struct{ hi, lo float64 }

func (c compensated) plus(v float64) compensated {
	s := c.hi + v
	b := s - c.hi
	return compensated{s, c.lo + ((c.hi - (s - b)) + (v - b))}
}

// value returns the sum; it is NaN where hi is infinite or NaN.
func (c compensated) value() float64 { return c.hi + c.lo }

// total is value that keeps an infinite sum: there lo is NaN and is left out.
func (c compensated) total() float64 {
	if c.lo != c.lo {
		return c.hi
	}
	return c.hi + c.lo
}

// less returns the sum minus v, for a v close to it.
func (c compensated) less(v float64) float64 { return (c.hi - v) + c.lo }

// blockSum is the sum of g: short plain sums of 64, whose total is compensated.
func blockSum(g []float64) float64 {
	var total compensated
	for len(g) > 0 {
		b := g[:min(len(g), 64)]
		g = g[len(b):]
		var s0, s1 float64
		for ; len(b) >= 2; b = b[2:] {
			s0 += b[0]
			s1 += b[1]
		}
		if len(b) == 1 {
			s0 += b[0]
		}
		total = total.plus(s0 + s1)
	}
	return total.value()
}
