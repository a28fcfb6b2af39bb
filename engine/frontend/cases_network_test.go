package frontend

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func (t *table) networks() {
	for _, p := range []struct {
		name                  string
		pad, stride, dilation []int
	}{{"", sh(0, 0), sh(1, 1), sh(1, 1)}, {"padded", sh(1, 1), sh(1, 1), sh(1, 1)},
		{"strided", sh(1, 0), sh(2, 2), sh(1, 1)}, {"dilated", sh(2, 2), sh(1, 1), sh(2, 2)}} {
		t.add(opCase{fn: "Im2Col", name: p.name, inputs: in(-2, 2, sh(2, 2, 5, 5)),
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) {
				return G.Im2Col(x[0], tensor.Shape{3, 2}, p.pad, p.stride, p.dilation)
			}})
		t.add(opCase{fn: "Conv2d", name: p.name, inputs: in(-2, 2, sh(2, 2, 5, 5), sh(3, 2, 3, 2)),
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) {
				return G.Conv2d(x[0], x[1], tensor.Shape{3, 2}, p.pad, p.stride, p.dilation)
			}})
	}
	t.add(opCase{fn: "Conv1d", inputs: in(-2, 2, sh(2, 2, 1, 6), sh(3, 2, 1, 3)),
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.Conv1d(x[0], x[1], 3, 1, 1, 1) }})
	for _, p := range []struct {
		name        string
		pad, stride []int
	}{{"", sh(0, 0), sh(1, 1)}, {"padded", sh(1, 1), sh(2, 2)}} {
		t.add(opCase{fn: "MaxPool2D", name: p.name, inputs: in(-2, 2, sh(2, 2, 4, 4)),
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) {
				return G.MaxPool2D(x[0], tensor.Shape{2, 2}, p.pad, p.stride)
			}})
		t.add(opCase{fn: "AveragePool2D", name: p.name, inputs: in(-2, 2, sh(2, 2, 4, 4)),
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) {
				return G.AveragePool2D(x[0], tensor.Shape{2, 2}, p.pad, p.stride)
			}})
	}
	t.add(opCase{fn: "MaxPool1D", inputs: in(-2, 2, sh(2, 2, 1, 6)),
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.MaxPool1D(x[0], 2, 0, 2) }})
	t.add(opCase{fn: "AveragePool1D", note: "Gorgonia's is MaxPool1D", inputs: in(-2, 2, sh(2, 2, 1, 6)),
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.AveragePool1D(x[0], 2, 0, 2) }})
	t.add(opCase{fn: "GlobalAveragePool2D", inputs: in(-2, 2, sh(2, 3, 4, 4)), build: build1(G.GlobalAveragePool2D),
		flat: true})
	for scale := 1; scale <= 3; scale++ {
		t.add(opCase{fn: "Upsample2D", name: fmt.Sprint("scale ", scale), inputs: in(-2, 2, sh(2, 2, 3, 3)),
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.Upsample2D(x[0], scale) }})
	}
	for _, eval := range []bool{false, true} {
		mode := "training"
		if eval {
			mode = "evaluation"
		}
		for _, s := range [][]int{sh(4, 3), sh(2, 3, 4, 4)} {
			t.add(opCase{fn: "BatchNorm", name: fmt.Sprint(tensor.Shape(s), " ", mode), inputs: in(-2, 2, s, s, s), eval: eval,
				build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) {
					y, _, _, _, err := G.BatchNorm(x[0], x[1], x[2], .9, 1e-5)
					return y, err
				}, faults: map[string]string{byGradients: "refused: Gorgonia gives three derivatives for one operand"}})
		}
	}
	t.add(opCase{fn: "Dropout", name: "evaluation", inputs: in(-2, 2, sh(3, 4)), eval: true,
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.Dropout(x[0], .5) }})
	for _, s := range [][]int{sh(2, 4, 3, 3)} {
		t.add(opCase{fn: "GroupNorm", inputs: in(-2, 2, s, sh(1, 4, 1, 1), sh(1, 4, 1, 1)),
			build:  func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.GroupNorm(x[0], x[1], x[2], 2, 4, 1e-5) },
			faults: map[string]string{byGradients: "refused: Gorgonia gives three derivatives for one operand"}})
	}
	for _, r := range []G.Reduction{G.ReductionMean, G.ReductionSum} {
		t.add(opCase{fn: "CTCLoss", name: fmt.Sprint("reduction ", r), plain: true,
			inputs: append(in(-3, -1, sh(4, 2, 4)), input{shape: sh(2, 2), ints: []int{1, 2, 3, 1}},
				input{shape: sh(2), ints: []int{4, 4}}, input{shape: sh(2), ints: []int{2, 2}}),
			build:  func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.CTCLoss(x[0], x[1], x[2], x[3], r) },
			faults: map[string]string{byGradients: "refused: Gorgonia gives five derivatives for four operands"}})
	}
	t.add(opCase{fn: "YOLOv3", inputs: in(-1, 1, sh(1, 14, 2, 2)), flat: true,
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) {
			return G.YOLOv3(x[0], []float32{10, 13, 16, 30}, []int{0, 1}, 32, 2, .7)
		}, faults: map[string]string{byValue + " float64": "not implemented for float64"}})
}

