package graphs

import (
	"math"
	"slices"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
)

func (r *random) binary() {
	op := []ir.Op{ir.Add, ir.Add, ir.Sub, ir.Mul, ir.Mul, ir.Div, ir.Pow, ir.Max, ir.Min, ir.Atan2}[r.IntN(10)]
	if r.bits && (op == ir.Pow || op == ir.Atan2) {
		op = ir.Sub
	}
	x := r.node(anything)
	y := x
	if r.IntN(12) > 0 {
		y = r.like(slices.Clone(r.b.Shape(x)), false)
	}
	f, g := r.facts[x], r.facts[y]
	positive := func(id ir.ID, f fact) (ir.ID, fact) {
		if f.lo >= 0.25 {
			return id, f
		}
		h := fact{lo: 0.5, hi: f.bound() + 0.5, err: f.err + f.bound() + 1}
		return r.know(r.b.BinaryS(ir.Add, r.b.Unary(ir.Abs, id), 0.5), h), h
	}
	var out fact
	bf, bg := f.bound(), g.bound()
	switch op {
	case ir.Add, ir.Sub:
		out = fact{lo: -bf - bg, hi: bf + bg, err: f.err + g.err + bf + bg}
	case ir.Mul:
		out = fact{lo: -bf * bg, hi: bf * bg, err: f.err*bg + g.err*bf + bf*bg}
	case ir.Max, ir.Min:
		out = fact{lo: min(f.lo, g.lo), hi: max(f.hi, g.hi), err: max(f.err, g.err), exact: f.exact && g.exact}
	case ir.Div:
		y, g = positive(y, g)
		out = fact{lo: -bf / g.lo, hi: bf / g.lo, err: f.err/g.lo + g.err*bf/(g.lo*g.lo) + bf/g.lo}
	case ir.Atan2:
		y, g = positive(y, g)
		out = fact{lo: -math.Pi / 2, hi: math.Pi / 2, err: (f.err+g.err)/g.lo + 4}
	case ir.Pow:
		if bg > 2 {
			return
		}
		x, f = positive(x, f)
		top := math.Pow(max(f.hi, 1/f.lo), bg)
		slope := top * max(bg/f.lo, math.Abs(math.Log(f.lo)), math.Log(max(f.hi, 1)))
		out = fact{lo: 0, hi: top, err: (f.err+g.err)*slope + 4*top}
	}
	if out.err > maxErr/4 {
		return
	}
	if out.bound() > 1e4 {
		return
	}
	r.settle(r.b.Binary(op, x, y), out)
}

func (r *random) movement() {
	x := r.node(anything)
	f := r.facts[x]
	s := slices.Clone(r.b.Shape(x))
	switch r.IntN(6) {
	case 0:
		r.know(r.b.Transpose(x, r.Perm(len(s))...), f)
	case 1: // a slice with steps
		start, step, shape := make([]int, len(s)), make([]int, len(s)), make([]int, len(s))
		for i, d := range s {
			step[i] = 1 + r.IntN(2)
			if d > 0 {
				start[i] = r.IntN(d)
				shape[i] = 1 + r.IntN((d-start[i]-1)/step[i]+1)
			}
		}
		r.know(r.b.Slice(x, start, step, shape), f)
	case 2:
		start, step, shape := make([]int, len(s)), make([]int, len(s)), make([]int, len(s))
		for i, d := range s {
			start[i], step[i] = r.IntN(3), 1+r.IntN(2)
			shape[i] = start[i] + max(0, (d-1)*step[i]+1) + r.IntN(3)
		}
		if ir.Count(shape) <= r.limit {
			f.lo, f.hi = min(f.lo, 0), max(f.hi, 0)
			r.know(r.b.Pad(x, start, step, shape), f)
		}
	case 3:
		r.know(r.b.Reshape(x, r.factors(ir.Count(s))), f)
	case 4:
		shape := slices.Clone(s)
		for i, d := range shape {
			if d == 1 {
				shape[i] = r.dim()
			}
		}
		for len(shape) < 4 && r.IntN(2) == 0 {
			shape = slices.Insert(shape, 0, r.dim())
		}
		if ir.Count(shape) <= r.limit {
			r.know(r.b.BroadcastTo(x, shape), f)
		}
	case 5:
		if len(s) == 0 {
			return
		}
		axis := r.IntN(len(s))
		parts := []ir.ID{x}
		for range 1 + r.IntN(3) {
			t := slices.Clone(s)
			if t[axis] = r.dim(); ir.Count(s)+ir.Count(t) > r.limit {
				break
			}
			y := r.like(t, false)
			g := r.facts[y]
			f = fact{lo: min(f.lo, g.lo), hi: max(f.hi, g.hi), err: max(f.err, g.err), exact: f.exact && g.exact}
			parts = append(parts, y)
		}
		r.know(r.b.Concat(axis, parts...), f)
	}
}

