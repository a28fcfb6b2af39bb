// Package graphs makes graphs for tests of passes, planners and backends. It depends on nothing above package ir, so
// that the tests inside of those packages can use it.
package graphs

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// The tolerances for two evaluations of a graph of Random, relative to max(1, max|x|) of the output. The generator
// follows a first-order bound on every node's error and takes no operand that would let it pass 4096 units in the
// last place; roundings do not all go the same way, so 128 are allowed (the largest of 20,000 graphs was 34).
const (
	Tol32 = 128 * 0x1p-23
	Tol64 = 128 * 0x1p-52
)

const (
	maxErr   = 4096 // units in the last place of 1: the bound
	maxBound = 8    // of values' magnitudes
)

// Random returns a graph of 20 to 200 nodes over all kinds, small shapes (rank 0 to 4, sometimes with a dimension of
// 0) and the types f32 and f64 with casts between them, comparisons, integers, noise and custom kernels; one in eight
// has an update. It is a function of the seed alone. Feed gives it values.
//
// Values are bounded and every node well conditioned, and only exactly known values are compared, rounded to integers
// or tested, so that evaluations which round differently agree within Tol32 and Tol64 (that of the coarsest type in
// the graph, which Tolerance finds).
func Random(seed uint64) *ir.Graph {
	return generate(seed, []int{1, 2, 2, 3, 3, 4, 5, 7}, 2000, 20+180, false)
}

// Large is Random with fewer nodes and dimensions up to 300, so that arrays are longer than a tile, a block of rows
// or what one thread takes.
func Large(seed uint64) *ir.Graph {
	return generate(seed, []int{1, 2, 3, 8, 17, 33, 64, 65, 130, 300}, 50000, 20+40, false)
}

// Exact is Random, or in one of four Large, with kinds only whose result is one rounding of the right one: what
// rounds every node to its type has every bit in common, but for the sign of zeros where a sum of pads became a
// concatenation.
func Exact(seed uint64) *ir.Graph {
	if seed%4 == 3 {
		return generate(seed, []int{1, 2, 3, 8, 17, 33, 64, 65, 130, 300}, 50000, 20+40, true)
	}
	return generate(seed, []int{1, 2, 2, 3, 3, 4, 5, 7}, 2000, 20+180, true)
}

// generate makes a graph of dimensions out of dims, arrays of about limit elements at most, and up to nodes nodes.
func generate(seed uint64, dims []int, limit, nodes int, exact bool) *ir.Graph {
	r := &random{Rand: rand.New(rand.NewPCG(seed, 0x67726170687321)), b: ir.NewBuilder(), dims: dims, limit: limit, bits: exact}
	r.float = ir.F32
	if r.IntN(2) == 0 {
		r.float = ir.F64
	}
	r.mixed = exact || r.IntN(3) == 0
	for range 2 + r.IntN(3) {
		r.input(r.shape())
	}
	for want := 20 + r.IntN(nodes-19); len(r.b.G.Nodes) < want; {
		r.grow()
	}
	r.finish()
	if err := r.b.Err(); err != nil {
		panic(fmt.Sprintf("graphs: seed %d: %v", seed, err))
	}
	return r.b.G
}

// Tolerance is the error that evaluations of a graph of Random may differ by, scaled as Tol32 says.
func Tolerance(g *ir.Graph) float64 {
	for i := range g.Nodes {
		if g.Nodes[i].Type == ir.F32 {
			return Tol32
		}
	}
	return Tol64
}

// A fact is what the generator knows of a node: its values lie in [lo, hi], their error is below err units, and exact
// ones have none in any evaluation.
type fact struct {
	lo, hi, err float64
	exact       bool
}

func (f fact) bound() float64 { return max(math.Abs(f.lo), math.Abs(f.hi)) }

type random struct {
	*rand.Rand
	b     *ir.Builder
	facts []fact
	float ir.DType
	mixed bool
	run   ir.ID // the run number, once there is one
	names int
	draws uint64
	dims  []int
	limit int
	bits  bool // only what is exact: every fact is
}

// know records the fact of a node that was just added. Of those that the builder put before it nothing is known: they
// are not chosen as operands.
func (r *random) know(id ir.ID, f fact) ir.ID {
	for len(r.facts) <= int(id) {
		r.facts = append(r.facts, fact{err: math.Inf(1)})
	}
	if r.bits {
		f.err, f.exact = 0, true
	}
	r.facts[id] = f
	return id
}

func (r *random) dim() int { return r.dims[r.IntN(len(r.dims))] }

