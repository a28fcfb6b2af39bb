package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Programs as Gorgonia's users write them, of the kinds that its examples show: stock ops, gorgonia.Grad, stock
// solvers. They train on the engine as on the TapeMachine.

// A netGraph is such a program's graph.
type netGraph struct {
	loss    *G.Node
	weights G.Nodes
	watch   G.Nodes // what is looked at besides the loss
	feed    func(step int)
	eval    bool // in evaluation mode: dropout in training draws from the clock
}

// A maker makes inputs of a graph from a stream of normal numbers.
type maker struct {
	g    *G.ExprGraph
	dt   tensor.Dtype
	made uint64
	w    G.Nodes
}

// values are normals about 0, by their spread.
func (m *maker) values(spread float64, shape ...int) []float64 {
	m.made++
	v := normals(100+m.made, shape...).Data().([]float64)
	for i := range v {
		v[i] *= spread
	}
	return v
}

func (m *maker) data(name string, spread float64, shape ...int) *G.Node {
	return newInput(m.g, m.dt, name, m.values(spread, shape...), shape...)
}

// weight is data that is learnt.
func (m *maker) weight(name string, spread float64, shape ...int) *G.Node {
	n := m.data(name, spread, shape...)
	m.w = append(m.w, n)
	return n
}

// oneHot is a matrix of rows with one 1 each.
func (m *maker) oneHot(name string, rows, classes int) *G.Node {
	v := make([]float64, rows*classes)
	for i := range rows {
		v[i*classes+(i*7+i/3)%classes] = 1
	}
	return newInput(m.g, m.dt, name, v, rows, classes)
}

// crossEntropy is the mean over rows of -log of the probability of the class.
func crossEntropy(probabilities, classes *G.Node) *G.Node {
	return G.Must(G.Neg(G.Must(G.Mean(mul(G.Must(G.Log(probabilities)), classes)))))
}

func dot(a, b *G.Node) *G.Node { return G.Must(G.Mul(a, b)) }

// biased adds a row to each row.
func biased(a, b *G.Node) *G.Node { return G.Must(G.BroadcastAdd(a, b, nil, []byte{0})) }

// batches makes feed bind another batch to x at each step.
func (m *maker) batches(x *G.Node) func(step int) {
	return func(step int) {
		v := normals(uint64(7000+step), x.Shape()...).Data().([]float64)
		if err := G.Let(x, of(m.dt, v, x.Shape()...)); err != nil {
			panic(err)
		}
	}
}

