package pass

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/godcem/godcem/engine/ir"
)

// A maker makes random graphs in which whatever the passes look for is frequent.
type maker struct {
	*ir.Builder
	r *rand.Rand
	// summed marks what depends on a sum or a product of matrices. None is taken of it again, for sums of sums may
	// round differently once they are one.
	summed []bool
	pads   bool // sums of pads, and nothing that tells -0 from 0
}

func (m *maker) pick(ok func(n *ir.Node) bool) ir.ID {
	for range 20 {
		// Late nodes more often: chains.
		back := min(m.r.IntN(len(m.G.Nodes)), m.r.IntN(len(m.G.Nodes)))
		if id := ir.ID(len(m.G.Nodes) - 1 - back); ok(m.Node(id)) {
			return id
		}
	}
	return 0 // the first is an f64 input of two dimensions
}

func (m *maker) float() ir.ID { return m.pick(func(n *ir.Node) bool { return n.Type.Float() }) }

// partner returns a node to calculate with x.
func (m *maker) partner(x ir.ID) ir.ID {
	n := *m.Node(x)
	switch m.r.IntN(4) {
	case 0:
		v := specials[m.r.IntN(len(specials))]
		if m.pads {
			v = float64(m.r.IntN(5))
		}
		return m.Full(n.Type, n.Shape, v)
	case 1:
		return x
	}
	for range 20 {
		y := m.pick(func(o *ir.Node) bool { return o.Type == n.Type })
		if m.Type(y) != n.Type {
			continue
		}
		if s := m.Shape(y); slices.Equal(s, n.Shape) {
			return y
		} else if fitsInto(s, n.Shape) {
			return m.BroadcastTo(y, n.Shape)
		}
	}
	return x
}

func fitsInto(small, large []int) bool {
	if len(small) > len(large) {
		return false
	}
	for i, d := range small {
		if e := large[len(large)-len(small)+i]; d != e && d != 1 {
			return false
		}
	}
	return true
}

var (
	unaries = []ir.Op{ir.Neg, ir.Neg, ir.Abs, ir.Sign, ir.Floor, ir.Ceil, ir.Square, ir.Cube, ir.Recip, ir.Sqrt,
		ir.InvSqrt, ir.Exp, ir.Tanh, ir.Softplus}
	binaries    = []ir.Op{ir.Add, ir.Sub, ir.Mul, ir.Div, ir.Max, ir.Min, ir.Pow, ir.Atan2}
	comparisons = []ir.Op{ir.Lt, ir.Le, ir.Gt, ir.Ge, ir.Eq, ir.Ne}
)

func (m *maker) step() {
	if m.pads {
		m.padStep()
		return
	}
	x := m.float()
	s := m.Shape(x)
	switch m.r.IntN(14) {
	case 0, 1:
		m.Unary(unaries[m.r.IntN(len(unaries))], x)
	case 2, 3, 4:
		y := m.partner(x)
		if m.r.IntN(2) == 0 {
			x, y = y, x
		}
		m.Binary(binaries[m.r.IntN(len(binaries))], x, y)
	case 5:
		t := ir.Bool
		if m.r.IntN(2) == 0 {
			t = m.Type(x)
		}
		c := m.Compare(comparisons[m.r.IntN(len(comparisons))], t, x, m.partner(x))
		if m.r.IntN(2) == 0 {
			c = m.Add(ir.Not, t, s, nil, c)
		}
		if m.r.IntN(3) == 0 {
			c = m.Cast([]ir.DType{ir.F32, ir.F64, ir.Uint8}[m.r.IntN(3)], c)
		}
		m.Where(c, m.partner(x), m.partner(x))
	case 6:
		m.Cast([]ir.DType{ir.F32, ir.F64}[m.r.IntN(2)], m.pick(func(*ir.Node) bool { return true }))
	case 7:
		c := m.Cast([]ir.DType{ir.Bool, ir.Int32, ir.Int64, ir.Uint8, ir.F64}[m.r.IntN(5)], x)
		m.Cast([]ir.DType{ir.F32, ir.F64, ir.Uint8, ir.Bool}[m.r.IntN(4)], c)
	case 8, 10:
		m.reduceOrDot(x)
	case 9:
		if m.r.IntN(3) == 0 {
			m.Random([]ir.Op{ir.Normal, ir.Uniform}[m.r.IntN(2)], m.Type(x), s, ir.Rand{Seed: uint64(m.r.IntN(2))}, 2)
		} else {
			m.Custom(testKernel{float64(m.r.IntN(2)), m.r.IntN(3) == 0}, m.Type(x), s, x)
		}
	default:
		m.move(m.pick(func(*ir.Node) bool { return true }))
	}
}