// leaves are the constructors of inputs and constants, and the statements.
func (t *table) leaves() {
	double := func(n *G.Node) (*G.Node, error) { return G.Add(n, n) }
	for _, p := range []struct {
		fn    string
		shape []int
		make  func(g *G.ExprGraph, dt tensor.Dtype) *G.Node
	}{
		{"NewScalar", sh(), func(g *G.ExprGraph, dt tensor.Dtype) *G.Node {
			return G.NewScalar(g, dt, G.WithName("n"), G.WithValue(one(dt)))
		}},
		{"NewVector", sh(3), func(g *G.ExprGraph, dt tensor.Dtype) *G.Node {
			return G.NewVector(g, dt, G.WithShape(3), G.WithName("n"), G.WithValue(ramp(dt, 3)))
		}},
		{"NewMatrix", sh(2, 3), func(g *G.ExprGraph, dt tensor.Dtype) *G.Node {
			return G.NewMatrix(g, dt, G.WithShape(2, 3), G.WithName("n"), G.WithValue(ramp(dt, 2, 3)))
		}},
		{"NewTensor", sh(2, 3, 2), func(g *G.ExprGraph, dt tensor.Dtype) *G.Node {
			return G.NewTensor(g, dt, 3, G.WithShape(2, 3, 2), G.WithName("n"), G.WithValue(ramp(dt, 2, 3, 2)))
		}},
		{"NodeFromAny", sh(2, 2), func(g *G.ExprGraph, dt tensor.Dtype) *G.Node {
			return G.NodeFromAny(g, ramp(dt, 2, 2), G.WithName("n"))
		}},
		{"NewConstant", sh(2, 2),
			func(g *G.ExprGraph, dt tensor.Dtype) *G.Node { return g.AddNode(G.NewConstant(ramp(dt, 2, 2))) }},
		{"OneHotVector", sh(4), func(g *G.ExprGraph, dt tensor.Dtype) *G.Node {
			return g.AddNode(G.OneHotVector(2, 4,
				dt))
		}},
	} {
		t.add(opCase{fn: p.fn, inputs: in(-2, 2, p.shape),
			build: func(dt tensor.Dtype, x G.Nodes) (*G.Node, error) {
				n, err := double(p.make(x[0].Graph(), dt))
				if err != nil {
					return nil, err
				}
				return G.HadamardProd(n, x[0])
			}})
	}
	t.add(opCase{fn: "NewConstant", name: "scalar", inputs: in(-2, 2, sh(3, 4)),
		build: func(dt tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.Pow(x[0], G.NewConstant(three(dt))) }})
	t.add(opCase{fn: "Must", inputs: in(-2, 2, sh(3)),
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.Must(G.Tanh(x[0])), nil }})
	t.add(opCase{fn: "Read", inputs: in(-2, 2, sh(3)),
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) {
			y, err := G.Tanh(x[0])
			G.Read(y, new(G.Value))
			return y, err
		}})
	t.add(opCase{fn: "Set", inputs: in(-2, 2, sh(3), sh(3)), note: "after the run, wherever the node is: see below",
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) {
			G.Set(x[0], x[1])
			return G.HadamardProd(x[0], x[1])
		}})
	t.add(opCase{fn: "ApplyOp", name: "Iop", inputs: in(-2, 2, sh(3)), flat: true,
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.ApplyOp(G.Iop{}, x[0]) }})
	t.add(opCase{fn: "ApplyOpWithName", inputs: in(-2, 2, sh(3)), flat: true,
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.ApplyOpWithName(G.Iop{}, "same", x[0]) }})
}

func one(dt tensor.Dtype) any {
	if dt == tensor.Float32 {
		return float32(1.5)
	}
	return 1.5
}

func three(dt tensor.Dtype) any {
	if dt == tensor.Float32 {
		return float32(3)
	}
	return 3.0
}

// ramp is a tensor of .5, 1, 1.5, ...
func ramp(dt tensor.Dtype, shape ...int) tensor.Tensor {
	n := tensor.Shape(shape).TotalSize()
	if dt == tensor.Float32 {
		d := make([]float32, n)
		for i := range d {
			d[i] = float32(i+1) / 2
		}
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(d))
	}
	d := make([]float64, n)
	for i := range d {
		d[i] = float64(i+1) / 2
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(d))
}
