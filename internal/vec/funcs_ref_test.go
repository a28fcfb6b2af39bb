package vec

import (
	"math"
	"math/big"
	"sync"
)

// The elementary functions to about 100 bits, of finite float64.

const bigPrec = 200

func newBig() *big.Float { return new(big.Float).SetPrec(bigPrec) }

func bigOf(x float64) *big.Float { return newBig().SetFloat64(x) }

func bigParse(s string) *big.Float {
	f, _, err := big.ParseFloat(s, 10, bigPrec, big.ToNearestEven)
	if err != nil {
		panic(err)
	}
	return f
}

var bigLn2 = bigParse("0.69314718055994530941723212145817656807550013436025525412068000949339362196969471560586332699641868")

// taylor is x + x^2/2! + x^3/3! + ... for |x| < 1.
func taylor(x *big.Float) *big.Float {
	sum, term := newBig().Set(x), newBig().Set(x)
	for i := int64(2); term.Sign() != 0 && term.MantExp(nil) > sum.MantExp(nil)-bigPrec; i++ {
		term.Mul(term, x)
		term.Quo(term, newBig().SetInt64(i))
		sum.Add(sum, term)
	}
	return sum
}

func bigExp(x *big.Float) *big.Float {
	f, _ := x.Float64()
	k := math.RoundToEven(f / math.Ln2)
	r := newBig().Sub(x, newBig().Mul(bigOf(k), bigLn2))
	e := newBig().Add(bigOf(1), taylor(r))
	return e.SetMantExp(e, int(k))
}

func bigExpm1(x *big.Float) *big.Float {
	if f, _ := x.Float64(); math.Abs(f) < 0.5 {
		return taylor(x)
	}
	return newBig().Sub(bigExp(x), bigOf(1))
}

// bigLog takes a guess that is right to float64.
func bigLog(y *big.Float, guess float64) *big.Float {
	// Halley's step, of third order.
	e := bigExp(bigOf(guess))
	d := newBig().Quo(newBig().Sub(y, e), newBig().Add(y, e))
	return newBig().Add(bigOf(guess), d.Add(d, d))
}

func bigLog1p(x *big.Float, guess float64) *big.Float {
	if x.Sign() != 0 && x.MantExp(nil) > -40 {
		return bigLog(newBig().Add(bigOf(1), x), guess)
	}
	// x - x^2/2 + x^3/3
	s := newBig().Sub(newBig().Quo(x, bigOf(3)), bigOf(0.5))
	s.Mul(s, x)
	s.Add(s, bigOf(1))
	return s.Mul(s, x)
}

// sinPrec is enough for the double next to a multiple of pi/2, and for the greatest, 2^1024: what is left of it has 60
// leading zeros at most.
const sinPrec = 1024 + 60 + bigPrec

// bigPi is 16 arctan(1/5) - 4 arctan(1/239).
var bigPi = sync.OnceValue(func() *big.Float {
	number := func(n int64) *big.Float { return new(big.Float).SetPrec(sinPrec + 20).SetInt64(n) }
	arctan := func(n int64) *big.Float {
		x := number(1)
		x.Quo(x, number(n))
		square, sum := number(0).Mul(x, x), number(0).Set(x)
		for i := int64(3); x.MantExp(nil) > -sinPrec-20; i += 2 {
			x.Neg(x.Mul(x, square))
			sum.Add(sum, number(0).Quo(x, number(i)))
		}
		return sum
	}
	a, b := arctan(5), arctan(239)
	return a.Sub(a.Mul(a, number(16)), b.Mul(b, number(4)))
})

