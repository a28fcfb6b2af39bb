package vec

import (
	"fmt"
	"math"
)

// unary is dst[i] = f(src[i]) for n elements.
type unary[T Float] func(dst, src *T, n int)

// funcKernels is what an instruction set has for an element type.
type funcKernels[T Float] struct{ exp, expm1, log, log1p, tanh, sigmoid, softplus unary[T] }

func funcKernelsOf[T Float]() *funcKernels[T] {
	return of[T](&funcSets32[current], &funcSets64[current]).(*funcKernels[T])
}

// The functions of slices, dst[i] = f(src[i]). dst and src are of the same length, and the same slice or apart. What
// an element becomes depends on nothing but its value, and is the same with AVX2 as with AVX-512; plain Go has the
// functions of package math, for float32 rounded. Errors in units in the last place, seen over all float32 and over
// samples of every range of float64, are in doc/measurements.md. NaN gives NaN.

// Exp is e^x. Exp(-Inf) = 0, Exp(+Inf) = +Inf, and what overflows is +Inf; subnormal results are right.
func Exp[T Float](dst, src []T) { apply("Exp", funcKernelsOf[T]().exp, dst, src) }

// Expm1 is e^x - 1, accurate near 0. Expm1(±0) = ±0, Expm1(-Inf) = -1, Expm1(+Inf) = +Inf.
func Expm1[T Float](dst, src []T) { apply("Expm1", funcKernelsOf[T]().expm1, dst, src) }

// Log is the natural logarithm. Log(±0) = -Inf, Log(+Inf) = +Inf, Log(x < 0) = NaN.
func Log[T Float](dst, src []T) { apply("Log", funcKernelsOf[T]().log, dst, src) }

// Log1p is log(1 + x), accurate near 0. Log1p(±0) = ±0, Log1p(-1) = -Inf, Log1p(+Inf) = +Inf, Log1p(x < -1) = NaN.
func Log1p[T Float](dst, src []T) { apply("Log1p", funcKernelsOf[T]().log1p, dst, src) }

// Tanh is the hyperbolic tangent. Tanh(±0) = ±0, Tanh(±Inf) = ±1.
func Tanh[T Float](dst, src []T) { apply("Tanh", funcKernelsOf[T]().tanh, dst, src) }

// Sigmoid is 1/(1 + e^-x). Sigmoid(-Inf) = 0, Sigmoid(+Inf) = 1.
func Sigmoid[T Float](dst, src []T) { apply("Sigmoid", funcKernelsOf[T]().sigmoid, dst, src) }

// Softplus is log(1 + e^x). Softplus(-Inf) = 0, Softplus(+Inf) = +Inf.
func Softplus[T Float](dst, src []T) { apply("Softplus", funcKernelsOf[T]().softplus, dst, src) }

func apply[T Float](name string, f unary[T], dst, src []T) {
	if len(dst) != len(src) {
		panic(fmt.Sprintf("vec: %s: len(dst) = %d, want len(src) = %d", name, len(dst), len(src)))
	}
	if len(src) > 0 {
		f(&dst[0], &src[0], len(src))
	}
}

var (
	funcGo32 = funcsGo[float32]()
	funcGo64 = funcsGo[float64]()
)

// funcsGo is plain Go's set.
func funcsGo[T Float]() funcKernels[T] {
	each := func(f func(x float64) float64) unary[T] {
		return func(dst, src *T, n int) {
			d := from(dst, n)
			for i, x := range from(src, n) {
				d[i] = T(f(float64(x)))
			}
		}
	}
	return funcKernels[T]{
		exp: each(math.Exp), expm1: each(math.Expm1), log: each(math.Log), log1p: each(math.Log1p), tanh: each(math.Tanh),
		sigmoid: each(sigmoid), softplus: each(softplus),
	}
}

func sigmoid(x float64) float64 {
	e := math.Exp(-math.Abs(x))
	if x < 0 {
		return e / (1 + e)
	}
	return 1 / (1 + e)
}

func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }
