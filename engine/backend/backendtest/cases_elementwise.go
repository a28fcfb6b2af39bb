package backendtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/ir"
)

// special32 are numbers where functions do something of their own; they are exact in both float types.
var special32 = []float64{0, math.Copysign(0, -1), 1, -1, 0.5, -0.5, 2, -2, 3, math.Inf(1), math.Inf(-1), math.NaN(),
	0x1p-149, -0x1p-149, 0x1p-126, -0x1p-126, 0x1.fffffep127, -0x1.fffffep127, 0x1p-24, 1 + 0x1p-23, -1 + 0x1p-24,
	10.25, -10.25, 88, -88, 1e4, -1e4, 0x1p23 + 1, 0x1.921fb6p0, -0x1.921fb6p1}

// feedSpecial gives every pair of special numbers to inputs whose names begin with "a" and "b", and every one of them
// to any other, followed by random numbers; those of names with "+" are made positive.
func feedSpecial(n *ir.Node, seed uint64) any {
	name := n.Attr.(ir.InputAttr).Name
	r := rand.New(rand.NewPCG(seed, uint64(len(name))+uint64(name[0])))
	s := len(special32)
	at := func(k int) float64 {
		switch {
		case k < s*s && strings.HasPrefix(name, "a"):
			return special32[k/s]
		case k < s*s && strings.HasPrefix(name, "b"):
			return special32[k%s]
		case k < s:
			return special32[k]
		}
		return math.Ldexp(2*r.Float64()-1, r.IntN(12)-4)
	}
	number := func(k int) float64 {
		v := at(k)
		if strings.Contains(name, "+") {
			v = math.Abs(v)
		}
		return v
	}
	switch n.Type {
	case ir.F32:
		d := make([]float32, n.Count())
		for k := range d {
			d[k] = float32(number(k))
		}
		return d
	case ir.F64:
		d := make([]float64, n.Count())
		for k := range d {
			d[k] = number(k)
		}
		return d
	}
	return graphs.Values(n, seed)
}

// feedPowers is feedSpecial but for large exponents in f64: package math's Pow, the reference, multiplies its way up,
// and near 1 it is off by 33 units for an exponent of 10^4 and by 27000 for 2^23, where a device that is right fails.
func feedPowers(n *ir.Node, seed uint64) any {
	v := feedSpecial(n, seed)
	if d, ok := v.([]float64); ok && strings.HasPrefix(n.Attr.(ir.InputAttr).Name, "b") {
		for k, x := range d {
			if math.Abs(x) > 1e3 && !math.IsInf(x, 0) {
				d[k] = math.Copysign(101, x)
			}
		}
	}
	return v
}

// exactUnary are done as one IEEE operation; the others have their own accuracy, in units of the last place.
var exactUnary = []ir.Op{ir.Neg, ir.Abs, ir.Sign, ir.Floor, ir.Ceil, ir.Square, ir.Recip, ir.Sqrt}

const libmWhy = "2 ulp of the function, 1 of the reference in f64, and 1 to spare"

