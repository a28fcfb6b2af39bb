package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A grower adds random ops to a graph: of Gorgonia's public ones those that are right on the TapeMachine, on arrays
// of up to three dimensions, and so that values stay about 1.
type grower struct {
	r     *rand.Rand
	g     *G.ExprGraph
	dt    tensor.Dtype
	in    G.Nodes
	nodes G.Nodes
	used  map[*G.Node]bool
	ops   map[string]int
}

// sizes of dimensions; 1 is left out, for Gorgonia takes (3), (3,1) and (1,3) for each other.
var sizes = []int{2, 3, 4, 5, 7}

func (w *grower) shape(dims int) (s []int) {
	for range dims {
		s = append(s, sizes[w.r.IntN(len(sizes))])
	}
	return s
}

func (w *grower) input(shape ...int) *G.Node {
	n := newInput(w.g, w.dt, fmt.Sprintf("in%d", len(w.in)), normals(w.r.Uint64(), shape...).Data().([]float64),
		shape...)
	w.in, w.nodes = append(w.in, n), append(w.nodes, n)
	return n
}

// pick is a node, of that many dimensions if dims is above 0; of late ones rather than early ones.
func (w *grower) pick(dims int) *G.Node {
	for range 20 {
		n := w.nodes[len(w.nodes)-1-min(w.r.IntN(len(w.nodes)), w.r.IntN(len(w.nodes)))]
		if dims == 0 || n.Dims() == dims {
			w.used[n] = true
			return n
		}
	}
	n := w.input(w.shape(dims)...)
	w.used[n] = true
	return n
}

// like is a node of a shape.
func (w *grower) like(shape tensor.Shape) *G.Node {
	for range 10 {
		if n := w.nodes[w.r.IntN(len(w.nodes))]; slices.Equal(n.Shape(), shape) { // Eq has (3) for (3,1)
			w.used[n] = true
			return n
		}
	}
	n := w.input(shape...)
	w.used[n] = true
	return n
}

// tame keeps a node's values in bounds.
func tame(n *G.Node) *G.Node { return G.Must(G.Tanh(times(n, 0.5))) }