func gorgoniaPrograms() map[string]func(m *maker) netGraph {
	return map[string]func(m *maker) netGraph{
		// y = slope x + offset with scalar parameters.
		"linear regression": func(m *maker) netGraph {
			const n = 200
			x := m.data("x", 1, n)
			truth := times(x, 2)
			slope := G.NewScalar(m.g, m.dt, G.WithName("slope"), G.WithValue(scalarOf(m.dt, 0.3)))
			offset := G.NewScalar(m.g, m.dt, G.WithName("offset"), G.WithValue(scalarOf(m.dt, -0.2)))
			y := add(dot(x, slope), offset)
			return netGraph{loss: G.Must(G.Mean(square(sub(y, truth)))), weights: G.Nodes{slope, offset},
				watch: G.Nodes{y}, feed: m.batches(x)}
		},
		"xor": func(m *maker) netGraph {
			x := newInput(m.g, m.dt, "x", []float64{0, 0, 0, 1, 1, 0, 1, 1}, 4, 2)
			truth := newInput(m.g, m.dt, "truth", []float64{0, 1, 1, 0}, 4, 1)
			h := G.Must(G.Sigmoid(biased(dot(x, m.weight("w0", 1, 2, 6)), m.weight("b0", 0.1, 1, 6))))
			y := G.Must(G.Sigmoid(biased(dot(h, m.weight("w1", 1, 6, 1)), m.weight("b1", 0.1, 1, 1))))
			return netGraph{loss: G.Must(G.Mean(square(sub(y, truth)))), weights: m.w, watch: G.Nodes{y, h}}
		},
		"digits by a net": func(m *maker) netGraph {
			x, truth := m.data("x", 1, 16, 49), m.oneHot("truth", 16, 10)
			h := G.Must(G.Rectify(biased(dot(x, m.weight("w0", 0.2, 49, 30)), m.weight("b0", 0.1, 1, 30))))
			h = G.Must(G.Tanh(biased(dot(h, m.weight("w1", 0.3, 30, 20)), m.weight("b1", 0.1, 1, 20))))
			p := G.Must(G.SoftMax(dot(h, m.weight("w2", 0.3, 20, 10))))
			return netGraph{loss: crossEntropy(p, truth), weights: m.w, watch: G.Nodes{p}, feed: m.batches(x)}
		},
		"digits by convolutions": func(m *maker) netGraph {
			x, truth := m.data("x", 1, 4, 1, 12, 12), m.oneHot("truth", 4, 5)
			layer := func(x *G.Node, name string, in, out int) *G.Node {
				c := G.Must(G.Conv2d(x, m.weight(name, 0.3, out, in, 3, 3), tensor.Shape{3, 3}, []int{1, 1}, []int{1, 1},
					[]int{1, 1}))
				return G.Must(G.MaxPool2D(G.Must(G.Rectify(c)), tensor.Shape{2, 2}, []int{0, 0}, []int{2, 2}))
			}
			h := G.Must(G.Dropout(layer(x, "w0", 1, 4), 0.5))
			h = layer(h, "w1", 4, 6)
			flat := G.Must(G.Reshape(h, tensor.Shape{4, 6 * 3 * 3}))
			fc := G.Must(G.Rectify(dot(flat, m.weight("w2", 0.2, 54, 16))))
			p := G.Must(G.SoftMax(dot(fc, m.weight("w3", 0.3, 16, 5))))
			return netGraph{loss: crossEntropy(p, truth), weights: m.w, watch: G.Nodes{p}, feed: m.batches(x), eval: true}
		},
		// Its last steps are in evaluation mode.
		"a residual block with batch norm": func(m *maker) netGraph {
			x, truth := m.data("x", 1, 3, 2, 6, 6), m.oneHot("truth", 3, 4)
			var modes *G.BatchNormOp
			norm := func(x *G.Node, name string) *G.Node {
				s := x.Shape()
				scale, bias := m.weight(name+".scale", 0.5, 1, s[1], s[2], s[3]), m.weight(name+".bias", 0.1, 1, s[1], s[2], s[3])
				n, _, _, op, err := G.BatchNorm(x, scale, bias, 0.9, 1e-5)
				modes = op
				return G.Must(n, err)
			}
			conv := func(x *G.Node, name string) *G.Node {
				return G.Must(G.Conv2d(x, m.weight(name, 0.3, 2, 2, 3, 3), tensor.Shape{3, 3}, []int{1, 1}, []int{1, 1},
					[]int{1, 1}))
			}
			h := G.Must(G.Rectify(norm(conv(x, "w0"), "n0")))
			h = G.Must(G.Rectify(add(conv(h, "w1"), x)))
			flat := G.Must(G.Reshape(h, tensor.Shape{3, 72}))
			p := G.Must(G.SoftMax(dot(flat, m.weight("w2", 0.2, 72, 4))))
			bind := m.batches(x)
			feed := func(step int) {
				bind(step)
				if err := modes.SetTraining(step < 3); err != nil {
					panic(err)
				}
			}
			return netGraph{loss: crossEntropy(p, truth), weights: m.w, watch: G.Nodes{p}, feed: feed}
		},
		// A recurrent net over the columns of a sequence, one matrix-vector product at a time.
		"a recurrent net": func(m *maker) netGraph {
			const in, hidden, length = 3, 5, 6
			x, truth := m.data("x", 1, in, length), m.data("truth", 1, length)
			w, u, b := m.weight("w", 0.5, hidden, in), m.weight("u", 0.4, hidden, hidden), m.weight("b", 0.1, hidden)
			out := m.weight("out", 0.5, hidden)
			h := m.data("h", 0.1, hidden)
			var loss *G.Node
			for t := range length {
				h = G.Must(G.Tanh(add(add(dot(w, column(x, t)), dot(u, h)), b)))
				off := square(sub(dot(out, h), G.Must(G.Slice(truth, G.S(t)))))
				if loss == nil {
					loss = off
				} else {
					loss = add(loss, off)
				}
			}
			return netGraph{loss: loss, weights: m.w, watch: G.Nodes{h}, feed: m.batches(x)}
		},
		// The decoder's weights are the encoder's, transposed.
		"an autoencoder": func(m *maker) netGraph {
			x := m.data("x", 1, 10, 8)
			w := m.weight("w", 0.4, 8, 3)
			code := G.Must(G.Sigmoid(biased(dot(x, w), m.weight("b", 0.1, 1, 3))))
			back := biased(dot(code, G.Must(G.Transpose(w))), m.weight("c", 0.1, 1, 8))
			return netGraph{loss: G.Must(G.Mean(square(sub(back, x)))), weights: m.w, watch: G.Nodes{code, back},
				feed: m.batches(x)}
		},
		// The matrix factorisation of a table with a mask for what is known, an L1 penalty on the factors.
		"a factorisation": func(m *maker) netGraph {
			table, known := m.data("table", 1, 9, 7), newInput(m.g, m.dt, "known", mask(63), 9, 7)
			a, b := m.weight("a", 0.5, 9, 3), m.weight("b", 0.5, 7, 3)
			product := G.Must(G.Tensordot([]int{1}, []int{1}, a, b))
			off := mul(sub(product, table), known)
			penalty := add(total(G.Must(G.Abs(a))), total(G.Must(G.Abs(b))))
			return netGraph{loss: add(total(square(off)), times(penalty, 0.01)), weights: m.w, watch: G.Nodes{product},
				feed: m.batches(table)}
		},
	}
}