func elementwiseCases() []Case {
	pairs := len(special32)*len(special32) + 101
	var cases []Case
	one := func(op ir.Op, tol float64, why string, name string) {
		cases = append(cases, Case{
			Name: "elementwise/" + op.String(),
			Build: func(b *ir.Builder, t ir.DType) {
				b.Output(b.Unary(op, input(b, t, name, len(special32)+300)), b.Unary(op, input(b, t, name+" small", 3, 5)),
					b.Unary(op, input(b, t, name+" scalar")), b.Unary(op, input(b, t, name+" one", 1)), b.Unary(op,
						input(b, t, name+" empty", 4, 0)))
			},
			Feed: feedSpecial, Tol: tol, Why: why, Each: true,
		})
	}
	for _, op := range exactUnary {
		one(op, 0, "", "x")
	}
	one(ir.Cube, 3, "two roundings, and those of the reference", "x")
	one(ir.InvSqrt, 3, "two roundings, and those of the reference", "x")
	for _, op := range []ir.Op{ir.Exp, ir.Expm1, ir.Log, ir.Log1p, ir.Tanh, ir.Sin, ir.Cos} {
		one(op, 4, libmWhy, "x")
	}
	for _, op := range []ir.Op{ir.Sigmoid, ir.Softplus} {
		one(op, 6, libmWhy+", and the formula's in the reference", "x")
	}
	cases = append(cases, Case{
		Name: "elementwise/log2",
		Build: func(b *ir.Builder, t ir.DType) {
			b.Output(b.Unary(ir.Log2, input(b, t, "x+", len(special32)+300)), b.Unary(ir.Log2,
				input(b, t, "x", len(special32))))
		},
		Feed: feedSpecial, Tol: 4, Why: libmWhy + "; absolute, since package math's cancels near 1",
	})
	cases = append(cases, Case{
		// One can be had from the other, at a price in accuracy that must not be seen.
		Name: "elementwise/softplus and sigmoid of one operand",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", len(special32)+3000)
			b.Output(b.Unary(ir.Softplus, x), b.Unary(ir.Sigmoid, x))
			y := input(b, t, "y", len(special32)+3000)
			b.Output(b.Binary(ir.Mul, b.Unary(ir.Softplus, y), b.Unary(ir.Sigmoid, y)))
		},
		Feed: feedSpecial, Tol: 10, Why: libmWhy + ", for two of them and the formulas of the reference", Each: true,
		Variants: true,
	})
	two := func(op ir.Op, tol float64, why string) {
		cases = append(cases, Case{
			Name: "elementwise/" + op.String(),
			Build: func(b *ir.Builder, t ir.DType) {
				x, y := input(b, t, "a", pairs), input(b, t, "b", pairs)
				b.Output(b.Binary(op, x, y), b.Binary(op, input(b, t, "c"), input(b, t, "d")),
					b.Binary(op, x, x), b.Binary(op, input(b, t, "e", 1, 0), input(b, t, "f", 1, 0)),
					b.Binary(op, x, b.Scalar(t, 1.5)), b.Binary(op, b.Scalar(t, -0.75), y))
				if c := op; c >= ir.Lt && c <= ir.Or {
					b.Output(b.Compare(op, t, x, y)) // 0 and 1
				}
			},
			Feed: feedSpecial, Tol: tol, Why: why, Each: true,
		})
	}
	for _, op := range []ir.Op{ir.Add, ir.Sub, ir.Mul, ir.Div, ir.Max, ir.Min, ir.Lt, ir.Le, ir.Gt, ir.Ge, ir.Eq, ir.Ne,
		ir.And, ir.Or} {
		two(op, 0, "")
	}
	two(ir.Atan2, 4, libmWhy)
	two(ir.Pow, 4, libmWhy)
	cases[len(cases)-1].Types = []ir.DType{ir.F32}
	two(ir.Pow, 40, "package math, the reference, is off by 20 units where powers are very large or small")
	powers := &cases[len(cases)-1]
	powers.Name, powers.Types, powers.Feed = powers.Name+" in f64", []ir.DType{ir.F64}, feedPowers
	cases = append(cases, truthCases()...)
	cases = append(cases, castCases()...)
	return append(cases, chainCases()...)
}

