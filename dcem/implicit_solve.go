package dcem

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	gonum "gonum.org/v1/gonum/mat"
	G "gorgonia.org/gorgonia"
)

// freeOp is 0 for a coordinate that is held at a bound, else 1: inputs y, g (B, D).
type freeOp[T kernels.Float] struct{ bounds[T] }

func (k freeOp[T]) String() string         { return fmt.Sprintf("dcem.Free{%v}", k.bounds) }
func (k freeOp[T]) Rules() []*graphop.Rule { return []*graphop.Rule{nil, nil} }
func (k freeOp[T]) Run(out any, in []any) {
	o, y, g := out.([]T), in[0].([]T), in[1].([]T)
	d := max(len(k.lower), len(k.upper))
	for i := range o {
		o[i] = 1
		if k.lower != nil && y[i] <= k.lower[i%d] && g[i] > 0 || k.upper != nil && y[i] >= k.upper[i%d] && g[i] < 0 {
			o[i] = 0
		}
	}
}

// Lower implements graphop.Lowerer.
func (k freeOp[T]) Lower(b *ir.Builder, dt ir.DType, shape []int, in []ir.ID) ir.ID {
	free, zero := b.Full(dt, shape, 1), b.Full(dt, shape, 0)
	k.each(b, in[0], func(outside ir.Op, bound ir.ID) {
		beyond, pull := ir.Le, ir.Gt
		if outside == ir.Gt {
			beyond, pull = ir.Ge, ir.Lt
		}
		held := b.Binary(ir.And, b.Binary(beyond, in[0], bound), b.Binary(pull, in[1], zero))
		free = b.Where(held, zero, free)
	})
	return free
}

// unitOp is the i-th unit vector for each problem of its input (B, D).
type unitOp[T kernels.Float] struct{ d, i int }

func (k unitOp[T]) String() string         { return fmt.Sprintf("dcem.Unit{%d of %d}", k.i, k.d) }
func (k unitOp[T]) Rules() []*graphop.Rule { return []*graphop.Rule{nil} }
func (k unitOp[T]) Run(out any, _ []any) {
	o := out.([]T)
	clear(o)
	for i := k.i; i < len(o); i += k.d {
		o[i] = 1
	}
}

// Lower implements graphop.Lowerer.
func (k unitOp[T]) Lower(b *ir.Builder, dt ir.DType, shape []int, _ []ir.ID) ir.ID {
	e := make([]T, k.d)
	e[k.i] = 1
	return b.BroadcastTo(b.Const(dt, []int{k.d}, e), shape)
}

// denseOp solves J'w = v and J s = g for each problem over its free coordinates: inputs v, g, y, free and the D rows of
// J, (B, D) each. The result (B, D+3, 1) is w, the reciprocal of J's condition (1-norm), the largest |s| relative to
// max(1, |y|), and the largest |J'w - v| relative to |v|. Where J is singular w is 0.
type denseOp[T kernels.Float] struct{ b, d int }

func (k denseOp[T]) String() string { return fmt.Sprintf("dcem.ImplicitSolve{d=%d}", k.d) }
func (k denseOp[T]) Rules() []*graphop.Rule {
	rules := make([]*graphop.Rule, 4+k.d)
	for i := range rules {
		rules[i] = graphop.By(onlyOnce{k}, graphop.Gradient)
	}
	return rules
}

func (k denseOp[T]) Run(out any, in []any) {
	o := out.([]T)
	d := k.d
	j, lu := gonum.NewDense(d, d, nil), gonum.LU{}
	v, g, w, s := gonum.NewVecDense(d, nil), gonum.NewVecDense(d, nil), gonum.NewVecDense(d, nil), gonum.NewVecDense(d, nil)
	for b := range k.b {
		row := o[b*(d+3) : (b+1)*(d+3)]
		clear(row)
		at := func(i int) []T { return in[i].([]T)[b*d : (b+1)*d] }
		free, y := at(3), at(2)
		finite := true
		for i := range d {
			v.SetVec(i, float64(free[i])*float64(at(0)[i]))
			g.SetVec(i, float64(free[i])*float64(at(1)[i]))
			finite = finite && isReal(v.AtVec(i)) && isReal(g.AtVec(i))
			for c, x := range at(4 + i) {
				x := float64(x) * float64(free[i]) * float64(free[c])
				if i == c && free[i] == 0 {
					x = 1
				}
				j.Set(i, c, x)
				finite = finite && isReal(x)
			}
		}
		figures := row[d:]
		if !finite {
			figures[0], figures[1], figures[2] = T(math.NaN()), T(math.NaN()), T(math.NaN())
			continue
		}
		lu.Factorize(j)
		cond := lu.Cond()
		if !(1/cond > 0) || lu.SolveVecTo(w, true, v) != nil && !(1/cond > epsilon[T]()*float64(d)) {
			figures[1], figures[2] = T(math.Inf(1)), 1
			continue
		}
		// gonum reports an ill-conditioned system as an error and still solves it; the condition is told by itself.
		_ = lu.SolveVecTo(s, false, g)
		figures[0] = T(1 / cond)
		step, size, off := 0.0, 0.0, 0.0
		for i := range d {
			row[i] = T(w.AtVec(i))
			step = math.Max(step, math.Abs(s.AtVec(i))/math.Max(1, math.Abs(float64(y[i]))))
			size = math.Max(size, math.Abs(v.AtVec(i)))
			sum := -v.AtVec(i)
			for c := range d {
				sum += j.At(c, i) * w.AtVec(c)
			}
			off = math.Max(off, math.Abs(sum))
		}
		figures[1] = T(step)
		if size > 0 {
			figures[2] = T(off / size)
		}
	}
}