// bigSin is sin(x + turn*pi/2).
func bigSin(x float64, turn int64) *big.Float {
	wide := func(x float64) *big.Float { return new(big.Float).SetPrec(sinPrec).SetFloat64(x) }
	half := wide(0).Quo(bigPi(), wide(2))
	q := wide(0).Quo(wide(x), half)
	n, _ := q.Add(q, wide(math.Copysign(0.5, x))).Int(nil)
	r := newBig().Set(wide(0).Sub(wide(x), wide(0).Mul(wide(0).SetInt(n), half)))
	turn += n.Mod(n, big.NewInt(4)).Int64()
	// The terms of odd order, or of even.
	term, from := newBig().Set(r), int64(2)
	if turn&1 == 1 {
		term, from = bigOf(1), 1
	}
	square, sum := newBig().Mul(r, r), newBig().Set(term)
	for i := from; term.Sign() != 0 && term.MantExp(nil) > sum.MantExp(nil)-bigPrec; i += 2 {
		term.Mul(term, square)
		term.Quo(term, newBig().SetInt64(-i*(i+1)))
		sum.Add(sum, term)
	}
	if turn&2 != 0 {
		sum.Neg(sum)
	}
	return sum
}

// bigPow is x**y of finite x > 0 and y, where neither that nor its logarithm is beyond float64.
func bigPow(x, y float64) *big.Float {
	l := bigLog(bigOf(x), logOf(x))
	return bigExp(l.Mul(l, bigOf(y)))
}

// bigAtan2 is the angle of (x, y), both finite and x or y not 0.
func bigAtan2(y, x float64) *big.Float {
	if y == 0 && !math.Signbit(x) {
		return bigOf(0)
	}
	// The quotient of the lesser by the greater, halved in angle until the series is short.
	steep := math.Abs(y) > math.Abs(x)
	num, den := bigOf(math.Abs(y)), bigOf(math.Abs(x))
	if steep {
		num, den = den, num
	}
	q := num.Quo(num, den)
	const halvings = 5
	for range halvings {
		root := newBig().Mul(q, q)
		root.Sqrt(root.Add(root, bigOf(1)))
		q = newBig().Quo(q, root.Add(root, bigOf(1)))
	}
	square, sum, term := newBig().Mul(q, q), newBig().Set(q), newBig().Set(q)
	for i := int64(3); term.Sign() != 0 && term.MantExp(nil) > sum.MantExp(nil)-bigPrec; i += 2 {
		term.Neg(term.Mul(term, square))
		sum.Add(sum, newBig().Quo(term, newBig().SetInt64(i)))
	}
	if sum.Sign() != 0 {
		sum.SetMantExp(sum, halvings)
	}
	if steep {
		sum.Sub(newBig().Quo(bigPi(), bigOf(2)), sum)
	}
	if math.Signbit(x) {
		sum.Sub(newBig().Set(bigPi()), sum)
	}
	if math.Signbit(y) {
		sum.Neg(sum)
	}
	return sum
}

var bigFunctions = map[string]func(x float64) *big.Float{
	"Exp":   func(x float64) *big.Float { return bigExp(bigOf(x)) },
	"Expm1": func(x float64) *big.Float { return bigExpm1(bigOf(x)) },
	"Log":   func(x float64) *big.Float { return bigLog(bigOf(x), logOf(x)) },
	"Log1p": func(x float64) *big.Float { return bigLog1p(bigOf(x), math.Log1p(x)) },
	"Tanh": func(x float64) *big.Float {
		e := bigExpm1(bigOf(2 * x))
		return e.Quo(e, newBig().Add(e, bigOf(2)))
	},
	"Sigmoid": func(x float64) *big.Float {
		return newBig().Quo(bigOf(1), newBig().Add(bigOf(1), bigExp(bigOf(-x))))
	},
	"Log2":     func(x float64) *big.Float { return newBig().Quo(bigLog(bigOf(x), logOf(x)), bigLn2) },
	"Sin":      func(x float64) *big.Float { return bigSin(x, 0) },
	"Cos":      func(x float64) *big.Float { return bigSin(x, 1) },
	"ELUSlope": func(x float64) *big.Float { return bigExp(bigOf(min(x, 0))) },
	"Expc": func(x float64) *big.Float {
		e := bigExpm1(bigOf(-x))
		return e.Neg(e)
	},
	"ELU": func(x float64) *big.Float {
		if x > 0 {
			return bigOf(x)
		}
		return bigExpm1(bigOf(x))
	},
	"Softplus": func(x float64) *big.Float { return bigLog1p(bigExp(bigOf(x)), softplus(x)) },
}