// truthCases are about Bool, Where and integers.
func truthCases() []Case {
	n := len(special32)*len(special32) + 5
	return []Case{{
		Name: "elementwise/where",
		Build: func(b *ir.Builder, t ir.DType) {
			x, y := input(b, t, "a", n), input(b, t, "b", n)
			b.Output(b.Where(b.Binary(ir.Lt, x, y), x, y), b.Where(input(b, ir.Bool, "m", n), x, b.Scalar(t, -1)),
				b.Where(x, y, x), b.Where(input(b, ir.Int32, "i", n), y, x))
		},
		Feed: feedSpecial,
	}, {
		Name: "elementwise/where of truths and integers",
		Build: func(b *ir.Builder, t ir.DType) {
			m, k := input(b, ir.Bool, "m", 33), input(b, ir.Bool, "k", 33)
			i, j := input(b, ir.Int64, "i", 33), input(b, ir.Int64, "j", 33)
			b.Output(b.Where(m, k, b.Unary(ir.Not, m)), b.Where(k, i, j), b.Where(i, i, j))
		},
		Types: []ir.DType{ir.F32},
	}, {
		Name: "elementwise/logic",
		Build: func(b *ir.Builder, t ir.DType) {
			x, y := input(b, t, "a", n), input(b, t, "b", n)
			m := b.Binary(ir.Gt, x, y)
			k := b.Binary(ir.And, b.Unary(ir.Not, m), input(b, ir.Bool, "m", n))
			b.Output(m, k, b.Binary(ir.Or, m, k), b.Binary(ir.Eq, m, k), b.Cast(t, b.Binary(ir.Ne, m, k)))
		},
		Feed: feedSpecial, Variants: true,
	}, {
		Name: "elementwise/integer comparison",
		Build: func(b *ir.Builder, t ir.DType) {
			for _, it := range []ir.DType{ir.Int64, ir.Int, ir.Int32, ir.Uint8, ir.Bool} {
				x, y := input(b, it, "x"+it.String(), 5, 7), input(b, it, "y"+it.String(), 5, 7)
				for op := ir.Lt; op <= ir.Or; op++ {
					b.Output(b.Binary(op, x, y))
					b.Output(b.Compare(op, it, x, y))
				}
			}
		},
		Types: []ir.DType{ir.F32},
	}, {
		Name: "elementwise/big integers",
		Build: func(b *ir.Builder, t ir.DType) {
			for _, it := range []ir.DType{ir.Int64, ir.Int} {
				x := input(b, it, "x"+it.String(), 4, 6)
				y := b.Transpose(x, 1, 0)
				m := b.Where(b.Binary(ir.Ge, y, b.Transpose(input(b, it, "y"+it.String(), 4, 6), 1, 0)), y,
					b.Reshape(x, []int{6, 4}))
				b.Output(y, m, b.Cast(ir.F64, m))
			}
		},
		Types: []ir.DType{ir.F32},
		Feed: func(n *ir.Node, seed uint64) any {
			r := rand.New(rand.NewPCG(seed, 9))
			d, e := make([]int64, n.Count()), make([]int, n.Count())
			for i := range d {
				d[i] = 1<<53 - r.Int64N(5)*r.Int64N(1<<52)
				e[i] = int(-d[i])
			}
			if n.Type == ir.Int {
				return e
			}
			return d
		},
	}}
}

var allTypes = []ir.DType{ir.F32, ir.F64, ir.Int64, ir.Int, ir.Int32, ir.Uint8, ir.Bool}