func isReal(x float64) bool { return x-x == 0 }

// epsilon is the distance from 1 to the next number of the type.
func epsilon[T kernels.Float]() float64 {
	if dtypeOf[T]().Size() == 4 {
		return 0x1p-23
	}
	return 0x1p-52
}

// onlyOnce stands for the derivative of an op that has none.
type onlyOnce struct{ graphop.Kernel }

// Refuse implements graphop.Refuser.
func (k onlyOnce) Refuse() error {
	return fmt.Errorf("dcem: %v has no derivative: second derivatives of Implicit are not available", k.Kernel)
}

// dense solves J'w = v by the Jacobian's rows, one vector-Jacobian product each.
func (s *ImplicitGradient) dense(y, g, v *G.Node) (w, figures *G.Node, err error) {
	in := G.Nodes{v, g, y, s.free}
	for i := range s.d {
		e, err := typed(y.Dtype(), unitOp[float32]{s.d, i}, unitOp[float64]{s.d, i}, y.Shape(), y)
		if err != nil {
			return nil, nil, err
		}
		row, err := autodiff.VJP(G.Nodes{g}, G.Nodes{e}, y)
		if err != nil {
			return nil, nil, err
		}
		in = append(in, row[0])
	}
	all, err := typed(y.Dtype(), denseOp[float32]{s.b, s.d}, denseOp[float64]{s.b, s.d}, []int{s.b, s.d + 3, 1}, in...)
	if err != nil {
		return nil, nil, err
	}
	if w, err = s.columns(all, 0, s.d); err != nil {
		return nil, nil, err
	}
	figures, err = s.columns(all, s.d, 3)
	return w, figures, err
}

// columns are m columns of x (B, D+3, 1) from the at-th on, (B, m).
func (s *ImplicitGradient) columns(x *G.Node, at, m int) (*G.Node, error) {
	z := size{s.b, s.d + 3, 1}
	part, err := typed(x.Dtype(), slotsOp[float32]{z, at, m}, slotsOp[float64]{z, at, m}, []int{s.b, m, 1}, x)
	if err != nil {
		return nil, err
	}
	return autodiff.Reshape(part, s.b, m)
}

// ratioOp is a/b where b is above 0 and a above tolerance^2 * c, else 0: inputs a, b, c. It is how a problem of the
// conjugate gradients stops.
type ratioOp[T kernels.Float] struct{ tolerance float64 }

func (k ratioOp[T]) String() string { return fmt.Sprintf("dcem.Ratio{%v}", k.tolerance) }
func (k ratioOp[T]) Rules() []*graphop.Rule {
	r := graphop.By(onlyOnce{k}, graphop.Gradient)
	return []*graphop.Rule{r, r, r}
}
func (k ratioOp[T]) Run(out any, in []any) {
	o, a, b, c := out.([]T), in[0].([]T), in[1].([]T), in[2].([]T)
	square := T(k.tolerance * k.tolerance)
	for i := range o {
		o[i] = 0
		if b[i] > 0 && a[i] > T(square*c[i]) {
			o[i] = a[i] / b[i]
		}
	}
}

// Lower implements graphop.Lowerer.
func (k ratioOp[T]) Lower(b *ir.Builder, dt ir.DType, shape []int, in []ir.ID) ir.ID {
	zero := b.Full(dt, shape, 0)
	limit := b.BinaryS(ir.Mul, in[2], float64(T(k.tolerance*k.tolerance)))
	ok := b.Binary(ir.And, b.Binary(ir.Gt, in[1], zero), b.Binary(ir.Gt, in[0], limit))
	return b.Where(ok, b.Binary(ir.Div, in[0], in[1]), zero)
}

// A cgBuilder adds nodes until the first error.
type cgBuilder struct {
	s   *ImplicitGradient
	z   size
	y   *G.Node
	g   *G.Node
	err error
}

func (c *cgBuilder) contract(out kernels.Pattern, in []kernels.Pattern, x ...*G.Node) (n *G.Node) {
	if c.err == nil {
		n, c.err = contract(c.z, 1, out, in, x...)
	}
	return n
}

// dot is <a, b> of each problem, (B, 1).
func (c *cgBuilder) dot(a, b *G.Node) *G.Node {
	return c.contract(kernels.BN, []kernels.Pattern{kernels.BD, kernels.BD}, a, b)
}