func (m *maker) padStep() {
	switch x := m.float(); m.r.IntN(6) {
	case 0:
		m.Unary([]ir.Op{ir.Neg, ir.Tanh, ir.Square}[m.r.IntN(3)], x)
	case 1:
		m.Binary([]ir.Op{ir.Add, ir.Sub, ir.Mul}[m.r.IntN(3)], x, m.partner(x))
	case 2:
		m.move(x)
	default: // a chain of pads and others
		shape := []int{4 + m.r.IntN(3), 1 + m.r.IntN(4)}
		acc := m.term(shape)
		for range m.r.IntN(8) {
			t := m.term(shape)
			if m.r.IntN(2) == 0 {
				acc, t = t, acc
			}
			acc = m.Binary(ir.Add, acc, t)
		}
	}
}

func (m *maker) term(shape []int) ir.ID {
	if m.r.IntN(6) == 0 {
		return m.BroadcastTo(m.Full(ir.F64, nil, float64(m.r.IntN(3))), shape)
	}
	a, small := m.span(shape)
	if m.r.IntN(2) == 0 { // whole along the second axis, as slices of controls are
		a.Start[1], a.Step[1], small[1] = 0, 1, shape[1]
	}
	x := m.Input(ir.F64, small, ir.InputAttr{Name: fmt.Sprint("p", len(m.G.Nodes))})
	if m.r.IntN(2) == 0 {
		x = m.Unary(ir.Tanh, x)
	}
	return m.Pad(x, a.Start, a.Step, shape)
}

// span is a random span within a shape, and the shape of what it names.
func (m *maker) span(shape []int) (ir.Span, []int) {
	a := ir.Span{Start: make([]int, len(shape)), Step: make([]int, len(shape))}
	small := make([]int, len(shape))
	for i, d := range shape {
		a.Step[i] = 1 + m.r.IntN(4)/2
		if d == 0 {
			continue
		}
		a.Start[i] = m.r.IntN(d)
		if m.r.IntN(3) == 0 {
			a.Start[i], a.Step[i] = 0, 1
		}
		most := (d-a.Start[i]-1)/a.Step[i] + 1
		small[i] = 1 + m.r.IntN(most)
		if m.r.IntN(3) == 0 {
			small[i] = most
		}
		if !m.pads && m.r.IntN(30) == 0 {
			small[i] = 0
		}
	}
	return a, small
}