// castCases go from every type to every type, on values that fit.
func castCases() []Case {
	var cases []Case
	for _, from := range allTypes {
		cases = append(cases, Case{
			Name: "cast/from " + from.String(),
			Build: func(b *ir.Builder, _ ir.DType) {
				x := input(b, from, "x", 7, 11)
				for _, to := range allTypes {
					y := b.Cast(to, x)
					b.Output(y, b.Transpose(y, 1, 0), b.Cast(ir.F64, y))
				}
			},
			Types: []ir.DType{ir.F32},
			Feed: func(n *ir.Node, seed uint64) any {
				r := rand.New(rand.NewPCG(seed, 10))
				if !n.Type.Float() {
					return graphs.Values(n, seed)
				}
				d, e := make([]float64, n.Count()), make([]float32, n.Count())
				for i := range d {
					d[i] = 250 * r.Float64()
					if i%3 == 0 {
						d[i] = math.Trunc(d[i])
					}
					e[i] = float32(d[i])
				}
				if n.Type == ir.F32 {
					return e
				}
				return d
			},
		})
	}
	return append(cases, Case{
		Name: "cast/negative towards zero",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 50)
			for _, to := range []ir.DType{ir.Int64, ir.Int, ir.Int32} {
				b.Output(b.Cast(to, x), b.Cast(t, b.Cast(to, x)))
			}
		},
	}, Case{
		Name: "cast/rounds inside a chain",
		Build: func(b *ir.Builder, _ ir.DType) {
			x := input(b, ir.F64, "x", 1000)
			y := b.Cast(ir.F64, b.Cast(ir.F32, b.BinaryS(ir.Div, x, 3)))
			b.Output(b.Binary(ir.Sub, y, b.BinaryS(ir.Div, x, 3)))
		},
		Types: []ir.DType{ir.F64}, Variants: true,
	}, Case{
		// Elements of one type go to places with gaps between them, and come from such.
		Name: "cast/strided",
		Build: func(b *ir.Builder, t ir.DType) {
			x := b.Unary(ir.Abs, input(b, t, "x", 6, 40))
			for _, to := range allTypes {
				var parts []ir.ID
				for k := range 3 {
					y := b.Cast(to, b.BinaryS(ir.Mul, x, float64(k+1)))
					parts = append(parts, b.Reshape(y, []int{6, 40, 1}))
				}
				c := b.Concat(2, parts...)
				b.Output(c, b.Cast(t, b.Slice(c, []int{0, 1, 1}, []int{2, 3, 2}, []int{3, 13, 1})),
					b.Cast(ir.F64, b.Transpose(c, 2, 0, 1)), b.Concat(0, parts...), b.Cast(ir.F32, b.Transpose(c, 0, 2, 1)))
			}
		},
		Variants: true,
	}, Case{
		Name: "cast/mixed precision chain",
		Build: func(b *ir.Builder, _ ir.DType) {
			x, y := input(b, ir.F32, "x", 60, 5), input(b, ir.F64, "y", 60, 5)
			s := b.Binary(ir.Mul, b.Cast(ir.F64, b.Binary(ir.Add, x, x)), y)
			z := b.Binary(ir.Mul, b.Cast(ir.F32, s), x)
			b.Output(z, b.Binary(ir.Add, b.Cast(ir.F64, z), y), b.Cast(ir.F32, y))
		},
		Types: []ir.DType{ir.F32}, Variants: true,
	})
}