// times is a (B, 1) x (B, D).
func (c *cgBuilder) times(a, x *G.Node) *G.Node {
	return c.contract(kernels.BD, []kernels.Pattern{kernels.BN, kernels.BD}, a, x)
}

func (c *cgBuilder) masked(x *G.Node) *G.Node {
	return c.contract(kernels.BD, []kernels.Pattern{kernels.BD, kernels.BD}, x, c.s.free)
}

func (c *cgBuilder) sum(f func(a, b *G.Node) (*G.Node, error), a, b *G.Node) (n *G.Node) {
	if c.err == nil {
		n, c.err = f(a, b)
	}
	return n
}

func (c *cgBuilder) ratio(a, b, d *G.Node, tolerance float64) (n *G.Node) {
	if c.err == nil {
		n, c.err = typed(a.Dtype(), ratioOp[float32]{tolerance}, ratioOp[float64]{tolerance}, a.Shape(), a, b, d)
	}
	return n
}

// product is J'p over the free coordinates.
func (c *cgBuilder) product(p *G.Node) *G.Node {
	if c.err != nil {
		return nil
	}
	grads, err := autodiff.VJP(G.Nodes{c.g}, G.Nodes{p}, c.y)
	if c.err = err; err != nil {
		return nil
	}
	return c.masked(grads[0])
}

func add(a, b *G.Node) (*G.Node, error) { return G.Add(a, b) }
func sub(a, b *G.Node) (*G.Node, error) { return G.Sub(a, b) }

// solve is x with J'x = r, r masked, and what is left, J'x - r: conjugate gradients (Hestenes and Stiefel 1952), all
// problems side by side; one that has met the tolerance, or finds no positive curvature, stands still.
func (c *cgBuilder) solve(r *G.Node) (x, left *G.Node) {
	// The figures' norm is that of the largest element, which is at least that of dot over sqrt(d).
	stop := c.s.c.Tolerance / (2 * math.Sqrt(math.Max(4, float64(c.s.d))))
	right, start := r, c.dot(r, r)
	x, p, rr := c.sum(sub, r, r), r, start
	for i := range c.s.c.Iterations {
		h := c.product(p)
		alpha := c.ratio(rr, c.dot(p, h), start, stop)
		x = c.sum(add, x, c.times(alpha, p))
		r = c.sum(sub, r, c.times(alpha, h))
		next := c.dot(r, r)
		if i+1 < c.s.c.Iterations {
			p = c.sum(add, r, c.times(c.ratio(next, rr, start, stop), p))
		}
		rr = next
	}
	// Computed anew: the recursion's residual drifts from it.
	return x, c.sum(sub, c.product(x), right)
}

// conjugate solves J'w = v and, for Newton's step s, J s = g, which is J's = g where J is symmetric.
func (s *ImplicitGradient) conjugate(y, g, v *G.Node) (w, figures *G.Node, err error) {
	c := &cgBuilder{s: s, z: size{s.b, 1, s.d}, y: y, g: g}
	right, pull := c.masked(v), c.masked(g)
	w, left := c.solve(right)
	step, stepLeft := c.solve(pull)
	if c.err != nil {
		return nil, nil, c.err
	}
	figures, err = typed(y.Dtype(), cgFiguresOp[float32]{s.b, s.d}, cgFiguresOp[float64]{s.b, s.d}, []int{s.b, 3},
		left, right, step, y, pull, stepLeft)
	return w, figures, err
}

// cgFiguresOp gathers what is told of a problem, as denseOp's last three; the condition is unknown, 1, and the last is
// the larger one of the two systems. Inputs J'w - v, v, s, y, g, J s - g.
type cgFiguresOp[T kernels.Float] struct{ b, d int }

func (k cgFiguresOp[T]) String() string { return fmt.Sprintf("dcem.ImplicitFigures{d=%d}", k.d) }
func (k cgFiguresOp[T]) Rules() []*graphop.Rule {
	return make([]*graphop.Rule, 6)
}
func (k cgFiguresOp[T]) Run(out any, in []any) {
	o := out.([]T)
	for b := range k.b {
		at := func(i int) []T { return in[i].([]T)[b*k.d : (b+1)*k.d] }
		largest := func(i int) (most float64) {
			for _, x := range at(i) {
				most = math.Max(most, math.Abs(float64(x)))
			}
			return most
		}
		relative := func(left, right float64) float64 {
			if right > 0 {
				return left / right
			}
			return left
		}
		step, pull := 0.0, largest(4)
		for i, y := range at(3) {
			step = math.Max(step, math.Abs(float64(at(2)[i]))/math.Max(1, math.Abs(float64(y))))
		}
		if step == 0 && pull > 0 { // no positive curvature along the residual: no minimum is near
			step = math.Inf(1)
		}
		off := math.Max(relative(largest(0), largest(1)), relative(largest(5), pull))
		o[3*b], o[3*b+1], o[3*b+2] = 1, T(step), T(off)
	}
}
