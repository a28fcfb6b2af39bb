package engine_test

import (
	"fmt"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// unrolled is a DCEM solve of 3 problems with a loss on its answer and gradients of the objective's parameters by
// package autodiff.
func unrolled(t testing.TB, iterations int, hard bool) (m *model, run *G.Node, grads G.Nodes) {
	t.Helper()
	must := func(n *G.Node, err error) *G.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const batch, samples, dim = 3, 40, 2
	m = &model{g: G.NewGraph()}
	c, w := input(m.g, "c", normals(1, batch, dim)), input(m.g, "w", normals(2, batch, dim))
	m.w = G.Nodes{c, w}
	s, err := dcem.Unroll(m.g, func(x *G.Node) (*G.Node, error) {
		off := must(G.Sub(x, must(dcem.Expand(c, samples))))
		wave := must(G.Sin(must(G.HadamardProd(x, must(dcem.Expand(w, samples))))))
		return G.Sum(must(G.Add(must(G.Square(off)), wave)), 2)
	}, dcem.Config{Batch: batch, Dim: dim, Samples: samples, Elites: 8, Iterations: iterations, Hard: hard,
		Lower: []float64{-2}, Upper: []float64{2}, Dtype: tensor.Float64})
	if err != nil {
		t.Fatal(err)
	}
	m.out, run = must(dcem.Keep(s.Answer)), s.Run
	m.loss = must(G.Sum(must(G.Square(s.Answer))))
	if grads, err = autodiff.Gradients(m.loss, m.w...); err != nil {
		t.Fatal(err)
	}
	for i := range grads {
		grads[i] = must(dcem.Keep(grads[i]))
	}
	return m, run, grads
}

// A whole solve has the TapeMachine's answer and gradients. What roundings become in T iterations grows with T:
// changing the parameters by 1e-16 moves gradients at T = 10 by 2e-10.
func TestUnroll(t *testing.T) {
	for _, c := range []struct {
		iterations int
		hard       bool
		tol        float64
	}{{1, false, 1e-11}, {2, false, 1e-11}, {4, false, 1e-11}, {4, true, 1e-11}, {10, false, 1e-8}} {
		for name, options := range map[string]func(m *model, grads G.Nodes) []engine.Option{
			"every node": func(*model, G.Nodes) []engine.Option { return nil },
			"outputs": func(m *model, grads G.Nodes) []engine.Option {
				return []engine.Option{engine.Outputs(append(G.Nodes{m.out, m.loss}, grads...)...)}
			},
		} {
			t.Run(fmt.Sprintf("T=%d hard=%v %s", c.iterations, c.hard, name), func(t *testing.T) {
				ours, number, ourGrads := unrolled(t, c.iterations, c.hard)
				theirs, theirNumber, theirGrads := unrolled(t, c.iterations, c.hard)
				vm := newVM(t, ours.g, options(ours, ourGrads)...)
				tape := G.NewTapeMachine(theirs.g)
				defer tape.Close()
				for _, n := range []int64{0, 7} {
					for _, node := range []*G.Node{number, theirNumber} {
						if err := G.Let(node, n); err != nil {
							t.Fatal(err)
						}
					}
					run(t, vm)
					run(t, tape)
					tape.Reset()
					same(t, "answer", ours.out.Value(), theirs.out.Value(), c.tol)
					for i := range ourGrads {
						same(t, "gradient of "+ours.w[i].Name(), ourGrads[i].Value(), theirGrads[i].Value(), c.tol)
					}
				}
			})
		}
	}
}

// Learning through a solve, the update in the program.
func TestLearningThroughASolve(t *testing.T) {
	m, _, _ := unrolled(t, 3, false)
	vm := newVM(t, m.g, engine.WithUpdate(kernels.Optimizer{Rate: 0.05}, m.loss, m.w...), engine.Outputs())
	for range 60 {
		run(t, vm)
	}
	l, err := vm.Losses()
	if err != nil {
		t.Fatal(err)
	}
	if !(l[59] < 0.2*l[0]) {
		t.Errorf("the loss went from %v to %v", l[0], l[59])
	}
	if noise := vm.Run(); noise != 60 {
		t.Errorf("run %d after 60 runs", noise)
	}
}