// chainCases are about several elementwise nodes at once: where arithmetic may not be rearranged or contracted.
func chainCases() []Case {
	cases := []Case{{
		Name: "chain/no contraction",
		Build: func(b *ir.Builder, t ir.DType) {
			x, y, z := input(b, t, "x", 1003), input(b, t, "y", 1003), input(b, t, "z", 1003)
			p := b.Binary(ir.Mul, x, y)
			b.Output(b.Binary(ir.Add, p, z), b.Binary(ir.Sub, p, z), b.Binary(ir.Sub, z, p),
				b.Binary(ir.Sub, b.Unary(ir.Square, x), b.Unary(ir.Square, y)), b.Binary(ir.Sub, p, p))
		},
		Variants: true,
	}, {
		Name: "chain/no rearrangement",
		Build: func(b *ir.Builder, t ir.DType) {
			x, y := input(b, t, "a", 930), input(b, t, "b", 930)
			s := b.BinaryS(ir.Mul, b.BinaryS(ir.Mul, x, 1./3), 3)
			u := b.BinaryS(ir.Sub, b.BinaryS(ir.Add, x, 1), 1)
			v := b.Binary(ir.Sub, b.Binary(ir.Add, x, y), y)
			w := b.Binary(ir.Div, b.Binary(ir.Mul, x, y), y)
			b.Output(s, u, v, w, b.BinaryS(ir.Div, x, 3), b.BinaryS(ir.Mul, x, 0), b.Binary(ir.Sub, x, x),
				b.Binary(ir.Div, x, x),
				b.BinaryS(ir.Add, x, 0), b.BinaryS(ir.Sub, x, 0), b.Unary(ir.Neg, b.Binary(ir.Sub, x, y)), b.BinaryS(ir.Mul, x,
					1),
				b.BinaryS(ir.Div, x, 1), b.BinaryS(ir.Mul, x, -1), b.BinaryS(ir.Mul, x, 2), b.Unary(ir.Neg, b.Unary(ir.Neg, x)),
				b.Binary(ir.Sub, b.Scalar(t, 0), x), b.Binary(ir.Max, x, x), b.BinaryS(ir.Add, b.BinaryS(ir.Add, x, 1), 2),
				b.Unary(ir.Sqrt, b.Unary(ir.Square, x)), b.Unary(ir.Abs, b.Unary(ir.Neg, x)), b.Binary(ir.Eq, x, x),
				b.Unary(ir.Not, b.Binary(ir.Lt, x, y)), b.Unary(ir.Recip, b.Unary(ir.Recip, x)))
		},
		Feed: feedSpecial, Variants: true,
	}, {
		Name: "chain/clamp",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 7, 50)
			b.Output(b.BinaryS(ir.Min, b.BinaryS(ir.Max, x, -1), 1), b.BinaryS(ir.Max, b.BinaryS(ir.Min, x, 1), -1))
		},
		Feed: feedSpecial,
	}, {
		Name: "chain/eight used by several",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 65, 33)
			y := x
			for k, op := range []ir.Op{ir.Tanh, ir.Square, ir.Neg, ir.Exp, ir.Sqrt, ir.Log1p, ir.Sigmoid, ir.Softplus} {
				if y = b.Unary(op, y); k == 3 {
					x = y
				}
			}
			b.Output(b.Binary(ir.Mul, y, x), b.Binary(ir.Add, y, b.BroadcastTo(b.Reshape(b.Reduce(ir.ReduceSum, y, 1),
				[]int{65, 1}), []int{65, 33})),
				b.Transpose(y, 1, 0), b.Dot(y, y, ir.Trans{A: true}), b.Reduce(ir.ReduceMax, y, 0, 1))
		},
		Tol: 16, Why: "a chain of functions of slope below 2, and a sum of 65 products", Variants: true,
		Budgets: []float64{0.7}, Bench: true,
	}}
	for _, n := range []int{1, 2, 7, 8, 15, 16, 17, 31, 63, 64, 65, 255, 256, 257, 511, 513, 1023, 4097, 70001} {
		cases = append(cases, Case{
			Name: fmt.Sprintf("chain/length %d", n),
			Build: func(b *ir.Builder, t ir.DType) {
				x, y := input(b, t, "x", n), input(b, t, "y", n)
				z := b.Binary(ir.Add, b.Binary(ir.Mul, x, y), b.BinaryS(ir.Sub, y, 0.5))
				b.Output(z, b.Binary(ir.Max, z, x), b.Binary(ir.Lt, z, y))
			},
			Bench: n == 70001,
		})
	}
	return append(cases, Case{
		Name: "chain/3000 nodes",
		Build: func(b *ir.Builder, t ir.DType) {
			x, y := input(b, t, "x", 13), input(b, t, "y", 13)
			for k := range 1000 {
				x = b.Binary(ir.Mul, b.BinaryS(ir.Mul, x, 0.5), y)
				x = b.Binary(ir.Add, x, y)
				if x = b.BinaryS(ir.Min, x, 1); k%100 == 0 {
					b.Output(x)
				}
			}
			b.Output(x)
		},
	}, Case{
		Name: "chain/3000 nodes that everything uses",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 5)
			first, prev := x, x
			for range 1000 {
				next := b.BinaryS(ir.Mul, b.Binary(ir.Add, b.Binary(ir.Sub, x, prev), first), 0.5)
				x, prev = next, x
			}
			b.Output(x, prev)
		},
	})
}