func (r *random) shape() []int {
	s := make([]int, []int{0, 1, 1, 2, 2, 2, 3, 3, 4}[r.IntN(9)])
	for i := range s {
		if s[i] = r.dim(); ir.Count(s[:i+1]) > r.limit {
			s[i] = 1
		}
	}
	if len(s) > 0 && r.IntN(40) == 0 {
		s[r.IntN(len(s))] = 0
	}
	return s
}

func (r *random) name(prefix string) string {
	r.names++
	return fmt.Sprintf("%s%d", prefix, r.names)
}

func (r *random) input(shape []int) ir.ID {
	id := r.b.Input(r.float, shape, ir.InputAttr{Name: r.name("x"), Resident: r.IntN(6) == 0})
	return r.know(id, fact{lo: -inputBound, hi: inputBound, exact: true})
}

// constant returns a constant of any values, or one value in all places.
func (r *random) constant(shape []int) ir.ID {
	if r.IntN(2) == 0 {
		v := float64(r.IntN(33)-16) / 8
		id := r.b.Full(r.float, shape, v)
		return r.know(id, fact{lo: v, hi: v, exact: true})
	}
	n := ir.Count(shape)
	var data any
	if r.float == ir.F32 {
		d := make([]float32, n)
		for i := range d {
			d[i] = float32(4*r.Float64() - 2)
		}
		data = d
	} else {
		d := make([]float64, n)
		for i := range d {
			d[i] = 4*r.Float64() - 2
		}
		data = d
	}
	return r.know(r.b.Const(r.float, shape, data), fact{lo: -2, hi: 2, exact: true})
}

// node is a recent node, or any, of the float type that ok accepts; a new input if none was found.
func (r *random) node(ok func(id ir.ID, f fact) bool) ir.ID {
	n := len(r.facts)
	for try := range 40 {
		id := ir.ID(r.IntN(n))
		if try < 20 && r.IntN(3) > 0 {
			id = ir.ID(n - 1 - r.IntN(min(n, 10)))
		}
		if f := r.facts[id]; r.b.Type(id) == r.float && f.err <= maxErr && ok(id, f) {
			return id
		}
	}
	return r.input(r.shape())
}

func anything(ir.ID, fact) bool { return true }

func isExact(_ ir.ID, f fact) bool { return f.exact }

// like returns a node of the shape, exact if so wanted, for a second operand: one that is there, or another moved
// into the shape, or a new leaf.
func (r *random) like(shape []int, exact bool) ir.ID {
	for range 30 {
		id := r.node(func(id ir.ID, f fact) bool { return f.exact || !exact })
		s := r.b.Shape(id)
		f := r.facts[id]
		switch {
		case slices.Equal(s, shape):
			return id
		case r.IntN(2) == 0:
			continue
		case broadcasts(s, shape):
			return r.know(r.b.BroadcastTo(id, shape), f)
		case ir.Count(s) == ir.Count(shape):
			return r.know(r.b.Reshape(id, shape), f)
		case len(s) == len(shape):
			return r.fit(id, shape)
		}
	}
	if r.IntN(2) == 0 {
		return r.constant(shape)
	}
	return r.input(shape)
}

// fit slices and pads a node of equal rank into the shape.
func (r *random) fit(id ir.ID, shape []int) ir.ID {
	f := r.facts[id]
	s := slices.Clone(r.b.Shape(id))
	start, step := make([]int, len(s)), make([]int, len(s))
	for i := range s {
		step[i] = 1
		if s[i] > shape[i] {
			start[i] = r.IntN(s[i] - shape[i] + 1)
			s[i] = shape[i]
		}
	}
	if !slices.Equal(s, r.b.Shape(id)) {
		id = r.know(r.b.Slice(id, start, step, s), f)
	}
	if !slices.Equal(s, shape) {
		start = make([]int, len(s))
		for i := range s {
			start[i] = r.IntN(shape[i] - s[i] + 1)
		}
		f.lo, f.hi = min(f.lo, 0), max(f.hi, 0)
		id = r.know(r.b.Pad(id, start, step, slices.Clone(shape)), f)
	}
	return id
}

func broadcasts(from, to []int) bool {
	if len(from) > len(to) {
		return false
	}
	for i, d := range from {
		if t := to[i+len(to)-len(from)]; d != t && d != 1 {
			return false
		}
	}
	return true
}

