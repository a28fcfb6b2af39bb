package vec

import (
	"math"
	"math/big"
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

var bigPi = bigParse("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651")

// bigSin is sin(x + turn*pi/2) for |x| well below 2^100.
func bigSin(x float64, turn int64) *big.Float {
	half := newBig().Quo(bigPi, bigOf(2))
	n, _ := newBig().Quo(bigOf(x), half).Float64()
	n = math.RoundToEven(n)
	r := newBig().Sub(bigOf(x), newBig().Mul(bigOf(n), half))
	turn += int64(math.Mod(n, 4)) + 4
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
	"Softplus": func(x float64) *big.Float { return bigLog1p(bigExp(bigOf(x)), softplus(x)) },
}

// ulps64 is the error of got in units in the last place of float64 at want.
func ulps64(got float64, want *big.Float) float64 {
	rounded, _ := want.Float64()
	if got == rounded && (math.IsInf(got, 0) || got == 0) {
		return 0
	}
	if math.IsInf(got, 0) || got != got {
		return inf
	}
	d := newBig().Sub(bigOf(got), want)
	d.SetMantExp(d.Abs(d), -max(want.MantExp(nil)-53, -1074))
	f, _ := d.Float64()
	return f
}
