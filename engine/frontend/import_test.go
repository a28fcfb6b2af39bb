package frontend

import (
	"slices"
	"strings"
	"testing"

	"github.com/chewxy/hm"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func wants(m *Module) (names []string) {
	for _, src := range m.Wants {
		names = append(names, m.Name(src))
	}
	return names
}

func TestWants(t *testing.T) {
	g := G.NewGraph()
	x, w := vector(g, "x", 1, 2), vector(g, "w", 3, 4)
	vector(g, "idle", 1)
	named := func(n *G.Node, name string) *G.Node { G.WithName(name)(n); return n }
	a := named(G.Must(G.HadamardProd(x, w)), "a")
	b := named(G.Must(G.Tanh(a)), "b")
	c := named(G.Must(G.Neg(b)), "c")
	var into G.Value
	G.Read(a, &into)
	d := named(G.Must(G.Exp(c)), "d")
	for _, v := range []struct {
		o     Options
		wants []string
	}{
		{Options{}, []string{"a", "d"}},
		{Options{Wanted: G.Nodes{b}}, []string{"a", "b", "d"}},
		{Options{Wanted: G.Nodes{x, d}}, []string{"x", "a", "d"}},
		{Options{All: true}, []string{"a", "b", "c", "d"}},
	} {
		m, err := Import(g, v.o)
		if err != nil {
			t.Fatal(err)
		}
		if got := wants(m); !slices.Equal(got, v.wants) {
			t.Errorf("%+v: wants %v, want %v", v.o, got, v.wants)
		}
		if len(m.Reads) != 1 || m.Reads[0].Into != &into || m.Nodes[m.Reads[0].Src] != a {
			t.Errorf("reads %+v", m.Reads)
		}
		var inputs []string
		for _, in := range m.Inputs {
			inputs = append(inputs, m.Name(in.Src))
			if m.IDs[in.Src] != in.ID {
				t.Errorf("input %s is node %d, want %d", m.Name(in.Src), in.ID, m.IDs[in.Src])
			}
		}
		if !slices.Equal(inputs, []string{"x", "w"}) { // idle is not used
			t.Errorf("inputs %v", inputs)
		}
		for i, n := range m.Nodes {
			if m.Number(n) != int32(i) {
				t.Errorf("node %d has number %d", i, m.Number(n))
			}
		}
	}
	m, err := Import(g, Options{Resident: G.Nodes{w}})
	if err != nil {
		t.Fatal(err)
	}
	if a := m.Graph.Nodes[m.IDs[m.Number(w)]].Attr.(ir.InputAttr); !a.Resident {
		t.Errorf("w is not resident: %+v", a)
	}
	if a := m.Graph.Nodes[m.IDs[m.Number(x)]].Attr.(ir.InputAttr); a.Resident {
		t.Errorf("x is resident: %+v", a)
	}
}

func TestImportErrors(t *testing.T) {
	other := G.NewGraph()
	stray := vector(other, "stray", 1)
	build := func() (*G.ExprGraph, *G.Node) {
		g := G.NewGraph()
		return g, G.Must(G.Tanh(vector(g, "x", 1, 2)))
	}
	g, y := build()
	var into G.Value
	read := G.Read(y, &into)
	wrong := G.NewGraph() // Gorgonia's derivative of the outer product of vectors of different lengths
	v, w := vector(wrong, "v", 1, 2, 3), vector(wrong, "w", 1, 2, 3, 4)
	if _, err := G.Grad(G.Must(G.Sum(G.Must(G.OuterProd(v, w)))), v, w); err != nil {
		t.Fatal(err)
	}
	strange := G.NewGraph()
	G.NewVector(strange, tensor.Complex128, G.WithShape(2), G.WithName("strange"))
	for _, c := range []struct {
		name string
		g    *G.ExprGraph
		o    Options
		want []string
	}{
		{"nil", nil, Options{}, []string{"no nodes"}},
		{"empty", G.NewGraph(), Options{}, []string{"no nodes"}},
		{"wanted of another graph", g, Options{Wanted: G.Nodes{stray}}, []string{"wanted", "stray", "not in the graph"}},
		{"wanted nil", g, Options{Wanted: G.Nodes{nil}}, []string{"wanted", "not in the graph"}},
		{"wanted statement", g, Options{Wanted: G.Nodes{read}}, []string{"read", "statement"}},
		{"resident op", g, Options{Resident: G.Nodes{y}}, []string{"resident", "tanh", "not an input"}},
		{"resident of another graph", g, Options{Resident: G.Nodes{stray}}, []string{"resident", "stray"}},
		{"shapes", wrong, Options{}, []string{"Aᵀ × b", "[3 4]", "[4 1]", "inner dimensions 3 and 4"}},
		{"element type", strange, Options{}, []string{`"strange"`, "complex128", "float32"}},
	} {
		m, err := Import(c.g, c.o)
		if err == nil {
			t.Errorf("%s: no error, but %v", c.name, m.Wants)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q, want it to have %q", c.name, err, w)
			}
		}
	}
	// A missing value is known when it is needed.
	g = G.NewGraph()
	x := G.NewVector(g, tensor.Float64, G.WithShape(2), G.WithName("x"))
	G.Must(G.Tanh(x))
	m, err := Import(g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Value(m.Number(x)); err == nil || !strings.Contains(err.Error(), `"x"`) ||
		!strings.Contains(err.Error(), "(2)") {
		t.Errorf("error %v, want the input and its shape", err)
	}
}

// TestLostNodes: Gorgonia removes 1+x when it rewrites log(1+x), and empties the node. That is fine unless it has
// another use.
func TestLostNodes(t *testing.T) {
	for _, used := range []bool{false, true} {
		g := G.NewGraph()
		x := vector(g, "x", 1, 2)
		if _, err := G.Grad(G.Must(G.Sum(G.Must(G.Tanh(x)))), x); err != nil { // brings in Gorgonia's own 1
			t.Fatal(err)
		}
		sum := G.Must(G.Add(G.NewConstant(1.0), x))
		if used {
			G.Must(G.ApplyOpWithName(G.Must(G.Square(x)).Op(), "the other use", sum))
		}
		l := G.Must(G.Log(sum))
		if sum.Graph() != nil {
			t.Fatal("1+x is still there: nothing is tested")
		}
		m, err := Import(g, Options{All: true})
		if used {
			if err == nil || !strings.Contains(err.Error(), "the other use") || !strings.Contains(err.Error(), "Log1p") {
				t.Errorf("error %v, want the node and what to do", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := compare(valueOf(t, m, l), []float64{.6931471805599453, 1.0986122886681098}, 1e-15); err != nil {
			t.Errorf("log: %v", err)
		}
		for i, n := range m.Nodes {
			if m.Number(n) != int32(i) {
				t.Errorf("node %d %v has number %d", i, n, m.Number(n))
			}
		}
	}
}

// TestSubgraph: the nodes of a part of a graph keep their ids.
func TestSubgraph(t *testing.T) {
	g := G.NewGraph()
	x := vector(g, "x", 1, 2)
	G.Must(G.Exp(x))
	y := G.Must(G.Neg(x))
	m, err := Import(g.SubgraphRoots(y), Options{All: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Nodes) != 2 || !equal(valueOf(t, m, y), []float64{-1, -2}) {
		t.Errorf("%d nodes, value %v", len(m.Nodes), valueOf(t, m, y))
	}
}

// draw is an op that says itself as noise of 8 elements; its operand is the run number.
type draw struct{ failing }

func (draw) Type() hm.Type {
	return hm.NewFnType(tensor.Int64, G.TensorType{Dims: 1, Of: tensor.Float64})
}

func (draw) InferShape(...G.DimSizer) (tensor.Shape, error) { return tensor.Shape{8}, nil }

func (draw) Lower(b *ir.Builder, in []ir.ID) (ir.ID, error) {
	return b.Random(ir.Normal, ir.F64, sh(8), ir.Rand{Seed: 7, Draw: 3}, in[0]), b.Err()
}

func TestNoise(t *testing.T) {
	build := func() (*G.ExprGraph, *G.Node, *G.Node) {
		g := G.NewGraph()
		run := G.NewScalar(g, tensor.Int64, G.WithName("run"), G.WithValue(int64(5)))
		n, err := G.ApplyOp(draw{failing{"not"}}, run)
		if err != nil {
			t.Fatal(err)
		}
		return g, run, n
	}
	g, run, n := build()
	m, err := Import(g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a := m.Graph.Nodes[m.IDs[m.Number(run)]].Attr.(ir.InputAttr); !a.RunNumber {
		t.Error("the run number is not marked")
	}
	want := make([]float64, 8)
	kernels.Normal(want, 7, 3, 5, 0)
	if got := valueOf(t, m, n); !slices.Equal(got, want) {
		t.Errorf("noise %v, want %v", got, want)
	}
	seeded := func(seed uint64) []float64 {
		g, _, n := build()
		m, err := Import(g, Options{Seed: &seed})
		if err != nil {
			t.Fatal(err)
		}
		return valueOf(t, m, n)
	}
	if a, b := seeded(1), seeded(1); !slices.Equal(a, b) {
		t.Errorf("one seed: %v and %v", a, b)
	}
	if a, b := seeded(1), seeded(2); slices.Equal(a, b) || slices.Equal(a, want) {
		t.Errorf("seeds do not matter: %v, %v, %v", a, b, want)
	}
}

// TestIntegers: arithmetic on integers runs on the host, with the ops' own results.
func TestIntegers(t *testing.T) {
	g := G.NewGraph()
	x := G.NewVector(g, tensor.Int, G.WithShape(3), G.WithName("x"),
		G.WithValue(tensor.New(tensor.WithBacking([]int{1 << 60, -7, 3}), tensor.WithShape(3))))
	y := G.Must(G.Add(x, x))
	z := G.Must(G.Reshape(y, tensor.Shape{3, 1}))
	u := G.Must(G.Slice(z, G.S(1, 3)))
	m, err := Import(g, Options{All: true})
	if err != nil {
		t.Fatal(err)
	}
	vals, err := devices[0].run(m)
	if err != nil {
		t.Fatal(err)
	}
	for i, src := range m.Wants {
		want := []int{1 << 61, -14, 6}
		if m.Nodes[src] == u {
			want = want[1:]
		}
		if got, ok := vals[i].([]int); !ok || !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", m.Name(src), vals[i], want)
		}
	}
	if got := hosts(m); !slices.Equal(got, []string{"elemBinOp", "reshapeOp", "sliceOp"}) {
		t.Errorf("on the host: %v", got)
	}
}

func TestFlat(t *testing.T) {
	m := func() *tensor.Dense {
		return tensor.New(tensor.WithShape(2, 3), tensor.WithBacking([]float32{0, 1, 2, 3, 4, 5}))
	}
	view := func(d *tensor.Dense, s ...tensor.Slice) G.Value {
		v, err := d.Slice(s...)
		if err != nil {
			t.Fatal(err)
		}
		return v.(*tensor.Dense)
	}
	transposed := m()
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		v    G.Value
		want any
	}{
		{"F64", G.NewF64(2), []float64{2}}, {"F32", G.NewF32(2), []float32{2}}, {"I64", G.NewI64(2), []int64{2}},
		{"I", G.NewI(2), []int{2}},
		{"I32", G.NewI32(2), []int32{2}}, {"U8", G.NewU8(2), []uint8{2}}, {"B", G.NewB(true), []bool{true}},
		{"matrix", m(), []float32{0, 1, 2, 3, 4, 5}}, {"scalar tensor", tensor.New(tensor.FromScalar(2.5)), []float64{2.5}},
		{"row", view(m(), G.S(1)), []float32{3, 4, 5}}, {"column", view(m(), nil, G.S(1)), []float32{1, 4}},
		{"columns", view(m(), nil, G.S(1, 3)), []float32{1, 2, 4, 5}}, {"element", view(m(), G.S(1), G.S(2)), []float32{5}},
		{"transposed", transposed, []float32{0, 3, 1, 4, 2, 5}},
		{"column-major", tensor.New(tensor.WithShape(2, 3), tensor.AsFortran([]float32{0, 1, 2, 3, 4, 5})),
			[]float32{0, 1, 2, 3, 4, 5}},
		{"truth", tensor.New(tensor.WithShape(2), tensor.WithBacking([]bool{true, false})), []bool{true, false}},
	} {
		got, err := Flat(c.v)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if gt, _ := ir.DataType(got); gt == ir.NoType || !equal(floats(got), floats(c.want)) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if d := m(); &must(Flat(d)).([]float32)[0] != &d.Data().([]float32)[0] {
		t.Error("a contiguous tensor was copied")
	}
	for _, v := range []G.Value{nil, tensor.New(tensor.Of(tensor.Complex64), tensor.WithShape(2))} {
		if got, err := Flat(v); err == nil {
			t.Errorf("Flat(%v) is %v, want an error", v, got)
		}
	}
}

func must(v any, err error) any {
	if err != nil {
		panic(err)
	}
	return v
}