// settle records a result and, where it grew out of bounds, squashes it back.
func (r *random) settle(id ir.ID, f fact) ir.ID {
	r.know(id, f)
	if f.bound() <= maxBound {
		return id
	}
	how := r.IntN(3)
	if r.bits {
		how = 1 + how%2
	}
	switch how {
	case 0:
		return r.know(r.b.Unary(ir.Tanh, id), fact{lo: -1, hi: 1, err: f.err + 2})
	case 1:
		lo, hi := r.b.Scalar(r.float, -2), r.b.Scalar(r.float, 2)
		id = r.b.Binary(ir.Min, r.b.Binary(ir.Max, id, lo), hi)
		return r.know(id, fact{lo: -2, hi: 2, err: f.err})
	default:
		s := 1 / math.Exp2(math.Ceil(math.Log2(f.bound())))
		id = r.b.BinaryS(ir.Mul, id, s)
		return r.know(id, fact{lo: f.lo * s, hi: f.hi * s, err: f.err*s + 1})
	}
}

// grow adds one operation, or the few that make it well conditioned.
func (r *random) grow() {
	r.b.Src++
	switch k := r.IntN(20); {
	case k < 5:
		r.unary()
	case k < 10:
		r.binary()
	case k < 14:
		r.movement()
	case k < 16:
		r.reduction()
	case k == 16 && !r.bits:
		r.product()
	case k == 17:
		r.choice()
	case k == 18:
		r.rare()
	default:
		if r.IntN(2) == 0 {
			r.input(r.shape())
		} else {
			r.constant(r.shape())
		}
	}
}

func (r *random) unary() {
	x := r.node(anything)
	f := r.facts[x]
	op := []ir.Op{ir.Neg, ir.Abs, ir.Square, ir.Cube, ir.Recip, ir.Sqrt, ir.InvSqrt, ir.Exp, ir.Expm1, ir.Log, ir.Log1p,
		ir.Log2, ir.Tanh, ir.Sigmoid, ir.Softplus, ir.Sin, ir.Cos, ir.Sign, ir.Floor, ir.Ceil}[r.IntN(20)]
	if r.bits {
		op = []ir.Op{ir.Neg, ir.Abs, ir.Square, ir.Recip, ir.Sqrt, ir.Sign, ir.Floor, ir.Ceil}[r.IntN(8)]
	}
	switch op {
	case ir.Sign, ir.Floor, ir.Ceil:
		x = r.node(isExact)
		f = r.facts[x]
		r.know(r.b.Unary(op, x), fact{lo: math.Floor(min(f.lo, -1)), hi: math.Ceil(max(f.hi, 1)), exact: true})
		return
	case ir.Recip, ir.Sqrt, ir.InvSqrt, ir.Log, ir.Log1p, ir.Log2:
		if f.lo < 0.25 { // |x| + 1/2
			x = r.b.BinaryS(ir.Add, r.b.Unary(ir.Abs, x), 0.5)
			f = fact{lo: 0.5, hi: f.bound() + 0.5, err: f.err + f.bound() + 1}
			r.know(x, f)
		}
	case ir.Exp, ir.Expm1:
		if f.bound() > 2.5 {
			x = r.b.Unary(ir.Tanh, x)
			f = fact{lo: -1, hi: 1, err: f.err + 2}
			r.know(x, f)
		}
	}
	g, slope := image(op, f)
	g.err = f.err*slope + 3*max(1, g.bound())
	if op == ir.Neg || op == ir.Abs {
		g.err, g.exact = f.err, f.exact
	}
	if g.err > maxErr/4 {
		return // the operand stays as it is, without a consumer
	}
	r.settle(r.b.Unary(op, x), g)
}

// image returns the range of a monotone or bounded function on a range, and the largest slope.
func image(op ir.Op, f fact) (g fact, slope float64) {
	b := f.bound()
	at := func(x float64) float64 { return op.Info().F(x, 0, 0) }
	switch op {
	case ir.Neg, ir.Abs:
		return fact{lo: -b, hi: b}, 1
	case ir.Square:
		return fact{lo: 0, hi: b * b}, 2 * b
	case ir.Cube:
		return fact{lo: -b * b * b, hi: b * b * b}, 3 * b * b
	case ir.Recip:
		return fact{lo: at(f.hi), hi: at(f.lo)}, 1 / (f.lo * f.lo)
	case ir.InvSqrt:
		return fact{lo: at(f.hi), hi: at(f.lo)}, 0.5 / (f.lo * math.Sqrt(f.lo))
	case ir.Sqrt:
		return fact{lo: at(f.lo), hi: at(f.hi)}, 0.5 / math.Sqrt(f.lo)
	case ir.Log, ir.Log2:
		return fact{lo: at(f.lo), hi: at(f.hi)}, 1.5 / f.lo
	case ir.Exp, ir.Expm1:
		return fact{lo: at(f.lo), hi: at(f.hi)}, math.Exp(f.hi)
	case ir.Sin, ir.Cos:
		return fact{lo: -1, hi: 1}, 1
	}
	return fact{lo: at(f.lo), hi: at(f.hi)}, 1 // log1p of positive numbers, tanh, sigmoid, softplus
}
