// Package exact has elementary functions to 100 bits and more, by series of big numbers: what tests compare with.
package exact

import (
	"math"
	"math/big"
	"sync"
)

const prec = 200

func zero() *big.Float { return new(big.Float).SetPrec(prec) }

// Of is x.
func Of(x float64) *big.Float { return zero().SetFloat64(x) }

func parse(s string) *big.Float {
	f, _, err := big.ParseFloat(s, 10, prec, big.ToNearestEven)
	if err != nil {
		panic(err)
	}
	return f
}

var ln2 = parse("0.69314718055994530941723212145817656807550013436025525412068000949339362196969471560586332699641868")

// taylor is x + x^2/2! + x^3/3! + ... for |x| < 1.
func taylor(x *big.Float) *big.Float {
	sum, term := zero().Set(x), zero().Set(x)
	for i := int64(2); term.Sign() != 0 && term.MantExp(nil) > sum.MantExp(nil)-prec; i++ {
		term.Mul(term, x)
		term.Quo(term, zero().SetInt64(i))
		sum.Add(sum, term)
	}
	return sum
}

func exp(x *big.Float) *big.Float {
	f, _ := x.Float64()
	k := math.RoundToEven(f / math.Ln2)
	r := zero().Sub(x, zero().Mul(Of(k), ln2))
	e := zero().Add(Of(1), taylor(r))
	return e.SetMantExp(e, int(k))
}

func expm1(x *big.Float) *big.Float {
	if f, _ := x.Float64(); math.Abs(f) < 0.5 {
		return taylor(x)
	}
	return zero().Sub(exp(x), Of(1))
}

// log takes a guess that is right to float64.
func log(y *big.Float, guess float64) *big.Float {
	// Halley's step, of third order.
	e := exp(Of(guess))
	d := zero().Quo(zero().Sub(y, e), zero().Add(y, e))
	return zero().Add(Of(guess), d.Add(d, d))
}

func log1p(x *big.Float, guess float64) *big.Float {
	if x.Sign() != 0 && x.MantExp(nil) > -40 {
		return log(zero().Add(Of(1), x), guess)
	}
	// x - x^2/2 + x^3/3
	s := zero().Sub(zero().Quo(x, Of(3)), Of(0.5))
	s.Mul(s, x)
	s.Add(s, Of(1))
	return s.Mul(s, x)
}

// widePrec is enough for the double next to a multiple of pi/2, and for the greatest, 2^1024: what is left of it has 60
// leading zeros at most.
const widePrec = 1024 + 60 + prec

// pi is 16 arctan(1/5) - 4 arctan(1/239).
var pi = sync.OnceValue(func() *big.Float {
	number := func(n int64) *big.Float { return new(big.Float).SetPrec(widePrec + 20).SetInt64(n) }
	arctan := func(n int64) *big.Float {
		x := number(1)
		x.Quo(x, number(n))
		square, sum := number(0).Mul(x, x), number(0).Set(x)
		for i := int64(3); x.MantExp(nil) > -widePrec-20; i += 2 {
			x.Neg(x.Mul(x, square))
			sum.Add(sum, number(0).Quo(x, number(i)))
		}
		return sum
	}
	a, b := arctan(5), arctan(239)
	return a.Sub(a.Mul(a, number(16)), b.Mul(b, number(4)))
})

// Sin is the sine of x + turn pi/2, of any finite x.
func Sin(x float64, turn int64) *big.Float {
	wide := func(x float64) *big.Float { return new(big.Float).SetPrec(widePrec).SetFloat64(x) }
	half := wide(0).Quo(pi(), wide(2))
	q := wide(0).Quo(wide(x), half)
	n, _ := q.Add(q, wide(math.Copysign(0.5, x))).Int(nil)
	r := zero().Set(wide(0).Sub(wide(x), wide(0).Mul(wide(0).SetInt(n), half)))
	turn += n.Mod(n, big.NewInt(4)).Int64()
	// The terms of odd order, or of even.
	term, from := zero().Set(r), int64(2)
	if turn&1 == 1 {
		term, from = Of(1), 1
	}
	square, sum := zero().Mul(r, r), zero().Set(term)
	for i := from; term.Sign() != 0 && term.MantExp(nil) > sum.MantExp(nil)-prec; i += 2 {
		term.Mul(term, square)
		term.Quo(term, zero().SetInt64(-i*(i+1)))
		sum.Add(sum, term)
	}
	if turn&2 != 0 {
		sum.Neg(sum)
	}
	return sum
}