func (m *maker) move(x ir.ID) {
	s := m.Shape(x)
	switch m.r.IntN(6) {
	case 0:
		to := slices.Clone(s)
		switch m.r.IntN(3) {
		case 0:
			to = []int{ir.Count(s)}
		case 1:
			to = slices.Insert(to, m.r.IntN(len(to)+1), 1)
		case 2:
			to = slices.DeleteFunc(to, func(d int) bool { return d == 1 })
		}
		if len(to) <= 4 {
			m.Reshape(x, to)
		}
	case 1:
		m.Transpose(x, m.r.Perm(len(s))...)
	case 2:
		if ir.Count(s) <= 60 && len(s) < 4 {
			to := append([]int{1 + m.r.IntN(3)}, s...)
			for i := range to {
				if to[i] == 1 {
					to[i] = 1 + m.r.IntN(3)
				}
			}
			m.BroadcastTo(x, to)
		}
	case 3, 4:
		a, small := m.span(s)
		m.Slice(x, a.Start, a.Step, small)
	case 5:
		if len(s) > 0 {
			axis := m.r.IntN(len(s))
			at := m.r.IntN(s[axis] + 1)
			a := ir.Span{Start: make([]int, len(s)), Step: slices.Repeat([]int{1}, len(s))}
			low, high := slices.Clone(s), slices.Clone(s)
			low[axis], high[axis] = at, s[axis]-at
			b := ir.Span{Start: slices.Clone(a.Start), Step: a.Step}
			if b.Start[axis] = at; at == s[axis] {
				b.Start[axis] = 0
			}
			y, z := m.Slice(x, a.Start, a.Step, low), m.Slice(x, b.Start, b.Step, high)
			if m.r.IntN(2) == 0 {
				y, z = z, y
			}
			if 2*ir.Count(s) <= 60 {
				m.Concat(axis, y, z, x)
			} else {
				m.Concat(axis, y, z)
			}
		}
	}
}

func (m *maker) reduceOrDot(x ir.ID) {
	s := m.Shape(x)
	var axes []int
	for i := range s {
		if m.r.IntN(2) == 0 {
			axes = append(axes, i)
		}
	}
	op := []ir.Op{ir.ReduceMax, ir.ReduceMin, ir.ReduceSum, ir.ReduceProd}[m.r.IntN(4)]
	if m.isSummed(x) && (op == ir.ReduceSum || op == ir.ReduceProd) {
		op = ir.ReduceMax
	}
	if m.isSummed(x) || m.r.IntN(2) == 0 || len(s) < 2 {
		m.Reduce(op, x, axes...)
		return
	}
	y := x
	d := len(s)
	if m.r.IntN(2) == 0 {
		y = m.Full(m.Type(x), s, 1)
	}
	if m.r.IntN(3) == 0 { // one matrix for the whole batch
		w := m.Input(m.Type(x), []int{s[d-1], 2}, ir.InputAttr{Name: fmt.Sprint("w", len(m.G.Nodes))})
		m.Dot(x, m.BroadcastTo(w, append(slices.Clone(s[:d-2]), s[d-1], 2)), ir.Trans{})
		return
	}
	perm := make([]int, d)
	for i := range perm {
		perm[i] = i
	}
	perm[d-1], perm[d-2] = d-2, d-1
	if m.isSummed(y) {
		return
	}
	switch m.r.IntN(3) {
	case 0:
		m.Dot(x, m.Transpose(y, perm...), ir.Trans{})
	case 1:
		z := m.Dot(m.Transpose(x, perm...), y, ir.Trans{})
		if m.r.IntN(2) == 0 {
			m.Transpose(z, perm...)
		}
	case 2:
		m.Dot(x, y, ir.Trans{B: true})
	}
}

// isSummed reports whether x depends on a sum.
func (m *maker) isSummed(x ir.ID) bool {
	for i := len(m.summed); i < len(m.G.Nodes); i++ {
		n := &m.G.Nodes[i]
		s := n.Op == ir.ReduceSum || n.Op == ir.ReduceProd || n.Op == ir.Dot
		for _, in := range n.In {
			s = s || m.summed[in]
		}
		m.summed = append(m.summed, s)
	}
	return m.summed[x]
}

type testKernel struct {
	by      float64
	effects bool
}

func (k testKernel) String() string { return fmt.Sprintf("times %v %v", k.by, k.effects) }

func (k testKernel) Effects() bool { return k.effects }

func (k testKernel) Run(out any, in []any) error {
	for i, v := range in[0].([]float64) {
		out.([]float64)[i] = v * k.by
	}
	return nil
}

