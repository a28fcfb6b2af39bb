package engine_test

import (
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"math"
	"reflect"
	"sync"
	"testing"

	"github.com/chewxy/hm"
	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/engine"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// drawn is a graph whose values and gradients are noise: candidates mu + sigma eps about 0 with spread 1, and the
// gradient of <weights, candidates> with respect to sigma, which is weights times noise that the backward pass draws
// again.
type drawn struct {
	run            *G.Node
	noise, uniform *G.Node
	x, dsigma      *G.Node
}

func newDrawn(t *testing.T, dt tensor.Dtype) drawn {
	t.Helper()
	g := G.NewGraph()
	const b, d = 37, 5
	n := drawn{run: dcem.RunNode(g, "run")}
	n.noise = G.Must(dcem.Normal(n.run, dt, 11, 3, 7, 13))
	n.uniform = G.Must(dcem.Uniform(n.run, dt, 11, 4, 91))
	zeros, ones := make([]float64, b*d), make([]float64, b*d)
	for i := range ones {
		ones[i] = 1
	}
	mu, sigma := newInput(g, dt, "mu", zeros, b, d), newInput(g, dt, "sigma", ones, b, d)
	eps := G.Must(dcem.Normal(n.run, dt, 12, 5, b, 1, d))
	n.x = G.Must(dcem.Sample(mu, sigma, eps, dcem.SampleOptions{}))
	weights := newInput(g, dt, "weights", normals(3, b, 1, d).Data().([]float64), b, 1, d)
	grads, err := autodiff.Gradients(total(mul(n.x, weights)), sigma)
	if err != nil {
		t.Fatal(err)
	}
	n.dsigma = grads[0]
	return n
}

// The noise is that of the dcem ops on the TapeMachine, bit for bit, forward and backward, in both types. Its number
// advances with every RunAll, and starts anew where a number is bound.
func TestDrawsAreTheTapeMachines(t *testing.T) {
	for _, dt := range bothTypes {
		for _, kept := range []string{"every node", "outputs"} {
			ours, theirs := newDrawn(t, dt), newDrawn(t, dt)
			a, b := []*G.Node{ours.noise, ours.uniform, ours.x, ours.dsigma},
				[]*G.Node{theirs.noise, theirs.uniform, theirs.x, theirs.dsigma}
			var read [4]G.Value
			for i, n := range b {
				G.Read(n, &read[i])
			}
			var opts []engine.Option
			if kept == "outputs" {
				opts = append(opts, engine.Outputs(a...))
			}
			vm := newVM(t, ours.run.Graph(), opts...)
			tape := G.NewTapeMachine(theirs.run.Graph())
			defer tape.Close()
			seen := map[float64]bool{}
			step := func(number int64) {
				t.Helper()
				if vm.Run() != number {
					t.Errorf("%v, %s: the next run has number %d, want %d", dt, kept, vm.Run(), number)
				}
				run(t, vm)
				if err := G.Let(theirs.run, number); err != nil {
					t.Fatal(err)
				}
				run(t, tape)
				tape.Reset()
				for i, n := range a {
					same(t, fmt.Sprintf("%v, %s, run %d, array %d", dt, kept, number, i), n.Value(), read[i], 0)
				}
				seen[floats(t, a[2].Value())[0]] = true
			}
			for n := range int64(4) {
				step(n)
			}
			for _, n := range []int64{2, math.MaxInt64 - 1, -3} {
				if err := G.Let(ours.run, n); err != nil {
					t.Fatal(err)
				}
				step(n)
				step(n + 1)
			}
			if len(seen) != 8 {
				t.Errorf("%v, %s: %d different draws of 10 runs, want 8", dt, kept, len(seen))
			}
		}
	}
}

// CheckNumerics names the first node of the graph that is not finite, however far what it spoils reaches and whatever
// is kept, in both types.
func TestCheckNumericsNamesTheFirst(t *testing.T) {
	for _, dt := range bothTypes {
		for name, c := range map[string]struct {
			spoil func(x []float64)
			want  []string // of the message
			node  int
		}{
			"an overflow":   {func(x []float64) { x[7] = 800 }, []string{"exp", "Inf at [1 3]", "1 Inf", "800"}, 0},
			"a quotient":    {func(x []float64) { x[2] = 0 }, []string{"÷", "Inf at [0 2]", "operand"}, 1},
			"NaN of 0 by 0": {func(x []float64) { x[3] = -1 }, []string{"ln", "NaN at [0 3]"}, 2},
		} {
			x := make([]float64, 12)
			for i := range x {
				x[i] = 0.5 + float64(i)/10
			}
			g := G.NewGraph()
			in := newInput(g, dt, "x", x, 3, 4)
			nodes := []*G.Node{G.Must(G.Exp(in)), div(full(in, 1), in), G.Must(G.Log(in))}
			sum := total(add(add(nodes[0], nodes[1]), nodes[2]))
			w := newInput(g, dt, "w", []float64{0.3}, 1)
			loss := total(mul(w, G.Must(autodiff.Reshape(G.Must(G.Tanh(times(sum, 1e-3))), 1))))
			vm := newVM(t, g, engine.CheckNumerics(), engine.WithUpdate(clipped, loss, w))
			run(t, vm)
			before, err := vm.State()
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(x)
			if err := G.Let(in, of(dt, x, 3, 4)); err != nil {
				t.Fatal(err)
			}
			err = vm.RunAll()
			var n *engine.NumericsError
			if !errors.As(err, &n) || n.Node != nodes[c.node] {
				t.Errorf("%v, %s: the error is %v, want one that names %v", dt, name, err, nodes[c.node])
			}
			hasParts(t, name, err, c.want...)
			after, err := vm.State()
			if err != nil || !reflect.DeepEqual(before, after) {
				t.Errorf("%v, %s: the run that failed changed the state (%v)", dt, name, err)
			}
			for i := range x {
				x[i] = 1
			}
			if err := G.Let(in, of(dt, x, 3, 4)); err != nil {
				t.Fatal(err)
			}
			run(t, vm)
		}
	}
}

// moody is an op of a foreign package that does as it is told: of (n) -> (n).
type moody struct{ mood *string }

func (op moody) Arity() int { return 1 }
func (op moody) Type() hm.Type {
	v := G.TensorType{Dims: 1, Of: hm.TypeVariable('a')}
	return hm.NewFnType(v, v)
}
func (op moody) InferShape(in ...G.DimSizer) (tensor.Shape, error) {
	return in[0].(tensor.Shape).Clone(), nil
}
func (op moody) ReturnsPtr() bool      { return false }
func (op moody) CallsExtern() bool     { return false }
func (op moody) OverwritesInput() int  { return -1 }
func (op moody) WriteHash(h hash.Hash) { fmt.Fprint(h, op.String()) }
func (op moody) Hashcode() uint32 {
	h := fnv.New32a()
	op.WriteHash(h)
	return h.Sum32()
}
func (op moody) String() string { return "moody" }
func (op moody) Do(in ...G.Value) (G.Value, error) {
	v := in[0].(*tensor.Dense).Clone().(*tensor.Dense)
	switch *op.mood {
	case "panic":
		panic("slept badly")
	case "index":
		return in[len(*op.mood)], nil
	case "error":
		return nil, errors.New("will not")
	case "shape":
		return of(v.Dtype(), []float64{1, 2}, 2), nil
	case "type":
		return tensor.New(tensor.Of(tensor.Int), tensor.WithShape(v.Shape()...)), nil
	case "nothing":
		return nil, nil
	}
	return v, nil
}

// A bad graph or a bad value is an error that names the node, what it was given and what it wants. The VM goes on
// after it as if nothing had happened: the parameters, the moments and the noise too.
func TestBadGraphs(t *testing.T) {
	mood := ""
	type parts struct{ x, y, w *G.Node }
	build := func(dt tensor.Dtype) (p parts, loss *G.Node) {
		g := G.NewGraph()
		p.x = newInput(g, dt, "features", []float64{1, 2, 3, 4, 5, 6}, 6)
		p.y = G.NewVector(g, dt, G.WithShape(6), G.WithName("labels"))
		p.w = newInput(g, dt, "weights", []float64{1, -1, 2, -2, 1, 1}, 6)
		noise := G.Must(dcem.Normal(dcem.RunNode(g, "run"), dt, 1, 1, 6))
		guess := add(mul(G.Must(G.ApplyOp(moody{&mood}, p.x)), p.w), times(noise, 0.1))
		return p, G.Must(G.Mean(square(sub(guess, p.y))))
	}
	for _, dt := range bothTypes {
		other := tensor.Float32
		if dt == tensor.Float32 {
			other = tensor.Float64
		}
		labels := of(dt, []float64{1, 0, 1, 0, 1, 0}, 6)
		good := func() trained { // what training without troubles gives
			p, loss := build(dt)
			if err := G.Let(p.y, labels); err != nil {
				t.Fatal(err)
			}
			return continued(t, newVM(t, loss.Graph(), engine.WithUpdate(clipped, loss, p.w)), 10)
		}()
		p, loss := build(dt)
		vm := newVM(t, loss.Graph(), engine.WithUpdate(clipped, loss, p.w))
		features := p.x.Value()
		unsafe := func(n *G.Node, v any) func() {
			return func() {
				if err := G.UnsafeLet(n, v); err != nil {
					t.Fatal(err)
				}
			}
		}
		restore := func() {
			if err := G.Let(p.x, features); err != nil {
				t.Fatal(err)
			}
			if err := G.Let(p.y, labels); err != nil {
				t.Fatal(err)
			}
			mood = ""
		}
		// Let refuses tensors of other shapes and types, but does not see what becomes of one.
		become := func(n *G.Node, other *tensor.Dense) func() {
			return func() {
				v := of(dt, make([]float64, 6), 6)
				unsafe(n, v)()
				*v = *other
			}
		}
		be := func(m string) func() { return func() { mood = m } }
		name := fmt.Sprint(dt)
		hasParts(t, name+", before there are labels", vm.RunAll(), `"labels"`, name, "(6)", "no value", "Let")
		restore()
		run(t, vm)
		for i, c := range []struct {
			spoil func()
			want  []string
		}{
			{become(p.x, of(dt, make([]float64, 6), 2, 3)), []string{`"features"`, "(2, 3)", "(6)"}},
			{become(p.x, of(dt, make([]float64, 7), 7)), []string{`"features"`, "(7)", "(6)"}},
			{become(p.y, of(other, make([]float64, 6), 6)), []string{`"labels"`, other.String(), name}},
			{become(p.y, tensor.New(tensor.Of(tensor.Int), tensor.WithShape(6))), []string{`"labels"`, "int", name}},
			{unsafe(p.x, 3), []string{`"features"`, "int", name, "(6)"}},
			{be("panic"), []string{"moody", "slept badly"}},
			{be("index"), []string{"moody", "out of range"}},
			{be("error"), []string{"moody", "will not"}},
			{be("shape"), []string{"moody", "(2)", "(6)"}},
			{be("type"), []string{"moody", "int"}},
			{be("nothing"), []string{"moody", "no value"}},
		} {
			c.spoil()
			hasParts(t, fmt.Sprintf("%s, case %d", name, i), vm.RunAll(), c.want...)
			restore()
			if i < 9 { // a run between errors, and errors in a row
				run(t, vm)
			}
		}
		sameBits(t, fmt.Sprint(dt, " between errors"), continued(t, vm, 0), good)
	}
	// What cannot even be planned or compiled is an error of NewVM.
	_, loss := build(tensor.Float64)
	_, err := engine.NewVM(loss.Graph(), engine.MemoryBudget(1), engine.Outputs(loss))
	hasParts(t, "a budget of a byte", err, "MemoryBudget = 1", "least")
}

// VMs of different graphs, one with an update and noise, one with ops on the host, one over a rollout, work in
// goroutines of their own, each with the bits that it has alone.
func TestVMsSideBySide(t *testing.T) {
	type program struct {
		name string
		vm   *engine.VM
		loss *G.Node
	}
	start := func() []program {
		step := smallStep.build(t)
		m := &maker{g: G.NewGraph(), dt: tensor.Float32}
		conv := gorgoniaPrograms()["digits by convolutions"](m)
		if _, err := G.Grad(conv.loss, conv.weights...); err != nil {
			t.Fatal(err)
		}
		g := G.NewGraph()
		cost, _ := pendulumRollout(input(g, "state", normals(1, 50, 3)), input(g, "u", normals(2, 50, 10)))
		rollout := total(cost)
		return []program{
			{"a step", newVM(t, step.g, engine.WithUpdate(clipped, step.loss, step.params.Nodes()...)), step.loss},
			{"convolutions", newVM(t, m.g, engine.EvalMode()), conv.loss},
			{"a rollout", newVM(t, g, engine.Outputs(rollout)), rollout},
		}
	}
	const runs = 10
	work := func(p program) (losses []float64, err error) {
		for range runs {
			if err := p.vm.RunAll(); err != nil {
				return nil, err
			}
			loss, err := p.vm.Value(p.loss) // a GPU keeps it until it is asked for
			if err != nil {
				return nil, err
			}
			switch v := loss.Data().(type) {
			case float64:
				losses = append(losses, v)
			case float32:
				losses = append(losses, float64(v))
			}
		}
		return losses, nil
	}
	var alone [][]float64
	for _, p := range start() {
		l, err := work(p)
		if err != nil {
			t.Fatal(err)
		}
		alone = append(alone, l)
	}
	programs := append(start(), start()...)
	together := make([][]float64, len(programs))
	failed := make([]error, len(programs))
	var wg sync.WaitGroup
	for i, p := range programs {
		wg.Go(func() { together[i], failed[i] = work(p) })
	}
	wg.Wait()
	for i, p := range programs {
		if failed[i] != nil {
			t.Errorf("%s: %v", p.name, failed[i])
		}
		if want := alone[i%len(alone)]; len(want) != runs || !reflect.DeepEqual(together[i], want) {
			t.Errorf("%s: losses %v side by side, %v alone", p.name, together[i], want)
		}
	}
}

// What the passes and the planner do is switched off one by one: a training step has the same gradients without each.
func TestSwitchesOnATrainingStep(t *testing.T) {
	s := smallStep
	gradients := func(opts ...engine.Option) (values [][]float64) {
		p := s.build(t)
		grads, err := autodiff.Gradients(p.loss, p.params.Nodes()...)
		if err != nil {
			t.Fatal(err)
		}
		outputs := append(G.Nodes{p.loss}, grads...)
		run(t, newVM(t, p.g, append(opts, engine.Outputs(outputs...))...))
		for _, n := range outputs {
			values = append(values, floats(t, n.Value()))
		}
		return values
	}
	want := gradients()
	for _, name := range engine.Switches() {
		for i, got := range gradients(engine.Disable(name)) {
			// The last bias has no gradient but rounding.
			if d := distance(got, want[i]); !(d <= 1e-11) && i < len(want)-1 {
				t.Errorf("without %s array %d differs by %.3g", name, i, d)
			}
		}
	}
}
