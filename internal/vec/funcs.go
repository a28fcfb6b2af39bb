package vec

import (
	"fmt"
	"math"
)

// unary is dst[i] = f(src[i]) for n elements.
type unary[T Float] func(dst, src *T, n int)

// funcKernels is what an instruction set has for an element type.
type funcKernels[T Float] struct {
	exp, expm1, log, log1p, tanh, sigmoid, softplus, log2 unary[T]
	elu, eluSlope, expc                                   unary[T]
	sin, cos                                              unaryWithin[T]
}

// unaryWithin is a unary that stops before what is beyond its domain; done elements are.
type unaryWithin[T Float] func(dst, src *T, n int) (done int)

func funcKernelsOf[T Float]() *funcKernels[T] {
	return of[T](&funcSets32[current], &funcSets64[current]).(*funcKernels[T])
}

// The functions of slices, dst[i] = f(src[i]). dst and src are of the same length, and the same slice or apart. What
// an element becomes depends on nothing but its value, and is the same with AVX2 as with AVX-512; plain Go has the
// functions of package math, for float32 rounded. Errors in units in the last place, seen over all float32 and over
// samples of every range of float64, are in doc/functions.md. NaN gives NaN.

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

// ELU is x where it is above 0, else e^x - 1. ELU(±0) = ±0, ELU(-Inf) = -1, ELU(+Inf) = +Inf.
func ELU[T Float](dst, src []T) { apply("ELU", funcKernelsOf[T]().elu, dst, src) }

// ELUSlope is the derivative of ELU: 1 for x above 0, else e^x. ELUSlope(-Inf) = 0.
func ELUSlope[T Float](dst, src []T) { apply("ELUSlope", funcKernelsOf[T]().eluSlope, dst, src) }

// Expc is 1 - e^-x, accurate near 0: of y = Softplus(x) it is the derivative, Sigmoid(x). Expc(±0) = ±0, Expc(-Inf) =
// -Inf, Expc(+Inf) = 1.
func Expc[T Float](dst, src []T) { apply("Expc", funcKernelsOf[T]().expc, dst, src) }

// Log2 is the binary logarithm, exact for powers of 2. Log2(±0) = -Inf, Log2(+Inf) = +Inf, Log2(x < 0) = NaN.
func Log2[T Float](dst, src []T) { apply("Log2", funcKernelsOf[T]().log2, dst, src) }

// Sin is the sine of x in radians, of any x: what pi's multiples leave of it is exact to the last digits. Sin(±0) = ±0,
// Sin(±Inf) = NaN. Numbers beyond ±1e6, of float64 beyond ±1e8, go one by one.
func Sin[T Float](dst, src []T) { applyWithin("Sin", funcKernelsOf[T]().sin, sin, dst, src) }

// Cos is the cosine of x in radians, as Sin. Cos(±Inf) = NaN.
func Cos[T Float](dst, src []T) { applyWithin("Cos", funcKernelsOf[T]().cos, cos, dst, src) }

func sin(x float64) float64 { return sineOf(x, 0) }
func cos(x float64) float64 { return sineOf(x, 1) }

// applyWithin takes from package math what f stops before.
func applyWithin[T Float](name string, f unaryWithin[T], beyond func(float64) float64, dst, src []T) {
	checkLengths(name, len(dst), len(src))
	const vector = 16
	limit := of[T](1e6, sineLimit).(float64)
	for len(src) > 0 {
		done := f(&dst[0], &src[0], len(src))
		dst, src = dst[done:], src[done:]
		n := min(vector, len(src))
		for i, x := range src[:n] {
			if math.Abs(float64(x)) > limit {
				dst[i] = T(beyond(float64(x)))
			} else {
				f(&dst[i], &src[i], 1)
			}
		}
		dst, src = dst[n:], src[n:]
	}
}

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
		return func(dst, src *T, n int) { viaFloat64(from(dst, n), from(src, n), f) }
	}
	all := func(f unary[T]) unaryWithin[T] {
		return func(dst, src *T, n int) int {
			f(dst, src, n)
			return n
		}
	}
	return funcKernels[T]{
		exp: each(math.Exp), expm1: each(math.Expm1), log: each(logOf), log1p: each(math.Log1p), tanh: each(math.Tanh),
		sigmoid: each(sigmoid), softplus: each(softplus),
		log2: each(log2), elu: each(elu), eluSlope: each(eluSlope), expc: each(expc), sin: all(each(sin)), cos: all(each(cos)),
	}
}

// viaFloat64 is dst[i] = f(src[i]). A number converted right before f would wait for the call before: amd64 keeps the
// upper half of the register that holds its result.
func viaFloat64[T Float](dst, src []T, f func(x float64) float64) {
	var buf [64]float64
	for len(src) > 0 {
		part := buf[:min(len(buf), len(src))]
		for i := range part {
			part[i] = float64(src[i])
		}
		for i, x := range part {
			part[i] = f(x)
		}
		for i, y := range part {
			dst[i] = T(y)
		}
		dst, src = dst[len(part):], src[len(part):]
	}
}

// logOf is math.Log, which on amd64 takes subnormal numbers for others.
func logOf(x float64) float64 {
	if x > 0 && x < 0x1p-1022 {
		return math.Log(0x1p52*x) - 52*math.Ln2
	}
	return math.Log(x)
}

// log2 is math.Log2 without its cancellation for x a little above 1.
func log2(x float64) float64 {
	m, e := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, e = 2*m, e-1
	}
	return float64(e) + math.Log(m)*math.Log2E
}

func sigmoid(x float64) float64 {
	e := math.Exp(-math.Abs(x))
	if x < 0 {
		return e / (1 + e)
	}
	return 1 / (1 + e)
}

func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func elu(x float64) float64 {
	if x > 0 {
		return x
	}
	return math.Expm1(x)
}

func eluSlope(x float64) float64 { return math.Exp(min(x, 0)) }

func expc(x float64) float64 { return -math.Expm1(-x) }
