package main

import (
	"fmt"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/bench/step"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// net is the mean of the regression's net over rows, and its gradient with respect to the parameters.
type net struct {
	vm     *engine.VM
	x      nn.Param
	params nn.Params
	loss   *G.Node
	grads  G.Nodes
}

func newNet(rows int, x []float64, dt tensor.Dtype) (*net, error) {
	g := G.NewGraph()
	m, err := nn.NewMLP(g, nn.MLPConfig{Sizes: []int{2, 128, 128, 128, 1}, Activation: nn.Softplus, Seed: 1, Dtype: dt})
	if err != nil {
		return nil, err
	}
	n := &net{x: step.Array(g, "x", dt, x, rows, 2), params: m.Params()}
	out, err := m.Forward(n.x.Node)
	if err != nil {
		return nil, err
	}
	if n.loss, err = G.Mean(out); err != nil {
		return nil, err
	}
	if n.grads, err = autodiff.Gradients(n.loss, n.params.Nodes()...); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *net) compile() (err error) {
	n.vm, err = engine.NewVM(n.x.Node.Graph(), engine.Outputs(append(G.Nodes{n.loss}, n.grads...)...))
	return err
}

func (n *net) run(times int) error {
	for range times {
		if err := n.vm.RunAll(); err != nil {
			return err
		}
	}
	return nil
}

// netCase is a net by itself, forward and backward, in float32.
func netCase(rows int) (*kernelCase, func() error, error) {
	x := random("x", rows, 2, 0)
	own, err := newNet(rows, step.Widen(x.data), tensor.Float32)
	if err != nil {
		return nil, nil, err
	}
	wide, err := newNet(rows, step.Widen(x.data), tensor.Float64)
	if err != nil {
		return nil, nil, err
	}
	for i, p := range wide.params {
		copy(p.Node.Value().Data().([]float64), wideOf(own.params[i].Node.Value().Data()))
	}
	if err := wide.compile(); err != nil {
		return nil, nil, err
	}
	defer wide.vm.Close()
	if err := wide.run(1); err != nil {
		return nil, nil, err
	}
	if err := own.compile(); err != nil {
		return nil, nil, err
	}
	c := &kernelCase{kind: "net", in: []matrix{x}, tolerance: 1e-4, // sums of rows terms
		want: [][]float64{wideOf(wide.loss.Value().Data())}, peers: []string{"torch", "compile", "jax", "gomlx"}}
	c.out = []matrix{newMatrix("loss", 1, 1)}
	for i, p := range own.params {
		s := p.Node.Shape()
		rows, cols := 1, s[0]
		if len(s) == 2 {
			rows, cols = s[0], s[1]
		}
		values := p.Node.Value().Data().([]float32)
		c.in = append(c.in, matrix{fmt.Sprintf("p%d", i), rows, cols, values})
		if len(s) == 1 {
			c.in[len(c.in)-1].rows = 0 // an array of one dimension
		}
		c.out = append(c.out, newMatrix(fmt.Sprintf("m%d", i), rows, cols))
		c.want = append(c.want, wideOf(wide.grads[i].Value().Data()))
		c.flops += 6 * float64(len(values)) * float64(c.in[0].rows)
	}
	c.own = func(times int) error {
		if err := own.run(times); err != nil {
			return err
		}
		return nil
	}
	c.read = func() {
		c.out[0].data[0] = float32(wideOf(own.loss.Value().Data())[0])
		for i, g := range own.grads {
			copy(c.out[i+1].data, g.Value().Data().([]float32))
		}
	}
	return c, own.vm.Close, nil
}
