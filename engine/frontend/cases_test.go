package frontend

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/engine/ir"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// An opCase is a small graph made by one of Gorgonia's constructors.
type opCase struct {
	fn     string // the constructor
	name   string // what is special about this case; empty: nothing
	inputs []input
	build  func(dt tensor.Dtype, x G.Nodes) (*G.Node, error)

	flat     bool // has no gradient: gradients are not asked for
	plain    bool // the cost is the value itself, a scalar
	eval     bool // ops with a training mode are in evaluation mode
	note     string
	tolerate float64 // times the usual tolerance; 0: 1

	// faults say where the TapeMachine (or Gorgonia before it) fails or is wrong, by "value", "Grad" and "Gradients",
	// with the element type after it if it is one of them alone. A fault that is not there any more is an error.
	faults map[string]string
	want   func(x [][]float64) []float64 // the value, where the TapeMachine's is not right
}

const (
	byValue     = "value"
	byGrad      = "Grad"
	byGradients = "Gradients"
)

func (c *opCase) fault(what string, dt tensor.Dtype) string {
	if f, ok := c.faults[what+" "+dt.String()]; ok {
		return f
	}
	return c.faults[what]
}

// An input is uniform on [lo, hi], or the given integers.
type input struct {
	shape  []int
	lo, hi float64
	ints   []int
}

func (c *opCase) String() string {
	if c.name == "" {
		return c.fn
	}
	return c.fn + " " + c.name
}

func in(lo, hi float64, shapes ...[]int) (ins []input) {
	for _, s := range shapes {
		ins = append(ins, input{shape: s, lo: lo, hi: hi})
	}
	return ins
}

func sh(dims ...int) []int { return dims }

type (
	unaryFunc     = func(*G.Node) (*G.Node, error)
	binaryFunc    = func(a, b *G.Node) (*G.Node, error)
	compareFunc   = func(a, b *G.Node, same bool) (*G.Node, error)
	broadcastFunc = func(a, b *G.Node, l, r []byte) (*G.Node, error)
	buildFunc     = func(dt tensor.Dtype, x G.Nodes) (*G.Node, error)
)

func build1(f unaryFunc) buildFunc {
	return func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return f(x[0]) }
}

func build2(f binaryFunc) buildFunc {
	return func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return f(x[0], x[1]) }
}

// table collects cases.
type table []opCase

func (t *table) add(c opCase) { *t = append(*t, c) }

func opCases() []opCase {
	var t table
	t.elementwise()
	t.broadcasts()
	t.products()
	t.reductions()
	t.shapes()
	t.networks()
	t.leaves()
	return t
}