// rules are the ways to grow; each gives a node of values about 1, or nil where it does not apply.
func (w *grower) rules() map[string]func() *G.Node {
	one := func(f func(*G.Node) (*G.Node, error)) func() *G.Node {
		return func() *G.Node { return G.Must(f(w.pick(0))) }
	}
	two := func(f func(a, b *G.Node) *G.Node) func() *G.Node {
		return func() *G.Node {
			a := w.pick(0)
			return f(a, w.like(a.Shape()))
		}
	}
	compare := func(f func(a, b *G.Node, same bool) (*G.Node, error)) func() *G.Node {
		return two(func(a, b *G.Node) *G.Node { return mul(G.Must(f(a, b, true)), a) })
	}
	reduce := func(f func(*G.Node, ...int) (*G.Node, error)) func() *G.Node {
		return func() *G.Node {
			a := w.pick(2 + w.r.IntN(2))
			return tame(G.Must(f(a, w.r.IntN(a.Dims()))))
		}
	}
	broadcast := func(f func(a, b *G.Node, left, right []byte) (*G.Node, error)) func() *G.Node {
		return func() *G.Node {
			a := w.pick(2)
			axis := w.r.IntN(2)
			row := []int{a.Shape()[0], a.Shape()[1]}
			row[axis] = 1
			b := w.input(row...)
			w.nodes = w.nodes[:len(w.nodes)-1] // nothing else takes sizes of 1
			return tame(G.Must(f(a, b, nil, []byte{byte(axis)})))
		}
	}
	return map[string]func() *G.Node{
		"tanh": one(G.Tanh), "sigmoid": one(G.Sigmoid), "sin": one(G.Sin), "cos": one(G.Cos), "neg": one(G.Neg),
		"abs": one(G.Abs), "rectify": one(G.Rectify), "sign": one(G.Sign),
		"square":   func() *G.Node { return tame(square(w.pick(0))) },
		"cube":     func() *G.Node { return tame(G.Must(G.Cube(w.pick(0)))) },
		"exp":      func() *G.Node { return tame(G.Must(G.Exp(tame(w.pick(0))))) },
		"expm1":    func() *G.Node { return G.Must(G.Expm1(tame(w.pick(0)))) },
		"softplus": func() *G.Node { return tame(G.Must(G.Softplus(w.pick(0)))) },
		"log1p":    func() *G.Node { return G.Must(G.Log1p(square(w.pick(0)))) },
		"sqrt": func() *G.Node {
			a := w.pick(0)
			return tame(G.Must(G.Sqrt(add(square(a), full(a, 0.5)))))
		},
		"inverse": func() *G.Node {
			a := w.pick(0)
			return G.Must(G.Inverse(add(square(a), full(a, 1))))
		},
		"add":        two(func(a, b *G.Node) *G.Node { return tame(add(a, b)) }),
		"sub":        two(func(a, b *G.Node) *G.Node { return tame(sub(a, b)) }),
		"mul":        two(func(a, b *G.Node) *G.Node { return tame(mul(a, b)) }),
		"div":        two(func(a, b *G.Node) *G.Node { return tame(div(a, add(square(b), full(b, 1)))) }),
		"maxBetween": two(func(a, b *G.Node) *G.Node { return G.Must(G.MaxBetween(a, b)) }),
		"minBetween": two(func(a, b *G.Node) *G.Node { return G.Must(G.MinBetween(a, b)) }),
		"gt":         compare(G.Gt), "lte": compare(G.Lte),
		"scaled": func() *G.Node { return times(w.pick(0), float64(w.r.IntN(9)-4)/4) },
		"by a scalar": func() *G.Node {
			return mul(w.pick(0), G.Must(G.Tanh(total(w.pick(0)))))
		},
		"sum": reduce(G.Sum), "mean": reduce(G.Mean), "max": reduce(G.Max),
		"broadcastAdd": broadcast(G.BroadcastAdd), "broadcastProd": broadcast(G.BroadcastHadamardProd),
		"matmul": func() *G.Node {
			a := w.pick(2)
			return tame(dot(a, w.like(tensor.Shape{a.Shape()[1], sizes[w.r.IntN(len(sizes))]})))
		},
		"transposed matmul": func() *G.Node {
			a, b := w.pick(2), G.Must(G.Transpose(w.pick(2)))
			product := dot(a, w.like(tensor.Shape{a.Shape()[1], b.Shape()[0]}))
			return tame(G.Must(G.Transpose(dot(product, b))))
		},
		"matvec": func() *G.Node {
			a := w.pick(2)
			return tame(dot(a, w.like(tensor.Shape{a.Shape()[1]})))
		},
		"batched matmul": func() *G.Node {
			a := w.pick(3)
			s := a.Shape()
			return tame(G.Must(G.BatchedMatMul(a, w.like(tensor.Shape{s[0], s[2], sizes[w.r.IntN(len(sizes))]}))))
		},
		"outer": func() *G.Node { return G.Must(G.OuterProd(w.pick(1), w.pick(1))) },
		"transpose": func() *G.Node {
			a := w.pick(2)
			return G.Must(G.Transpose(a, 1, 0))
		},
		"transpose3": func() *G.Node { return G.Must(G.Transpose(w.pick(3), w.r.Perm(3)...)) },
		"reshape": func() *G.Node {
			a := w.pick(2 + w.r.IntN(2))
			s := a.Shape()
			if a.Dims() == 3 {
				return G.Must(autodiff.Reshape(a, s[0]*s[1], s[2]))
			}
			return G.Must(autodiff.Reshape(a, s[0]*s[1]))
		},
		"slice": func() *G.Node {
			a := w.pick(1 + w.r.IntN(3))
			axis := w.r.IntN(a.Dims())
			n := a.Shape()[axis]
			if n < 3 {
				return nil
			}
			from := w.r.IntN(n - 2)
			s := make([]tensor.Slice, axis+1)
			s[axis] = G.S(from, from+2)
			return G.Must(G.Slice(a, s...))
		},
		"column": func() *G.Node {
			a := w.pick(2)
			return column(a, w.r.IntN(a.Shape()[1]))
		},
		"concat": func() *G.Node {
			a := w.pick(2)
			axis := w.r.IntN(2)
			other := slices.Clone(a.Shape())
			other[axis] = sizes[w.r.IntN(len(sizes))]
			b := w.like(other)
			if a == b { // writes over itself on the TapeMachine
				return nil
			}
			return G.Must(G.Concat(axis, a, b))
		},
		"softmax": func() *G.Node { return G.Must(G.SoftMax(w.pick(2))) },
		"expand": func() *G.Node {
			a := w.pick(1)
			return G.Must(autodiff.Expand(a, sizes[w.r.IntN(len(sizes))], a.Shape()[0]))
		},
	}
}

// randomProgram grows a graph of about so many ops with a loss of all that has no user, and its gradients.
func randomProgram(t testing.TB, seed uint64, dt tensor.Dtype, ops int) (w *grower, loss *G.Node, grads G.Nodes) {
	t.Helper()
	w = &grower{r: rand.New(rand.NewPCG(seed, 23)), g: G.NewGraph(), dt: dt, used: map[*G.Node]bool{},
		ops: map[string]int{}}
	rules := w.rules()
	names := make([]string, 0, len(rules))
	for name := range rules {
		names = append(names, name)
	}
	slices.Sort(names)
	for d := range 3 {
		w.input(w.shape(d + 1)...)
	}
	for range ops {
		name := names[w.r.IntN(len(names))]
		if n := rules[name](); n != nil && n.Shape().TotalSize() <= 500 {
			w.ops[name]++
			if !slices.Contains(w.nodes, n) {
				w.nodes = append(w.nodes, n)
			}
		}
	}
	for _, n := range w.nodes {
		if w.used[n] {
			continue
		}
		term := G.Must(G.Mean(square(n)))
		if loss == nil {
			loss = term
		} else {
			loss = add(loss, term)
		}
	}
	grads, err := autodiff.Gradients(loss, w.in...)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return w, loss, grads
}