// factors writes n as a product of up to four dimensions.
func (r *random) factors(n int) []int {
	if n == 1 && r.IntN(2) == 0 {
		return nil
	}
	var s []int
	for len(s) < 3 && n > 1 {
		var divisors []int
		for d := 1; d <= n; d++ {
			if n%d == 0 {
				divisors = append(divisors, d)
			}
		}
		d := divisors[r.IntN(len(divisors))]
		s = append(s, d)
		n /= d
	}
	return append(s, n)
}

func (r *random) reduction() {
	x := r.node(func(id ir.ID, f fact) bool { return len(r.b.Shape(id)) > 0 })
	f, s := r.facts[x], r.b.Shape(x)
	if len(s) == 0 {
		return
	}
	axes := r.Perm(len(s))[:1+r.IntN(len(s))]
	n := 1
	for _, a := range axes {
		n *= s[a]
	}
	op := []ir.Op{ir.ReduceSum, ir.ReduceSum, ir.ReduceSum, ir.ReduceMax, ir.ReduceMin, ir.ReduceProd}[r.IntN(6)]
	if r.bits {
		if op = ir.ReduceMin; r.IntN(2) == 0 {
			op = ir.ReduceMax
		}
		if ir.Count(s) == 0 {
			return
		}
	}
	if op == ir.ReduceSum && n > 32 {
		x, f = r.shrink(x, f, n)
	}
	b, count := f.bound(), float64(n)
	out := f
	switch {
	case op == ir.ReduceSum || n == 0:
		op = ir.ReduceSum
		out = fact{lo: -b * count, hi: b * count, err: count*f.err + 4*count*b}
	case op == ir.ReduceProd:
		top := math.Pow(max(b, 1), count)
		out = fact{lo: -top, hi: top, err: count * top * (f.err + 1)}
	}
	if out.err > maxErr/4 || out.bound() > 1e4 {
		return
	}
	r.settle(r.b.Reduce(op, x, axes...), out)
}

func (r *random) product() {
	x := r.node(func(id ir.ID, f fact) bool { return len(r.b.Shape(id)) >= 2 })
	s := slices.Clone(r.b.Shape(x))
	if len(s) < 2 {
		return
	}
	d := len(s)
	t := ir.Trans{A: r.IntN(2) == 0, B: r.IntN(2) == 0}
	k := s[d-1]
	if t.A {
		k = s[d-2]
	}
	s[d-2], s[d-1] = k, r.dim()
	if t.B {
		s[d-2], s[d-1] = s[d-1], s[d-2]
	}
	m := r.b.Node(x).Count() / max(k, 1)
	if n := s[d-1] * s[d-2] / max(k, 1); m*n > r.limit || m*n*k > 100*r.limit {
		return
	}
	y := r.like(s, false)
	f, g := r.facts[x], r.facts[y]
	if k > 32 {
		x, f = r.shrink(x, f, k)
	}
	top := float64(k) * f.bound() * g.bound()
	out := fact{lo: -top, hi: top, err: float64(k)*(f.err*g.bound()+g.err*f.bound()) + 4*top}
	if out.err > maxErr/4 || top > 1e4 {
		return
	}
	r.settle(r.b.Dot(x, y, t), out)
}

// shrink divides a value by about n, so that a sum of n of it stays small.
func (r *random) shrink(x ir.ID, f fact, n int) (ir.ID, fact) {
	c := math.Exp2(-math.Ceil(math.Log2(float64(n))))
	f = fact{lo: f.lo * c, hi: f.hi * c, err: f.err*c + 1e-3, exact: f.exact} // a power of 2: without rounding
	return r.know(r.b.BinaryS(ir.Mul, x, c), f), f
}