func (t *table) elementwise() {
	for _, u := range []struct {
		name   string
		f      unaryFunc
		lo, hi float64
		flat   bool
	}{
		{"Abs", G.Abs, -2, 2, false}, {"Sign", G.Sign, -2, 2, true}, {"Ceil", G.Ceil, -2, 2, true},
		{"Floor", G.Floor, -2, 2, true},
		{"Sin", G.Sin, -2, 2, false}, {"Cos", G.Cos, -2, 2, false}, {"Exp", G.Exp, -2, 2, false},
		{"Log", G.Log, .5, 2, false},
		{"Log2", G.Log2, .5, 2, false}, {"Neg", G.Neg, -2, 2, false}, {"Square", G.Square, -2, 2, false},
		{"Sqrt", G.Sqrt, .5, 2, false},
		{"Inverse", G.Inverse, .5, 2, false}, {"InverseSqrt", G.InverseSqrt, .5, 2, false}, {"Cube", G.Cube, -2, 2, false},
		{"Tanh", G.Tanh, -2, 2, false}, {"Sigmoid", G.Sigmoid, -2, 2, false}, {"Log1p", G.Log1p, -.5, 2, false},
		{"Expm1", G.Expm1, -2, 2, false}, {"Softplus", G.Softplus, -2, 2, false},
		{"Mish", G.Mish, -2, 2, false}, {"Rectify", G.Rectify, -2, 2, false},
		{"LeakyRelu", func(x *G.Node) (*G.Node, error) { return G.LeakyRelu(x, .1) }, -2, 2, false},
	} {
		for _, s := range [][]int{sh(3, 4), sh(), sh(1), sh(2, 1, 3), sh(5, 1)} {
			t.add(opCase{fn: u.name, name: fmt.Sprint(tensor.Shape(s)), inputs: in(u.lo, u.hi, s), build: build1(u.f),
				flat: u.flat})
		}
	}
	pairs := [][2][]int{
		{sh(3, 4), sh(3, 4)}, {sh(3, 4), sh()}, {sh(), sh(3, 4)}, {sh(), sh()}, {sh(1), sh(1)}, {sh(2, 1, 3), sh(2, 1, 3)},
		{sh(1), sh()}, {sh(), sh(1, 1)}, {sh(3), sh(3, 1)}, {sh(1, 3), sh(3)},
	}
	for _, u := range []struct {
		name   string
		f      binaryFunc
		lo, hi float64
	}{
		{"Add", G.Add, -2, 2}, {"Sub", G.Sub, -2, 2}, {"HadamardProd", G.HadamardProd, -2, 2},
		{"HadamardDiv", G.HadamardDiv, .5, 2},
		{"Pow", G.Pow, .5, 2}, {"Div", G.Div, .5, 2},
	} {
		for _, p := range pairs {
			name := fmt.Sprint(tensor.Shape(p[0]), tensor.Shape(p[1]))
			t.add(opCase{fn: u.name, name: name, inputs: in(u.lo, u.hi, p[0], p[1]), build: build2(u.f)})
		}
	}
	for _, u := range []struct {
		name string
		f    compareFunc
	}{{"Lt", G.Lt}, {"Gt", G.Gt}, {"Lte", G.Lte}, {"Gte", G.Gte}, {"Eq", G.Eq}, {"Ne", G.Ne}} {
		for _, same := range []bool{true, false} {
			for _, p := range pairs[:5] {
				name := fmt.Sprint(tensor.Shape(p[0]), tensor.Shape(p[1]), " ", same)
				t.add(opCase{fn: u.name, name: name, inputs: in(-2, 2, p[0], p[1]), flat: true,
					build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return u.f(x[0], x[1], same) }})
			}
			t.add(opCase{fn: u.name, name: fmt.Sprint("with itself ", same), inputs: in(-2, 2, sh(4)), flat: true,
				build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return u.f(x[0], x[0], same) }})
		}
	}
	for _, u := range []struct {
		name string
		f    binaryFunc
	}{{"MinBetween", G.MinBetween}, {"MaxBetween", G.MaxBetween}} {
		for _, s := range [][]int{sh(3, 4), sh(5)} {
			t.add(opCase{fn: u.name, name: fmt.Sprint(tensor.Shape(s)), inputs: in(-2, 2, s, s), build: build2(u.f)})
		}
	}
	t.add(opCase{fn: "BinaryXent", inputs: in(.1, .9, sh(3, 4), sh(3, 4)), build: build2(G.BinaryXent),
		faults: map[string]string{
			byGradients: "log(1-x) is rewritten, which removes 1-x from the graph"}})
	for n := 1; n <= 4; n++ {
		ins := in(-2, 2, [][]int{sh(3, 4), sh(3, 4), sh(3, 4), sh(3, 4)}[:n]...)
		t.add(opCase{fn: "ReduceAdd", name: fmt.Sprint(n), inputs: ins,
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.ReduceAdd(x) }})
		ins = in(-2, 2, [][]int{sh(3, 3), sh(3, 3), sh(3, 3), sh(3, 3)}[:n]...)
		t.add(opCase{fn: "ReduceMul", name: fmt.Sprint(n), inputs: ins,
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.ReduceMul(x) }})
	}
	for _, s := range [][]int{sh(3, 4), sh(5)} {
		t.add(opCase{fn: "ConvType", name: fmt.Sprint("to int and back ", tensor.Shape(s)), inputs: in(-9, 9, s),
			flat: true,
			build: func(dt tensor.Dtype, x G.Nodes) (*G.Node, error) {
				i, err := G.ConvType(x[0], dt, tensor.Int)
				if err != nil {
					return nil, err
				}
				return G.ConvType(i, tensor.Int, dt)
			}})
	}
}