func randomGraph(t testing.TB, seed uint64, size int, pads bool) *ir.Graph {
	m := &maker{Builder: ir.NewBuilder(), r: rand.New(rand.NewPCG(seed, 1)), pads: pads}
	m.Input(ir.F64, []int{2, 3}, ir.InputAttr{Name: "x"})
	m.Input(ir.F64, []int{3}, ir.InputAttr{Name: "y"})
	m.Input(ir.Int64, nil, ir.InputAttr{Name: "run", RunNumber: true})
	if !pads {
		m.Input(ir.F32, []int{2, 1, 3}, ir.InputAttr{Name: "z"})
		m.Input(ir.F64, []int{2, 2, 3}, ir.InputAttr{Name: "b"})
		m.Input(ir.F64, nil, ir.InputAttr{Name: "s", Resident: true})
		m.Const(ir.F64, []int{3}, []float64{1, 2, math.Copysign(0, -1)})
		m.Const(ir.F32, []int{2, 3}, []float32{1, 1, 1, 1, 1, 1})
		m.Const(ir.Bool, []int{3}, []bool{true, false, true})
	}
	for len(m.G.Nodes) < size && m.Err() == nil {
		m.step()
	}
	if m.Err() != nil {
		t.Fatalf("seed %d: %v", seed, m.Err())
	}
	for i := range m.G.Nodes {
		if i == len(m.G.Nodes)-1 || m.r.IntN(4) == 0 || seed%8 == 0 {
			m.Output(ir.ID(i))
		}
	}
	if !pads {
		m.G.Updates = []ir.Update{{Optimizer: "sgd", Params: []ir.ID{5}, Grads: []ir.ID{scalar(m.G)}, Loss: -1}}
	}
	return m.G
}

func scalar(g *ir.Graph) ir.ID {
	for i := len(g.Nodes) - 1; ; i-- {
		if g.Nodes[i].Type == ir.F64 && len(g.Nodes[i].Shape) == 0 {
			return ir.ID(i)
		}
	}
}

// TestKeepsValues: whatever the graph and whichever pass is off or alone, every wanted value keeps its bits.
func TestKeepsValues(t *testing.T) {
	graphs := uint64(1000)
	if testing.Short() {
		graphs = 100
	}
	changed := map[string]int{}
	for seed := range graphs {
		pads := seed%3 == 2
		g := randomGraph(t, seed, 10+int(seed%40), pads)
		before := g.String()
		variants := []Options{{}}
		for _, name := range Names() {
			variants = append(variants, Options{Disable: []string{name}})
			variants = append(variants, Options{Disable: slices.DeleteFunc(Names(), func(n string) bool { return n == name })})
		}
		if seed%4 != 0 {
			variants = variants[:1]
		}
		for _, o := range variants {
			o.Verify = true
			h, reports, err := Run(g, o)
			if err != nil {
				t.Fatalf("seed %d, without %v: %v\n%s", seed, o.Disable, err, before)
			}
			for _, r := range reports {
				changed[r.Name] += r.Changed
				if r.Round > rounds-2 {
					t.Errorf("seed %d, without %v: still changing in round %d\n%s\nis\n%s", seed, o.Disable, r.Round, before, h)
				}
			}
			for _, special := range []bool{false, true} {
				if pads && special {
					continue // NaN and Inf beside the zeros of a pad are no business of sums of pads
				}
				if !same(t, g, h, special, !pads) {
					t.Fatalf("seed %d, without %v\n%s\nbecame\n%s", seed, o.Disable, before, h)
				}
			}
		}
		if g.String() != before {
			t.Fatalf("seed %d: the graph was changed in place", seed)
		}
	}
	for _, name := range Names() {
		if changed[name] < int(graphs)/8 {
			t.Errorf("%s changed %d nodes in %d graphs: the graphs do not test it", name, changed[name], graphs)
		}
	}
}
