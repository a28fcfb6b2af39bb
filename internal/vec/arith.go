package vec

import (
	"fmt"
	"math"
)

// binary is dst[i] = f(a[i], b[i]) for n elements, withScalar is dst[i] = f(a[i], s).
type (
	binary[T Float]     func(dst, a, b *T, n int)
	withScalar[T Float] func(dst, a *T, s T, n int)
)

// arithKernels is what an instruction set has for an element type.
type arithKernels[T Float] struct {
	add, sub, mul, div, max, min, lt, le, eq, ne binary[T]
	addS, rsubS, mulS, divS, rdivS, maxS, minS   withScalar[T]
	ltS, leS, gtS, geS, eqS, neS                 withScalar[T]
	neg, abs, sqrt, square, floor, ceil          unary[T]
	choose                                       func(dst, c, a, b *T, n int)
	fill                                         func(dst *T, s T, n int)
	mulAdd                                       func(dst, a, b, c *T, n int)
	mulAddClamp                                  func(dst, a, b, c, lo, hi *T, n int)
}

func arith[T Float]() *arithKernels[T] {
	return of[T](&arithSets32[current], &arithSets64[current]).(*arithKernels[T])
}

// The arithmetic of slices, element by element. The slices are of one length, or the loop panics; dst may be any of the
// others, or lies apart. An element is what Go computes for the one operation, rounded once in T, with any instruction
// set; only which NaN it is may differ.

// Add is a + b.
func Add[T Float](dst, a, b []T) { apply2("Add", arith[T]().add, dst, a, b) }

// Sub is a - b.
func Sub[T Float](dst, a, b []T) { apply2("Sub", arith[T]().sub, dst, a, b) }

// Mul is a * b.
func Mul[T Float](dst, a, b []T) { apply2("Mul", arith[T]().mul, dst, a, b) }

// Div is a / b.
func Div[T Float](dst, a, b []T) { apply2("Div", arith[T]().div, dst, a, b) }

// Max is Go's max(a, b): NaN if either is, and -0 < +0.
func Max[T Float](dst, a, b []T) { apply2("Max", arith[T]().max, dst, a, b) }

// Min is Go's min(a, b): NaN if either is, and -0 < +0.
func Min[T Float](dst, a, b []T) { apply2("Min", arith[T]().min, dst, a, b) }

// AddS is a + s.
func AddS[T Float](dst, a []T, s T) { applyS("AddS", arith[T]().addS, dst, a, s) }

// SubS is a - s.
func SubS[T Float](dst, a []T, s T) { applyS("SubS", arith[T]().addS, dst, a, -s) }

// RSubS is s - a.
func RSubS[T Float](dst, a []T, s T) { applyS("RSubS", arith[T]().rsubS, dst, a, s) }

// MulS is a * s.
func MulS[T Float](dst, a []T, s T) { applyS("MulS", arith[T]().mulS, dst, a, s) }

// DivS is a / s.
func DivS[T Float](dst, a []T, s T) { applyS("DivS", arith[T]().divS, dst, a, s) }

// RDivS is s / a.
func RDivS[T Float](dst, a []T, s T) { applyS("RDivS", arith[T]().rdivS, dst, a, s) }

// MaxS is Go's max(a, s).
func MaxS[T Float](dst, a []T, s T) { applyS("MaxS", arith[T]().maxS, dst, a, s) }

// MinS is Go's min(a, s).
func MinS[T Float](dst, a []T, s T) { applyS("MinS", arith[T]().minS, dst, a, s) }

// Neg is -a: NaN and zeros change their sign too.
func Neg[T Float](dst, a []T) { apply("Neg", arith[T]().neg, dst, a) }

// Abs is |a|, of NaN and zeros too without the sign.
func Abs[T Float](dst, a []T) { apply("Abs", arith[T]().abs, dst, a) }

// Sqrt is the square root, correctly rounded. Sqrt(±0) = ±0, Sqrt(x < 0) = NaN.
func Sqrt[T Float](dst, a []T) { apply("Sqrt", arith[T]().sqrt, dst, a) }

// Square is a * a.
func Square[T Float](dst, a []T) { apply("Square", arith[T]().square, dst, a) }

// Floor is the greatest integer <= a. Floor(±0) = ±0, Floor(±Inf) = ±Inf.
func Floor[T Float](dst, a []T) { apply("Floor", arith[T]().floor, dst, a) }

// Ceil is the least integer >= a. Ceil(±0) = ±0, Ceil(-0.5) = -0, Ceil(±Inf) = ±Inf.
func Ceil[T Float](dst, a []T) { apply("Ceil", arith[T]().ceil, dst, a) }

// Comparisons give 1 where they hold, else 0. With NaN only Ne holds.

// Lt is a < b.
func Lt[T Float](dst, a, b []T) { apply2("Lt", arith[T]().lt, dst, a, b) }

// Le is a <= b.
func Le[T Float](dst, a, b []T) { apply2("Le", arith[T]().le, dst, a, b) }