func (t *table) broadcasts() {
	for _, u := range []struct {
		name   string
		f      broadcastFunc
		lo, hi float64
	}{
		{"BroadcastAdd", G.BroadcastAdd, -2, 2}, {"BroadcastSub", G.BroadcastSub, -2, 2},
		{"BroadcastHadamardProd", G.BroadcastHadamardProd, -2, 2}, {"BroadcastHadamardDiv", G.BroadcastHadamardDiv, .5, 2},
		{"BroadcastPow", G.BroadcastPow, .5, 2},
	} {
		for _, p := range broadcastPatterns {
			t.add(opCase{fn: u.name, name: p.name, inputs: in(u.lo, u.hi, p.a, p.b),
				build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return u.f(x[0], x[1], p.l, p.r) }})
		}
	}
	for _, u := range []struct {
		name string
		f    func(a, b *G.Node, same bool, l, r []byte) (*G.Node, error)
		op   ir.Op
	}{
		{"BroadcastLt", G.BroadcastLt, ir.Lt}, {"BroadcastGt", G.BroadcastGt, ir.Gt},
		{"BroadcastLte", G.BroadcastLte, ir.Le},
		{"BroadcastGte", G.BroadcastGte, ir.Ge}, {"BroadcastEq", G.BroadcastEq, ir.Eq},
		{"BroadcastNe", G.BroadcastNe, ir.Ne},
	} {
		for _, p := range broadcastPatterns {
			for _, same := range []bool{true, false} {
				c := opCase{fn: u.name, name: fmt.Sprint(p.name, " ", same), inputs: in(-2, 2, p.a, p.b), flat: true,
					build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return u.f(x[0], x[1], same, p.l, p.r) }}
				if !same && len(p.l) > 0 {
					c.faults = map[string]string{byValue: "truth is written over the repeated floats: the rest of them stays"}
					c.want = func(x [][]float64) []float64 { return p.compare(u.op, x[0], x[1]) }
				}
				t.add(c)
			}
		}
	}
	t.add(opCase{fn: "Broadcast", inputs: in(-2, 2, sh(3, 1), sh(3, 4)),
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) {
			a, b, err := G.Broadcast(x[0], x[1], G.NewBroadcastPattern([]byte{1}, nil))
			if err != nil {
				return nil, err
			}
			return G.HadamardProd(a, b)
		}})
	t.add(opCase{fn: "Broadcast", name: "of an axis that is not 1", inputs: in(-2, 2, sh(3, 2), sh(3, 4)),
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) {
			a, _, err := G.Broadcast(x[0], x[1], G.NewBroadcastPattern([]byte{1}, nil))
			return a, err
		}, flat: true})
	t.add(opCase{fn: "Auto", inputs: in(-2, 2, sh(2, 3, 1), sh(2, 1, 4)),
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.Auto(G.BroadcastAdd, x[0], x[1]) }})
}

type pattern struct {
	name string
	a, b []int
	l, r []byte
}

// compare is a comparison of matrices of 3 rows and 4 columns, either of which may be a row or a column.
func (p *pattern) compare(op ir.Op, a, b []float64) []float64 {
	at := func(x []float64, shape []int, i, j int) float64 {
		if shape[0] == 1 {
			i = 0
		}
		if shape[1] == 1 {
			j = 0
		}
		return x[i*shape[1]+j]
	}
	var out []float64
	for i := range 3 {
		for j := range 4 {
			out = append(out, op.Info().F(at(a, p.a, i, j), at(b, p.b, i, j), 0))
		}
	}
	return out
}

