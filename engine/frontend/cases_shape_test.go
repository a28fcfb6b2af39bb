package frontend

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func (t *table) shapes() {
	for _, p := range []struct{ from, to []int }{
		{sh(3, 4), sh(4, 3)}, {sh(3, 4), sh(12)}, {sh(12), sh(2, 6)}, {sh(2, 3, 4), sh(6, -1)}, {sh(3, 4), sh(3, 1, 4)},
		{sh(1), sh(1, 1)},
	} {
		t.add(opCase{fn: "Reshape", name: fmt.Sprint(tensor.Shape(p.from), tensor.Shape(p.to)), inputs: in(-2, 2, p.from),
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.Reshape(x[0], tensor.Shape(p.to).Clone()) }})
	}
	t.add(opCase{fn: "Ravel", inputs: in(-2, 2, sh(3, 4)), build: build1(G.Ravel)})
	for _, p := range []struct{ shape, axes []int }{
		{sh(3, 4), nil}, {sh(2, 3, 4), sh(1, 0, 2)}, {sh(2, 3, 4), sh(2, 0, 1)}, {sh(2, 3, 4), sh(1, 2, 0)},
		{sh(2, 3, 4, 2), sh(0, 3, 1, 2)},
		{sh(1, 4), nil},
	} {
		t.add(opCase{fn: "Transpose", name: fmt.Sprint(tensor.Shape(p.shape), " by ", p.axes), inputs: in(-2, 2, p.shape),
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.Transpose(x[0], p.axes...) }})
	}
	for _, p := range []struct {
		name   string
		shape  []int
		slices []tensor.Slice
	}{
		{"x[1:3]", sh(5), []tensor.Slice{G.S(1, 3)}}, {"x[1] of a vector", sh(5), []tensor.Slice{G.S(1)}},
		{"x[1]", sh(3, 4), []tensor.Slice{G.S(1)}}, {"x[:,1]", sh(3, 4), []tensor.Slice{nil, G.S(1)}},
		{"x[:,1:3]", sh(3, 4), []tensor.Slice{nil, G.S(1, 3)}}, {"x[1:3,2:4]", sh(4, 4),
			[]tensor.Slice{G.S(1, 3), G.S(2, 4)}},
		{"x[1,2]", sh(3, 4), []tensor.Slice{G.S(1), G.S(2)}}, {"x[:,1,:]", sh(2, 3, 4), []tensor.Slice{nil, G.S(1), nil}},
		{"x[0:4:2]", sh(4, 3), []tensor.Slice{G.S(0, 4, 2)}}, {"x[:,0:4:2]", sh(3, 4), []tensor.Slice{nil, G.S(0, 4, 2)}},
		{"x[1:9] beyond the end", sh(5), []tensor.Slice{G.S(1, 9)}},
	} {
		t.add(opCase{fn: "Slice", name: p.name, inputs: in(-2, 2, p.shape),
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.Slice(x[0], p.slices...) }})
	}
	t.add(opCase{fn: "Slice", name: "two of one", inputs: in(-2, 2, sh(4, 3)),
		build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) {
			a, err := G.Slice(x[0], G.S(0, 2))
			if err != nil {
				return nil, err
			}
			b, err := G.Slice(x[0], G.S(1, 3))
			if err != nil {
				return nil, err
			}
			return G.HadamardProd(a, b)
		}})
	for _, p := range []struct {
		axis   int
		shapes [][]int
	}{
		{0, [][]int{sh(2, 3), sh(4, 3)}}, {1, [][]int{sh(2, 3), sh(2, 1), sh(2, 2)}}, {0, [][]int{sh(3), sh(4)}},
		{0, [][]int{sh(2, 3)}},
		{2, [][]int{sh(2, 3, 1), sh(2, 3, 2)}},
	} {
		t.add(opCase{fn: "Concat", name: fmt.Sprint(p.shapes, " axis ", p.axis), inputs: in(-2, 2, p.shapes...),
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.Concat(p.axis, x...) }})
	}
	for _, axis := range []int{0, 1} {
		t.add(opCase{fn: "Unconcat", name: fmt.Sprint("axis ", axis), inputs: in(-2, 2, sh(4, 4)),
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) {
				parts, err := G.Unconcat(x[0], axis, 2)
				if err != nil {
					return nil, err
				}
				return G.HadamardProd(parts[0], parts[1])
			}})
	}
	for axis := range 2 {
		t.add(opCase{fn: "SizeOf", name: fmt.Sprint("axis ", axis), inputs: in(-2, 2, sh(3, 4)), flat: true,
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.SizeOf(axis, x[0]) }})
	}
	for _, p := range []struct{ shape, at []int }{{sh(5), sh(2)}, {sh(3, 4), sh(1, 2)}} {
		t.add(opCase{fn: "At", name: fmt.Sprint(tensor.Shape(p.shape), " ", p.at), inputs: in(-2, 2, p.shape), flat: true,
			build:  func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.At(x[0], p.at...) },
			faults: map[string]string{byValue: "At is taken for a statement and not run"},
			want: func(x [][]float64) []float64 {
				if len(p.at) == 1 {
					return x[0][p.at[0] : p.at[0]+1]
				}
				i := p.at[0]*p.shape[1] + p.at[1]
				return x[0][i : i+1]
			}})
	}
	for _, left := range []bool{true, false} {
		t.add(opCase{fn: "KeepDims", name: fmt.Sprint("expandLeft ", left), inputs: in(-2, 2, sh(3, 4)),
			build: func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) {
				return G.KeepDims(x[0], left, func(a *G.Node) (*G.Node, error) { return G.Sum(a, 1) })
			}})
	}
	t.add(opCase{fn: "DiagFlat", inputs: in(-2, 2, sh(4)), build: build1(G.DiagFlat), flat: true})
	t.add(opCase{fn: "DiagFlat", name: "(2,2)", inputs: in(-2, 2, sh(2, 2)), build: build1(G.DiagFlat), flat: true})
	for axis := range 2 {
		t.add(opCase{fn: "ByIndices", name: fmt.Sprint("axis ", axis),
			inputs: append(in(-2, 2, sh(3, 4)), input{shape: sh(4), ints: []int{2, 0, 2, 1}}),
			build:  func(_ tensor.Dtype, x G.Nodes) (*G.Node, error) { return G.ByIndices(x[0], x[1], axis) },
			note:   "its derivative by gorgonia.Grad is wrong",
			faults: map[string]string{byGradients: "refused: Gorgonia's derivative is wrong"}})
	}
}
