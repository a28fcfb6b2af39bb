package nn

import (
	"math"
	"sync"

	"github.com/godcem/godcem/internal/vec"
)

// activate computes out = f^(order)(x) times the factors, elementwise and in parallel.
func activate[T vec.Float](f Activation, order int, out, x []T, factors [][]T) {
	pool := activationPool[T]()
	j := pool.Get().(*activationJob[T])
	j.f, j.order, j.out, j.x = f, order, out, x
	j.factors = append(j.factors[:0], factors...)
	vec.Parallel(len(out), 2048, j)
	clear(j.factors)
	j.out, j.x = nil, nil
	pool.Put(j)
}

type activationJob[T vec.Float] struct {
	f       Activation
	order   int
	out, x  []T
	factors [][]T
}

var (
	activationJobs32 = sync.Pool{New: func() any { return new(activationJob[float32]) }}
	activationJobs64 = sync.Pool{New: func() any { return new(activationJob[float64]) }}
)

func activationPool[T vec.Float]() *sync.Pool {
	if isSingle[T]() {
		return &activationJobs32
	}
	return &activationJobs64
}

func isSingle[T vec.Float]() bool { _, single := any(T(0)).(float32); return single }

const tile = 256 // elements; a tile of float64 stays in the first-level cache

// Run implements vec.Job: tile by tile, first what is transcendental, then the rational rest.
func (j *activationJob[T]) Run(lo, hi int) {
	var buf [tile]float64
	for ; lo < hi; lo += tile {
		end := min(lo+tile, hi)
		v := buf[:end-lo]
		derivative(v, j.x[lo:end], j.f, j.order)
		for _, g := range j.factors {
			for i, g := range g[lo:end] {
				v[i] *= float64(g)
			}
		}
		out := j.out[lo:end]
		for i, y := range v {
			out[i] = T(y)
		}
	}
}

// derivative sets v to the derivative of that order of f at x.
func derivative[T vec.Float](v []float64, x []T, f Activation, order int) {
	switch f {
	case Softplus:
		if order == 0 {
			softplus(v, x)
		} else {
			sigmoid(v, x, order-1) // softplus' is the sigmoid
		}
	case Sigmoid:
		sigmoid(v, x, order)
	case Tanh:
		tanh(v, x, order)
	case ELU:
		elu(v, x, order)
	case ReLU:
		for i, x := range x {
			switch {
			case order == 0 && !(x < 0):
				v[i] = float64(x) // NaN too
			case order == 1 && x > 0:
				v[i] = 1
			default:
				v[i] = keepNaN(0, float64(x))
			}
		}
	}
}

// keepNaN is y, but NaN where x is: a function that is constant on a side would hide it.
func keepNaN(y, x float64) float64 {
	if x != x {
		return x
	}
	return y
}

// softplus(x) = max(x, 0) + log(1 + exp(-|x|)): nothing overflows, and at the far left exp(x) is left over with all its
// digits.
func softplus[T vec.Float](v []float64, x []T) {
	expMinusAbs(v, x, 1)
	if isSingle[T]() {
		for i, e := range v {
			v[i] = max(float64(x[i]), 0) + log1pFast(e)
		}
		return
	}
	for i, e := range v {
		v[i] = max(float64(x[i]), 0) + math.Log1p(e)
	}
}

// sigmoid and its derivatives. With e = exp(-|x|), s = 1/(1+e) on the right and e/(1+e) on the left:
//
//	s'   = s(1-s)                  = e/(1+e)^2
//	s''  = s(1-s)(1-2s)            = -s' tanh(x/2)
//	s''' = s(1-s)(1-6s(1-s))       = s' (1-6s')
func sigmoid[T vec.Float](v []float64, x []T, order int) {
	expMinusAbs(v, x, 1)
	switch order {
	case 0:
		for i, e := range v {
			n := 1.0
			if x[i] < 0 {
				n = e
			}
			v[i] = n / (1 + e)
		}
	case 1:
		for i, e := range v {
			v[i] = e / ((1 + e) * (1 + e))
		}
	case 2:
		for i, e := range v {
			v[i] = -e / ((1 + e) * (1 + e)) * tanhOf[T](float64(x[i])/2, e)
		}
	case 3:
		for i, e := range v {
			d := e / ((1 + e) * (1 + e))
			v[i] = d * (1 - 6*d)
		}
	}
}

// tanh and its derivatives. With t = tanh(x) and e = exp(-2|x|):
//
//	t'   = 1-t^2                   = 4e/(1+e)^2
//	t''  = -2 t t'
//	t''' = t' (4-6t')
func tanh[T vec.Float](v []float64, x []T, order int) {
	if order > 0 || isSingle[T]() { // the value in float64 does not need it
		expMinusAbs(v, x, 2)
	}
	for i, e := range v {
		d := 4 * e / ((1 + e) * (1 + e))
		switch order {
		case 0:
			d = tanhOf[T](float64(x[i]), e)
		case 2:
			d *= -2 * tanhOf[T](float64(x[i]), e)
		case 3:
			d *= 4 - 6*d
		}
		v[i] = d
	}
}

// tanhOf is tanh(x), given e = exp(-2|x|).
func tanhOf[T vec.Float](x, e float64) float64 {
	if !isSingle[T]() {
		return math.Tanh(x)
	}
	if math.Abs(x) < 0.25 { // 1-e would cancel; the series' next term is 2e-10
		z := x * x
		return x * (1 - z*(1./3-z*(2./15-z*(17./315-z*(62./2835-z*(1382./155925))))))
	}
	return math.Copysign((1-e)/(1+e), x)
}

// elu: on the left every derivative is exp(x); on the right they are 1, then 0.
func elu[T vec.Float](v []float64, x []T, order int) {
	right := 0.0
	if order == 1 {
		right = 1
	}
	for i, x := range x {
		x := float64(x)
		switch {
		case x > 0 && order == 0:
			v[i] = x
		case x > 0:
			v[i] = right
		case order == 0:
			v[i] = math.Expm1(x)
		default:
			v[i] = math.Exp(x)
		}
	}
}

// expMinusAbs sets v = exp(-scale*|x|): to the last digits of float64 for float64, to a relative 1e-8 for float32.
func expMinusAbs[T vec.Float](v []float64, x []T, scale float64) {
	if !isSingle[T]() {
		for i, x := range x {
			v[i] = math.Exp(-scale * math.Abs(float64(x)))
		}
		return
	}
	const (
		shift = 1.5 * (1 << 52) // adding it rounds to the nearest integer, which then stands in the low bits
		least = -700.0          // exp of it is far below float32's smallest number, and 2^k still a normal float64
	)
	x = x[:len(v)]
	for i := range v {
		a := -scale * math.Abs(float64(x[i]))
		if a < least {
			a = least
		}
		k := a*math.Log2E + shift
		r := a - (k-shift)*math.Ln2
		z := r * r
		// Taylor to r^7, |r| <= log(2)/2: the next term is 5e-9.
		p := (1 + r) + z*((1./2+r*(1./6))+z*((1./24+r*(1./120))+z*(1./720+r*(1./5040))))
		v[i] = p * math.Float64frombits((math.Float64bits(k)+1023)<<52)
	}
}

// log1pFast is log(1+e) for e in [0, 1] to a relative 2e-9: 2 artanh(s) with s = e/(2+e) <= 1/3, by its series.
func log1pFast(e float64) float64 {
	s := e / (2 + e)
	z := s * s
	return 2 * s * (1 + z*(1./3+z*(1./5+z*(1./7+z*(1./9+z*(1./11+z*(1./13+z*(1./15))))))))
}