var broadcastPatterns = []pattern{
	{"row (3,4) (4)", sh(3, 4), sh(4), nil, []byte{0}},
	{"column (3,1) (3,4)", sh(3, 1), sh(3, 4), []byte{1}, nil},
	{"both (3,1) (1,4)", sh(3, 1), sh(1, 4), []byte{1}, []byte{0}},
	{"none (3,4) (3,4)", sh(3, 4), sh(3, 4), nil, nil},
	{"three (2,3,4) (4)", sh(2, 3, 4), sh(4), nil, []byte{0, 1}},
	{"middle (2,3,4) (2,1,4)", sh(2, 3, 4), sh(2, 1, 4), nil, []byte{1}},
}

func (t *table) products() {
	for _, p := range []struct {
		name string
		a, b []int
	}{
		{"matrices", sh(3, 4), sh(4, 5)}, {"matrix and vector", sh(3, 4), sh(4)}, {"vector and matrix", sh(3), sh(3, 4)},
		{"vectors", sh(5), sh(5)}, {"scalar and matrix", sh(), sh(3, 4)}, {"matrix and scalar", sh(3, 4), sh()},
		{"row and column", sh(1, 4), sh(4, 1)}, {"column and row", sh(4, 1), sh(1, 3)},
		{"square matrix and vector", sh(4, 4), sh(4)},
	} {
		t.add(opCase{fn: "Mul", name: p.name, inputs: in(-2, 2, p.a, p.b), build: build2(G.Mul)})
	}
	for _, p := range []struct {
		name  string
		a, b  []int
		trans []bool
	}{
		{"", sh(2, 3, 4), sh(2, 4, 5), nil}, {"Aᵀ", sh(2, 4, 3), sh(2, 4, 5), []bool{true}},
		{"Bᵀ", sh(2, 3, 4), sh(2, 5, 4), []bool{false, true}}, {"AᵀBᵀ", sh(2, 4, 3), sh(2, 5, 4), []bool{true, true}},
		{"4 dimensions", sh(2, 2, 3, 4), sh(2, 2, 4, 5), nil},
	} {
		t.add(opCase{fn: "BatchedMatMul", name: p.name, inputs: in(-2, 2, p.a, p.b),
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.BatchedMatMul(x[0], x[1], p.trans...) }})
	}
	t.add(opCase{fn: "OuterProd", name: "(3) (4)", inputs: in(-2, 2, sh(3), sh(4)), build: build2(G.OuterProd),
		faults: map[string]string{
			byGrad: "the derivative multiplies the wrong operands"}})
	t.add(opCase{fn: "OuterProd", name: "(4) (4)", inputs: in(-2, 2, sh(4), sh(4)), build: build2(G.OuterProd)})
	for _, p := range []struct {
		name   string
		a, b   []int
		ax, bx []int
	}{
		{"one axis", sh(2, 3), sh(3, 4), sh(1), sh(0)}, {"two axes", sh(2, 3, 4), sh(4, 3, 5), sh(1, 2), sh(1, 0)},
		{"all axes", sh(2, 3), sh(2, 3), sh(0, 1), sh(0, 1)}, {"vectors", sh(4), sh(4), sh(0), sh(0)},
		{"first axes", sh(3, 2), sh(3, 4), sh(0), sh(0)}, {"matrix and vector", sh(2, 3), sh(3), sh(1), sh(0)},
	} {
		t.add(opCase{fn: "Tensordot", name: p.name, inputs: in(-2, 2, p.a, p.b), plain: true,
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.Tensordot(p.ax, p.bx, x[0], x[1]) }})
	}
}