// QuarterTurns is n pi/2 rounded to float64.
func QuarterTurns(n float64) float64 {
	x, _ := zero().Mul(zero().Quo(pi(), Of(2)), Of(n)).Float64()
	return x
}

// Pow is x**y of finite x > 0 and y, for results within and a little beyond float64's range.
func Pow(x, y float64) *big.Float {
	l := log(Of(x), guessLog(x))
	return exp(l.Mul(l, Of(y)))
}

// Atan2 is the angle of (x, y) in [-pi, pi], both finite and x or y not 0.
func Atan2(y, x float64) *big.Float {
	if y == 0 && !math.Signbit(x) {
		return Of(0)
	}
	// The quotient of the lesser by the greater, halved in angle until the series is short.
	steep := math.Abs(y) > math.Abs(x)
	num, den := Of(math.Abs(y)), Of(math.Abs(x))
	if steep {
		num, den = den, num
	}
	q := num.Quo(num, den)
	const halvings = 5
	for range halvings {
		root := zero().Mul(q, q)
		root.Sqrt(root.Add(root, Of(1)))
		q = zero().Quo(q, root.Add(root, Of(1)))
	}
	square, sum, term := zero().Mul(q, q), zero().Set(q), zero().Set(q)
	for i := int64(3); term.Sign() != 0 && term.MantExp(nil) > sum.MantExp(nil)-prec; i += 2 {
		term.Neg(term.Mul(term, square))
		sum.Add(sum, zero().Quo(term, zero().SetInt64(i)))
	}
	if sum.Sign() != 0 {
		sum.SetMantExp(sum, halvings)
	}
	if steep {
		sum.Sub(zero().Quo(pi(), Of(2)), sum)
	}
	if math.Signbit(x) {
		sum.Sub(zero().Set(pi()), sum)
	}
	if math.Signbit(y) {
		sum.Neg(sum)
	}
	return sum
}

// Functions are those of one finite number, by name.
var Functions = map[string]func(x float64) *big.Float{
	"Exp":   func(x float64) *big.Float { return exp(Of(x)) },
	"Expm1": func(x float64) *big.Float { return expm1(Of(x)) },
	"Log":   func(x float64) *big.Float { return log(Of(x), guessLog(x)) },
	"Log1p": func(x float64) *big.Float { return log1p(Of(x), math.Log1p(x)) },
	"Tanh": func(x float64) *big.Float {
		e := expm1(Of(2 * x))
		return e.Quo(e, zero().Add(e, Of(2)))
	},
	"Sigmoid": func(x float64) *big.Float {
		return zero().Quo(Of(1), zero().Add(Of(1), exp(Of(-x))))
	},
	"Log2":     func(x float64) *big.Float { return zero().Quo(log(Of(x), guessLog(x)), ln2) },
	"Sin":      func(x float64) *big.Float { return Sin(x, 0) },
	"Cos":      func(x float64) *big.Float { return Sin(x, 1) },
	"ELUSlope": func(x float64) *big.Float { return exp(Of(min(x, 0))) },
	"Expc": func(x float64) *big.Float {
		e := expm1(Of(-x))
		return e.Neg(e)
	},
	"ELU": func(x float64) *big.Float {
		if x > 0 {
			return Of(x)
		}
		return expm1(Of(x))
	},
	"Softplus": func(x float64) *big.Float { return log1p(exp(Of(x)), max(x, 0)+math.Log1p(math.Exp(-math.Abs(x)))) },
}

// guessLog is math.Log, which on amd64 takes subnormal numbers for others.
func guessLog(x float64) float64 {
	if x > 0 && x < 0x1p-1022 {
		return math.Log(0x1p52*x) - 52*math.Ln2
	}
	return math.Log(x)
}

// Ulps is the error of got in units in the last place of a format of that many digits, 24 or 53, at want; +Inf where one
// alone is a number.
func Ulps(got float64, want *big.Float, digits int) float64 {
	least, rounded := -1074, 0.0
	if digits == 24 {
		least = -149
		single, _ := want.Float32()
		rounded = float64(single)
	} else {
		rounded, _ = want.Float64()
	}
	if got == rounded && (math.IsInf(got, 0) || got == 0) {
		return 0
	}
	if math.IsInf(got, 0) || got != got {
		return math.Inf(1)
	}
	d := zero().Sub(Of(got), want)
	d.SetMantExp(d.Abs(d), -max(want.MantExp(nil)-digits, least))
	f, _ := d.Float64()
	return f
}