// Gt is a > b.
func Gt[T Float](dst, a, b []T) { apply2("Gt", arith[T]().lt, dst, b, a) }

// Ge is a >= b.
func Ge[T Float](dst, a, b []T) { apply2("Ge", arith[T]().le, dst, b, a) }

// Eq is a == b.
func Eq[T Float](dst, a, b []T) { apply2("Eq", arith[T]().eq, dst, a, b) }

// Ne is a != b.
func Ne[T Float](dst, a, b []T) { apply2("Ne", arith[T]().ne, dst, a, b) }

// LtS is a < s.
func LtS[T Float](dst, a []T, s T) { applyS("LtS", arith[T]().ltS, dst, a, s) }

// LeS is a <= s.
func LeS[T Float](dst, a []T, s T) { applyS("LeS", arith[T]().leS, dst, a, s) }

// GtS is a > s.
func GtS[T Float](dst, a []T, s T) { applyS("GtS", arith[T]().gtS, dst, a, s) }

// GeS is a >= s.
func GeS[T Float](dst, a []T, s T) { applyS("GeS", arith[T]().geS, dst, a, s) }

// EqS is a == s.
func EqS[T Float](dst, a []T, s T) { applyS("EqS", arith[T]().eqS, dst, a, s) }

// NeS is a != s.
func NeS[T Float](dst, a []T, s T) { applyS("NeS", arith[T]().neS, dst, a, s) }

// Select is a where c != 0 (NaN is), else b.
func Select[T Float](dst, c, a, b []T) {
	if len(dst) != len(c) || len(c) != len(a) || len(a) != len(b) {
		panic(fmt.Sprintf("vec: Select: %d, %d, %d and %d elements, want as many of each", len(dst), len(c), len(a), len(b)))
	}
	if len(dst) > 0 {
		arith[T]().choose(&dst[0], &c[0], &a[0], &b[0], len(dst))
	}
}

// MulAdd is a*b + c, the product rounded before the sum.
func MulAdd[T Float](dst, a, b, c []T) {
	if len(dst) != len(a) || len(a) != len(b) || len(b) != len(c) {
		panic(fmt.Sprintf("vec: MulAdd: %d, %d, %d and %d elements, want as many of each", len(dst), len(a), len(b), len(c)))
	}
	if len(dst) > 0 {
		arith[T]().mulAdd(&dst[0], &a[0], &b[0], &c[0], len(dst))
	}
}

// MulAddClamp is v = a*b + c, the product rounded before the sum, or lo where v < lo, or hi where v > hi: a NaN v stays
// NaN. lo <= hi.
func MulAddClamp[T Float](dst, a, b, c, lo, hi []T) {
	if n := len(dst); n != len(a) || n != len(b) || n != len(c) || n != len(lo) || n != len(hi) {
		panic(fmt.Sprintf("vec: MulAddClamp: %d, %d, %d, %d, %d and %d elements, want as many of each",
			n, len(a), len(b), len(c), len(lo), len(hi)))
	}
	if len(dst) > 0 {
		arith[T]().mulAddClamp(&dst[0], &a[0], &b[0], &c[0], &lo[0], &hi[0], len(dst))
	}
}

// Fill is s.
func Fill[T Float](dst []T, s T) {
	if len(dst) > 0 {
		arith[T]().fill(&dst[0], s, len(dst))
	}
}

func apply2[T Float](name string, f binary[T], dst, a, b []T) {
	if len(dst) != len(a) || len(a) != len(b) {
		panic(fmt.Sprintf("vec: %s: %d, %d and %d elements, want as many of each", name, len(dst), len(a), len(b)))
	}
	if len(dst) > 0 {
		f(&dst[0], &a[0], &b[0], len(dst))
	}
}

func applyS[T Float](name string, f withScalar[T], dst, a []T, s T) {
	if len(dst) != len(a) {
		panic(fmt.Sprintf("vec: %s: len(dst) = %d, want len(a) = %d", name, len(dst), len(a)))
	}
	if len(dst) > 0 {
		f(&dst[0], &a[0], s, len(dst))
	}
}

var (
	arithGo32 = arithGo[float32]()
	arithGo64 = arithGo[float64]()
)