// choice adds a comparison of exact values, perhaps some logic, and what depends on it.
func (r *random) choice() {
	x := r.node(isExact)
	shape := slices.Clone(r.b.Shape(x))
	y := r.like(shape, true)
	bit := fact{lo: 0, hi: 1, exact: true}
	op := []ir.Op{ir.Lt, ir.Le, ir.Gt, ir.Ge, ir.Eq, ir.Ne}[r.IntN(6)]
	if r.IntN(3) == 0 { // 0 and 1 in the operands' own type
		r.know(r.b.Compare(op, r.float, x, y), bit)
		return
	}
	c := r.know(r.b.Binary(op, x, y), bit)
	switch r.IntN(5) {
	case 0:
		c = r.know(r.b.Unary(ir.Not, c), bit)
	case 1, 2:
		e := r.know(r.b.Binary(ir.Ge, r.like(shape, true), x), bit)
		logic := ir.And
		if r.IntN(2) == 0 {
			logic = ir.Or
		}
		c = r.know(r.b.Binary(logic, c, e), bit)
	}
	switch r.IntN(4) {
	case 0:
		t := []ir.DType{r.float, r.float, ir.Int64, ir.Int, ir.Int32, ir.Uint8}[r.IntN(6)]
		r.know(r.b.Cast(t, c), bit)
	default:
		a, b := r.like(shape, false), r.like(shape, false)
		f, g := r.facts[a], r.facts[b]
		r.know(r.b.Where(c, a, b), fact{lo: min(f.lo, g.lo), hi: max(f.hi, g.hi), err: max(f.err, g.err),
			exact: f.exact && g.exact})
	}
}

// rare adds noise, a custom kernel or a cast there and back.
func (r *random) rare() {
	switch r.IntN(3) {
	case 0:
		if r.run == 0 {
			r.run = r.know(r.b.Input(ir.Int64, nil, ir.InputAttr{Name: "run", RunNumber: true}), fact{exact: true})
		}
		r.draws++
		rnd := ir.Rand{Seed: 12345, Draw: r.draws}
		if r.IntN(3) == 0 {
			r.know(r.b.Random(ir.Uniform, r.float, r.shape(), rnd, r.run), fact{lo: 0, hi: 1, exact: true})
		} else {
			r.know(r.b.Random(ir.Normal, r.float, r.shape(), rnd, r.run), fact{lo: -8.6, hi: 8.6, exact: true})
		}
	case 1:
		x := r.node(anything)
		f := r.facts[x]
		if r.b.Node(x).Count() == 0 || r.bits {
			return
		}
		r.know(r.b.Custom(Centre{}, r.float, slices.Clone(r.b.Shape(x)), x),
			fact{lo: -2 * f.bound(), hi: 2 * f.bound(), err: 2*f.err + 8*f.bound()})
	case 2:
		if !r.mixed {
			x := r.node(isExact)
			i := r.know(r.b.Cast([]ir.DType{ir.Int64, ir.Int, ir.Int32, ir.Bool}[r.IntN(4)], x), r.facts[x])
			b := max(1, r.facts[x].bound())
			r.know(r.b.Cast(r.float, i), fact{lo: -b, hi: b, exact: true})
			return
		}
		x := r.node(anything)
		f := r.facts[x]
		if r.float == ir.F32 {
			r.float = ir.F64
		} else {
			r.float = ir.F32
			f.err += f.bound()
			// Rounding is a step function: of a value that is not exact it may go either way, by one unit.
		}
		r.know(r.b.Cast(r.float, x), f)
	}
}

// finish chooses outputs, and in one graph of eight an update.
func (r *random) finish() {
	n := len(r.b.G.Nodes)
	used := make([]bool, n)
	for i := range r.b.G.Nodes {
		for _, in := range r.b.G.Nodes[i].In {
			used[in] = true
		}
	}
	for i := range n {
		if !used[i] && r.IntN(3) > 0 || r.IntN(20) == 0 {
			r.b.Output(ir.ID(i))
		}
	}
	r.b.Output(ir.ID(n - 1))
	if r.IntN(4) == 0 {
		r.b.Output(r.b.G.Outputs[r.IntN(len(r.b.G.Outputs))]) // the same node once more
	}
	if r.IntN(8) > 0 || r.bits {
		return
	}
	// Momentum only: Adam and RMSProp take the sign of a gradient near 0, which is not well conditioned.
	u := ir.Update{Optimizer: kernels.Optimizer{Method: kernels.Momentum, Rate: 0.1, Momentum: 0.5, ClipNorm: 4},
		Loss: -1}
	for range 1 + r.IntN(3) {
		g := r.node(func(id ir.ID, f fact) bool { return r.b.Node(id).Count() > 0 })
		p := r.b.Input(r.float, slices.Clone(r.b.Shape(g)), ir.InputAttr{Name: r.name("p"), Resident: true})
		r.know(p, fact{lo: -inputBound, hi: inputBound, exact: true})
		y := r.b.Binary(ir.Mul, p, g)
		r.know(y, r.facts[p])
		r.b.Output(y)
		u.Params, u.Grads = append(u.Params, p), append(u.Grads, g)
	}
	r.b.G.Updates = append(r.b.G.Updates, u)
}