// mask has two ones in three.
func mask(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		if i%3 != 1 {
			v[i] = 1
		}
	}
	return v
}

func scalarOf(dt tensor.Dtype, v float64) any {
	if dt == tensor.Float32 {
		return float32(v)
	}
	return v
}

var solvers = map[string]func() G.Solver{
	"RMSProp":  func() G.Solver { return G.NewRMSPropSolver(G.WithLearnRate(0.01)) },
	"Adam":     func() G.Solver { return G.NewAdamSolver(G.WithLearnRate(0.01)) },
	"Vanilla":  func() G.Solver { return G.NewVanillaSolver(G.WithLearnRate(0.05), G.WithClip(5)) },
	"Momentum": func() G.Solver { return G.NewMomentum(G.WithLearnRate(0.02)) },
}

// learn takes steps with a stock solver. It returns the loss and what is watched of every step, and the weights after
// the last.
func (p netGraph) learn(t *testing.T, machine func() G.VM, solver G.Solver, steps int) map[string][]float64 {
	t.Helper()
	nodes := append(G.Nodes{p.loss}, p.watch...)
	read := make([]G.Value, len(nodes))
	for i, n := range nodes {
		G.Read(n, &read[i])
	}
	vm := machine()
	defer vm.Close()
	values := map[string][]float64{}
	for step := range steps {
		if p.feed != nil {
			p.feed(step)
		}
		run(t, vm)
		for i, v := range read {
			values[fmt.Sprintf("step %d, watched node %d", step, i)] = floats(t, v)
		}
		if err := solver.Step(G.NodesToValueGrads(p.weights)); err != nil {
			t.Fatal(err)
		}
		vm.Reset()
	}
	for _, w := range p.weights {
		values["the weight "+w.Name()] = floats(t, w.Value())
	}
	return values
}

func TestGorgoniaPrograms(t *testing.T) {
	for name, build := range gorgoniaPrograms() {
		for _, dt := range bothTypes {
			for solver, newSolver := range solvers {
				t.Run(fmt.Sprintf("%s/%v/%s", name, dt, solver), func(t *testing.T) {
					learn := func(machine func(p netGraph) G.VM) map[string][]float64 {
						m := &maker{g: G.NewGraph(), dt: dt}
						p := build(m)
						if _, err := G.Grad(p.loss, p.weights...); err != nil {
							t.Fatal(err)
						}
						return p.learn(t, func() G.VM { return machine(p) }, newSolver(), 5)
					}
					want := learn(func(p netGraph) G.VM {
						opts := []G.VMOpt{G.BindDualValues(p.weights...)}
						if p.eval {
							opts = append(opts, G.EvalMode())
						}
						return G.NewTapeMachine(p.loss.Graph(), opts...)
					})
					for _, options := range []string{"every node", "outputs"} {
						got := learn(func(p netGraph) G.VM {
							opts := []engine.Option{engine.BindDualValues(p.weights...)}
							if p.eval {
								opts = append(opts, engine.EvalMode())
							}
							if options == "outputs" {
								opts = append(opts, engine.Outputs())
							}
							return newVM(t, p.loss.Graph(), opts...)
						})
						compareTrainings(t, options, got, want, dt)
					}
				})
			}
		}
	}
}

// compareTrainings wants the values of two machines equal: to what five steps make of 1e-13 in float64, of 1e-6 in
// float32, with solvers that divide gradients by their size.
func compareTrainings(t *testing.T, what string, got, want map[string][]float64, dt tensor.Dtype) {
	t.Helper()
	tolerance := 1e-11
	if dt == tensor.Float32 {
		tolerance = 1e-4
	}
	moved := false
	for name, w := range want {
		if d := distance(got[name], w); !(d <= tolerance) {
			t.Errorf("%s: %s differs by %.3g", what, name, d)
		}
		if strings.HasPrefix(name, "step 4") && distance(w, want["step 0"+name[len("step 4"):]]) > 1e-3 {
			moved = true
		}
	}
	if !moved {
		t.Errorf("%s: nothing moved in five steps", what)
	}
}