func (t *table) reductions() {
	for _, u := range []struct {
		name string
		f    func(a *G.Node, along ...int) (*G.Node, error)
	}{{"Sum", G.Sum}, {"Mean", G.Mean}, {"Max", G.Max}} {
		for _, p := range []struct {
			shape []int
			along []int
		}{
			{sh(5), nil}, {sh(5), sh(0)}, {sh(3, 4), nil}, {sh(3, 4), sh(0)}, {sh(3, 4), sh(1)}, {sh(2, 3, 4), sh(0)},
			{sh(2, 3, 4), sh(1)},
			{sh(2, 3, 4), sh(2)}, {sh(2, 3, 4), sh(0, 1)}, {sh(2, 3, 4), sh(1, 2)}, {sh(2, 3, 4), nil}, {sh(), nil},
			{sh(3, 1), sh(1)},
			{sh(1, 4), sh(0)}, {sh(2, 3, 2, 2), sh(2)},
		} {
			name := fmt.Sprint(tensor.Shape(p.shape), " along ", p.along)
			t.add(opCase{fn: u.name, name: name, inputs: in(-2, 2, p.shape),
				build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return u.f(x[0], p.along...) }})
		}
	}
	for _, u := range []struct {
		name string
		f    func(a *G.Node, along ...int) (*G.Node, error)
		of   func(a, b float64) float64
		div  float64
	}{
		{"Sum", G.Sum, func(a, b float64) float64 { return a + b }, 1},
		{"Mean", G.Mean, func(a, b float64) float64 { return a + b }, 4},
		{"Max", G.Max, math.Max, 1},
	} {
		const f = "the tensor package reduces other elements over an axis that is neither of the first two nor the last"
		t.add(opCase{fn: u.name, name: "(2, 3, 4, 5) along [2]", inputs: in(-2, 2, sh(2, 3, 4, 5)),
			build:  func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return u.f(x[0], 2) },
			faults: map[string]string{byValue: f, byGrad: f, byGradients: f},
			want: func(x [][]float64) []float64 {
				var out []float64
				for i := range 6 {
					for j := range 5 {
						r := x[0][i*20+j]
						for k := 1; k < 4; k++ {
							r = u.of(r, x[0][i*20+k*5+j])
						}
						out = append(out, r/u.div)
					}
				}
				return out
			}})
	}
	for _, p := range []struct{ axis, p int }{{0, 2}, {1, 2}, {0, 1}, {1, 3}} {
		t.add(opCase{fn: "Norm", name: fmt.Sprintf("axis %d p %d", p.axis, p.p), inputs: in(.5, 2, sh(3, 4)),
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.Norm(x[0], p.axis, p.p) }})
	}
	t.add(opCase{fn: "LogSumExp", inputs: in(-2, 2, sh(4)),
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.LogSumExp(x[0], 0) }})
	for _, u := range []struct {
		name string
		f    func(x *G.Node, axes ...int) (*G.Node, error)
	}{{"SoftMax", G.SoftMax}, {"LogSoftMax", G.LogSoftMax}, {"Sparsemax", G.Sparsemax}} {
		for _, p := range []struct {
			shape []int
			axes  []int
		}{{sh(5), nil}, {sh(3, 4), nil}, {sh(3, 4), sh(0)}, {sh(3, 4), sh(1)}, {sh(2, 3, 4), sh(1)},
			{sh(2, 3, 4), sh(2)}, {sh(4, 1), nil}, {sh(1, 4), nil}} {
			c := opCase{fn: u.name, name: fmt.Sprint(tensor.Shape(p.shape), " ", p.axes), inputs: in(-2, 2, p.shape),
				build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return u.f(x[0], p.axes...) }}
			switch {
			case u.name == "Sparsemax" && len(p.shape) == 3:
				const f = "Do transposes by a wrong permutation"
				c.faults = map[string]string{byValue: f, byGrad: f, byGradients: f}
			case u.name != "Sparsemax" && p.shape[len(p.shape)-1] == 1:
				c.faults = map[string]string{byGrad: "of a column: the derivative is along the other axis"}
			}
			t.add(c)
		}
	}
}