// arithGo is plain Go's set.
func arithGo[T Float]() arithKernels[T] {
	return arithKernels[T]{
		add: func(dst, a, b *T, n int) {
			d, y := from(dst, n), from(b, n)
			for i, x := range from(a, n) {
				d[i] = x + y[i]
			}
		},
		sub: func(dst, a, b *T, n int) {
			d, y := from(dst, n), from(b, n)
			for i, x := range from(a, n) {
				d[i] = x - y[i]
			}
		},
		mul: func(dst, a, b *T, n int) {
			d, y := from(dst, n), from(b, n)
			for i, x := range from(a, n) {
				d[i] = x * y[i]
			}
		},
		div: func(dst, a, b *T, n int) {
			d, y := from(dst, n), from(b, n)
			for i, x := range from(a, n) {
				d[i] = x / y[i]
			}
		},
		max: func(dst, a, b *T, n int) {
			d, y := from(dst, n), from(b, n)
			for i, x := range from(a, n) {
				d[i] = max(x, y[i])
			}
		},
		min: func(dst, a, b *T, n int) {
			d, y := from(dst, n), from(b, n)
			for i, x := range from(a, n) {
				d[i] = min(x, y[i])
			}
		},
		lt: func(dst, a, b *T, n int) {
			d, y := from(dst, n), from(b, n)
			for i, x := range from(a, n) {
				d[i] = truth[T](x < y[i])
			}
		},
		le: func(dst, a, b *T, n int) {
			d, y := from(dst, n), from(b, n)
			for i, x := range from(a, n) {
				d[i] = truth[T](x <= y[i])
			}
		},
		eq: func(dst, a, b *T, n int) {
			d, y := from(dst, n), from(b, n)
			for i, x := range from(a, n) {
				d[i] = truth[T](x == y[i])
			}
		},
		ne: func(dst, a, b *T, n int) {
			d, y := from(dst, n), from(b, n)
			for i, x := range from(a, n) {
				d[i] = truth[T](x != y[i])
			}
		},
		addS:  func(dst, a *T, s T, n int) { each(dst, a, n, func(x T) T { return x + s }) },
		rsubS: func(dst, a *T, s T, n int) { each(dst, a, n, func(x T) T { return s - x }) },
		mulS:  func(dst, a *T, s T, n int) { each(dst, a, n, func(x T) T { return x * s }) },
		divS:  func(dst, a *T, s T, n int) { each(dst, a, n, func(x T) T { return x / s }) },
		rdivS: func(dst, a *T, s T, n int) { each(dst, a, n, func(x T) T { return s / x }) },
		maxS:  func(dst, a *T, s T, n int) { each(dst, a, n, func(x T) T { return max(x, s) }) },
		minS:  func(dst, a *T, s T, n int) { each(dst, a, n, func(x T) T { return min(x, s) }) },
		ltS:   func(dst, a *T, s T, n int) { each(dst, a, n, func(x T) T { return truth[T](x < s) }) },
		leS:   func(dst, a *T, s T, n int) { each(dst, a, n, func(x T) T { return truth[T](x <= s) }) },
		gtS:   func(dst, a *T, s T, n int) { each(dst, a, n, func(x T) T { return truth[T](x > s) }) },
		geS:   func(dst, a *T, s T, n int) { each(dst, a, n, func(x T) T { return truth[T](x >= s) }) },
		eqS:   func(dst, a *T, s T, n int) { each(dst, a, n, func(x T) T { return truth[T](x == s) }) },
		neS:   func(dst, a *T, s T, n int) { each(dst, a, n, func(x T) T { return truth[T](x != s) }) },

		neg: func(dst, a *T, n int) { each(dst, a, n, func(x T) T { return -x }) },
		abs: func(dst, a *T, n int) { each(dst, a, n, func(x T) T { return T(math.Abs(float64(x))) }) },
		// Rounded to float64 first, a root of float32 comes out as if rounded once.
		sqrt:   func(dst, a *T, n int) { each(dst, a, n, func(x T) T { return T(math.Sqrt(float64(x))) }) },
		square: func(dst, a *T, n int) { each(dst, a, n, func(x T) T { return x * x }) },
		floor:  func(dst, a *T, n int) { each(dst, a, n, func(x T) T { return T(math.Floor(float64(x))) }) },
		ceil:   func(dst, a *T, n int) { each(dst, a, n, func(x T) T { return T(math.Ceil(float64(x))) }) },

		choose: func(dst, c, a, b *T, n int) {
			d, x, y := from(dst, n), from(a, n), from(b, n)
			for i, c := range from(c, n) {
				if c != 0 {
					d[i] = x[i]
				} else {
					d[i] = y[i]
				}
			}
		},
		mulAdd: func(dst, a, b, c *T, n int) {
			d, y, z := from(dst, n), from(b, n), from(c, n)
			for i, x := range from(a, n) {
				d[i] = T(x*y[i]) + z[i]
			}
		},
		mulAddClamp: func(dst, a, b, c, lo, hi *T, n int) {
			d, y, z, low, high := from(dst, n), from(b, n), from(c, n), from(lo, n), from(hi, n)
			for i, x := range from(a, n) {
				v := T(x*y[i]) + z[i]
				if v < low[i] {
					v = low[i]
				}
				if v > high[i] {
					v = high[i]
				}
				d[i] = v
			}
		},
		fill: func(dst *T, s T, n int) {
			d := from(dst, n)
			for i := range d {
				d[i] = s
			}
		},
	}
}

// each is a loop for the compiler to put f in.
func each[T Float](dst, a *T, n int, f func(x T) T) {
	d := from(dst, n)
	for i, x := range from(a, n) {
		d[i] = f(x)
	}
}

func truth[T Float](b bool) T {
	if b {
		return 1
	}
	return 0
}