// Random programs have the TapeMachine's loss and gradients with every node kept, with outputs alone, without any one
// pass or ability of the planner, and in less memory, the last with the same bits.
func TestRandomPrograms(t *testing.T) {
	cases := max(16, soak)
	ops, useless := map[string]int{}, 0
	for seed := range uint64(cases) {
		for _, dt := range bothTypes {
			if !randomProgramOnBoth(t, seed, dt, ops) {
				useless++
			}
		}
	}
	if useless > cases/5 {
		t.Errorf("%d of %d graphs were of no use", useless, 2*cases)
	}
	for name := range (&grower{}).rules() {
		if ops[name] == 0 {
			t.Errorf("no program has %s", name)
		}
	}
	t.Logf("%d programs of %v", 2*cases-useless, ops)
}

// randomProgramOnBoth compares one; it reports false where the TapeMachine would be wrong.
func randomProgramOnBoth(t *testing.T, seed uint64, dt tensor.Dtype, ops map[string]int) bool {
	t.Helper()
	build := func() (nodes G.Nodes, names []string) {
		w, loss, grads := randomProgram(t, seed, dt, 10+int(seed%40))
		for name, n := range w.ops {
			ops[name] += n
		}
		names = append(names, fmt.Sprint("the loss in ", dt))
		for _, n := range w.in {
			names = append(names, fmt.Sprintf("the gradient of %s in %v", n.Name(), dt))
		}
		return append(G.Nodes{loss}, grads...), names
	}
	theirs, names := build()
	if err := autodiff.Check(theirs[0].Graph()); err != nil {
		return false
	}
	read := make([]G.Value, len(theirs))
	for i, n := range theirs {
		G.Read(n, &read[i])
	}
	tape := G.NewTapeMachine(theirs[0].Graph())
	run(t, tape)
	tape.Close()
	tolerance := 1e-12 // sums of up to 500 terms, through up to 50 ops
	if dt == tensor.Float32 {
		tolerance = 1e-4
	}
	switches := engine.Switches()
	off := switches[seed%uint64(len(switches))]
	for _, c := range []struct {
		name string
		opts func(nodes G.Nodes) []engine.Option
	}{
		{"every node", func(G.Nodes) []engine.Option { return nil }},
		{"outputs", func(nodes G.Nodes) []engine.Option { return []engine.Option{engine.Outputs(nodes...)} }},
		{"without " + off, func(nodes G.Nodes) []engine.Option {
			return []engine.Option{engine.Outputs(nodes...), engine.Disable(off)}
		}},
	} {
		nodes, _ := build()
		vm := newVM(t, nodes[0].Graph(), c.opts(nodes)...)
		run(t, vm)
		var values [][]float64
		for i, n := range nodes {
			values = append(values, floats(t, n.Value()))
			if d := absolute(values[i], floats(t, read[i])); !(d <= tolerance) {
				t.Errorf("seed %d, %s: %s differs by %.3g", seed, c.name, names[i], d)
			}
		}
		if c.name == "outputs" {
			lessMemory(t, seed, vm, build, values)
		}
	}
	return true
}

// lessMemory runs a program in less than its own memory.
func lessMemory(t *testing.T, seed uint64, own *engine.VM, build func() (G.Nodes, []string), want [][]float64) {
	t.Helper()
	budget := temporary(own.Explain()) * 2 / 3
	if budget < 1 {
		return
	}
	nodes, names := build()
	vm, err := engine.NewVM(nodes[0].Graph(), engine.Outputs(nodes...), engine.MemoryBudget(budget))
	if err != nil {
		hasParts(t, fmt.Sprintf("seed %d with %d bytes", seed, budget), err, "MemoryBudget", "least")
		return
	}
	defer vm.Close()
	run(t, vm)
	for i, n := range nodes {
		if got := floats(t, n.Value()); !slices.Equal(got, want[i]) {
			t.Errorf("seed %d with %d bytes: %s has other bits", seed, budget, names[i])
		}
	}
}

// absolute is distance for arrays of which none is large: relative to 1 where all are below.
func absolute(a, b []float64) float64 {
	d := distance(a, b)
	largest := 0.0
	for _, x := range b {
		largest = max(largest, x, -x)
	}
	return d * min(1, largest)
}
