package engine_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/engine"
	testcheck "github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/vec"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/energy"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A trainSpec is a training step of the regression: B problems, a net of three hidden layers, T iterations of DCEM.
type trainSpec struct {
	dtype                                 tensor.Dtype
	batch, samples, elites, steps, hidden int
}

// Rows and products of the middle one are shared out among threads.
var (
	smallStep  = trainSpec{tensor.Float64, 2, 12, 4, 3, 8}
	middleStep = trainSpec{tensor.Float32, 20, 50, 10, 4, 64}
)

func (s trainSpec) String() string {
	return fmt.Sprintf("%v B=%d N=%d k=%d T=%d h=%d", s.dtype, s.batch, s.samples, s.elites, s.steps, s.hidden)
}

// clipped is the optimiser of the regression.
var clipped = kernels.Optimizer{Rate: 1e-3, ClipNorm: 1}

// A trainGraph is such a step without its update.
type trainGraph struct {
	g          *G.ExprGraph
	x, y, loss *G.Node
	solve      *dcem.Unrolled
	params     nn.Params
}

func (s trainSpec) build(t testing.TB) *trainGraph {
	t.Helper()
	p := &trainGraph{g: G.NewGraph()}
	net, err := energy.NewMLP(p.g, energy.Config{InputDim: 1, OutputDim: 1,
		Hidden: []int{s.hidden, s.hidden, s.hidden}, Dtype: s.dtype, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	p.params = net.Params()
	x, y := make([]float64, s.batch), make([]float64, s.batch)
	for i := range x {
		x[i] = 2 * math.Pi * (float64(i) + 0.5) / float64(s.batch)
		y[i] = x[i] * math.Sin(x[i])
	}
	p.x, p.y = newInput(p.g, s.dtype, "x", x, s.batch, 1), newInput(p.g, s.dtype, "y", y, s.batch, 1)
	p.solve, err = dcem.Unroll(p.g, energy.Objective(net, p.x), dcem.Config{Batch: s.batch, Dim: 1,
		Samples: s.samples, Elites: s.elites,
		Iterations: s.steps, Sigma: []float64{3}, Dtype: s.dtype, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	p.loss = G.Must(G.Mean(square(sub(p.solve.Answer, p.y))))
	return p
}

// A trained is what training leaves behind.
type trained struct {
	losses []float64
	state  *engine.State
}

// train takes steps from a fresh graph.
func (s trainSpec) train(t testing.TB, steps int, opts ...engine.Option) trained {
	t.Helper()
	p := s.build(t)
	vm := newVM(t, p.g, append([]engine.Option{engine.WithUpdate(clipped, p.loss, p.params.Nodes()...)}, opts...)...)
	return continued(t, vm, steps)
}

func continued(t testing.TB, vm *engine.VM, steps int) trained {
	t.Helper()
	for range steps {
		run(t, vm)
	}
	losses, err := vm.Losses()
	if err != nil {
		t.Fatal(err)
	}
	state, err := vm.State()
	if err != nil {
		t.Fatal(err)
	}
	return trained{losses, state}
}

// sameBits compares two trainings to the bit.
func sameBits(t testing.TB, what string, got, want trained) {
	t.Helper()
	if len(want.losses) == 0 || slices.ContainsFunc(want.losses, func(l float64) bool { return l != l }) {
		t.Errorf("%s: losses %v compare nothing", what, want.losses)
	}
	if !slices.Equal(got.losses, want.losses) {
		t.Errorf("%s: losses %v, want %v", what, got.losses, want.losses)
	}
	if !reflect.DeepEqual(got.state, want.state) {
		t.Errorf("%s: another state", what)
	}
}

// The same seed gives the same bits: for 1, 2 and 8 threads, in every run, compiled anew or not, with updates.
func TestSameSeedSameBits(t *testing.T) {
	defer vec.SetThreads(vec.Threads())
	for _, s := range []trainSpec{smallStep, middleStep, {tensor.Float64, 7, 33, 5, 3, 48}} {
		vec.SetThreads(2)
		want := s.train(t, 5)
		for _, threads := range []int{1, 2, 8} {
			vec.SetThreads(threads)
			sameBits(t, fmt.Sprint(s, ", threads: ", threads), s.train(t, 5), want)
		}
		// Without updates the same run number gives every node the same bits in every run of one program.
		p := s.build(t)
		vm := newVM(t, p.g)
		bits := func(threads int) map[string][]float64 {
			vec.SetThreads(threads)
			if err := vm.SetRun(4); err != nil {
				t.Fatal(err)
			}
			run(t, vm)
			return nodeValues(t, p.g)
		}
		first := bits(1)
		for i, threads := range []int{1, 2, 8, 3} {
			sameValues(t, fmt.Sprintf("%v, run %d on %d threads", s, i+1, threads), bits(threads), first)
		}
		if err := vm.SetRun(5); err != nil {
			t.Fatal(err)
		}
		run(t, vm)
		if reflect.DeepEqual(nodeValues(t, p.g), first) {
			t.Errorf("%v: another run number gives the same bits: the comparison above compares nothing", s)
		}
	}
}

// nodeValues are the values of all nodes that have numbers, by node.
func nodeValues(t testing.TB, g *G.ExprGraph) map[string][]float64 {
	t.Helper()
	values := map[string][]float64{}
	for i, n := range g.AllNodes() {
		if v := n.Value(); v != nil && (n.Dtype() == tensor.Float64 || n.Dtype() == tensor.Float32) {
			values[fmt.Sprintf("node %d, %s", i, n.Name())] = floats(t, v)
		}
	}
	if len(values) < 10 {
		t.Fatalf("%d nodes have values", len(values))
	}
	return values
}

// sameValues compares values to the bit; NaN is NaN's equal.
func sameValues(t testing.TB, what string, got, want map[string][]float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
	}
	for name, w := range want {
		if !slices.EqualFunc(got[name], w, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }) {
			t.Errorf("%s: %s has other bits", what, name)
			return
		}
	}
}

// temporary is what a program's temporary values take in its arena: all but what lives as long as the program.
func temporary(e *engine.Explanation) int64 {
	m := e.Memory
	return int64(m.Arena - m.Inputs - m.Params - m.Constants - m.Outputs - m.State)
}

// With a quarter of the memory that its temporary values take by themselves a step computes the same bits; with less
// than any program can do with it is an error.
func TestMemoryBudgetKeepsTheBits(t *testing.T) {
	specs := []trainSpec{{tensor.Float32, 20, 50, 10, 10, 64}, {tensor.Float64, 10, 40, 8, 10, 32}}
	if soak > 0 {
		specs = append(specs, trainSpec{tensor.Float32, 100, 100, 10, 10, 128},
			trainSpec{tensor.Float32, 1, 100, 10, 10, 128})
	}
	for _, s := range specs {
		p := s.build(t)
		vm := newVM(t, p.g, engine.WithUpdate(clipped, p.loss, p.params.Nodes()...))
		want, own := continued(t, vm, 5), vm.Explain()
		budget := temporary(own) / 4
		p = s.build(t)
		small, err := engine.NewVM(p.g, engine.WithUpdate(clipped, p.loss, p.params.Nodes()...),
			engine.MemoryBudget(budget))
		if err != nil {
			t.Errorf("%v: %v, of %d bytes", s, err, temporary(own))
			continue
		}
		sameBits(t, fmt.Sprintf("%v with %d bytes", s, budget), continued(t, small, 5), want)
		e := small.Explain()
		const aligned = 64 * 100 // buffers begin at multiples of 64 bytes
		if temporary(e) > budget+aligned || e.Memory.Recomputed == 0 || e.Flops <= own.Flops || e.Flops > 2*own.Flops {
			t.Errorf("%v: %d bytes, of a budget of %d, %d steps again, %d flops where %d are needed",
				s, temporary(e), budget, e.Memory.Recomputed, e.Flops, own.Flops)
		}
		t.Logf("%v: %d bytes, %d flops; with a quarter %d bytes, %d flops", s, temporary(own), own.Flops, temporary(e),
			e.Flops)
		if err := small.Close(); err != nil {
			t.Error(err)
		}
		p = s.build(t)
		_, err = engine.NewVM(p.g, engine.WithUpdate(clipped, p.loss, p.params.Nodes()...), engine.MemoryBudget(8))
		hasParts(t, "a budget of 8 bytes", err, "MemoryBudget = 8", "least")
	}
}

// In the steady state a RunAll allocates nothing on the heap: as a step with an update, with a loss read now and
// then, as a plain drop-in with stock gradients, with inputs bound to other values between runs.
func TestRunAllAllocatesNothing(t *testing.T) {
	specs := []trainSpec{smallStep, {tensor.Float32, 8, 50, 10, 2, 64}}
	if soak > 0 {
		specs = append(specs, trainSpec{tensor.Float32, 20, 100, 10, 4, 128})
	}
	for _, s := range specs {
		p := s.build(t)
		vm := newVM(t, p.g, engine.WithUpdate(clipped, p.loss, p.params.Nodes()...))
		noAllocs(t, fmt.Sprint(s, " with an update"), vm, func() {})
		noAllocs(t, fmt.Sprint(s, " with an update, read after each"), vm, func() {
			if l, err := vm.Loss(); err != nil || l != l {
				t.Error(l, err)
			}
			if info, err := vm.Info(); err != nil || info.Skipped {
				t.Error(info, err)
			}
			if err := vm.SetRate(1e-4); err != nil {
				t.Error(err)
			}
		})
		values := []G.Value{of(s.dtype, make([]float64, s.batch), s.batch, 1), p.x.Value()}
		i := 0
		let := func() {
			i++
			if err := G.Let(p.x, values[i%2]); err != nil {
				t.Error(err)
			}
		}
		noAllocs(t, fmt.Sprint(s, " with an update and other inputs"), vm, let)

		p = s.build(t)
		if _, err := G.Grad(p.loss, p.params.Nodes()...); err != nil {
			t.Fatal(err)
		}
		values[1] = p.x.Value()
		plain := newVM(t, p.g)
		noAllocs(t, fmt.Sprint(s, " as a drop-in"), plain, func() {})
		noAllocs(t, fmt.Sprint(s, " as a drop-in with other inputs"), plain, let)
		var read G.Value
		G.Read(p.loss, &read)
		named := newVM(t, p.g, engine.Outputs(p.solve.Answer), engine.BindDualValues())
		noAllocs(t, fmt.Sprint(s, " with outputs, reads and bound gradients"), named, let)
	}
}

// noAllocs wants no allocations of a run, before which something is done each time.
func noAllocs(t *testing.T, what string, vm *engine.VM, before func()) {
	t.Helper()
	run(t, vm)
	testcheck.NoAllocsAfter(t, what, before, func() {
		if err := vm.RunAll(); err != nil {
			t.Error(err)
		}
		vm.Reset()
	})
}

// A state taken in the middle of training continues in another program with the same bits, noise and all.
func TestTrainingContinuesFromAState(t *testing.T) {
	for _, s := range []trainSpec{smallStep, middleStep} {
		want := s.train(t, 7)
		p := s.build(t)
		first := newVM(t, p.g, engine.WithUpdate(clipped, p.loss, p.params.Nodes()...))
		middle := continued(t, first, 3)
		q := s.build(t)
		for _, n := range q.params.Nodes() { // of no use: the state has the parameters
			n.Value().(*tensor.Dense).Zero()
		}
		second := newVM(t, q.g, engine.WithUpdate(clipped, q.loss, q.params.Nodes()...))
		run(t, second) // noise and moments of its own
		if _, err := second.Losses(); err != nil {
			t.Fatal(err)
		}
		if err := second.Restore(viaGob(t, middle.state)); err != nil {
			t.Fatal(err)
		}
		got := continued(t, second, 4)
		sameBits(t, s.String(), trained{append(middle.losses, got.losses...), got.state}, want)
	}
}

// An update in the program is the machines' common gradient and the kernels' rule: losses agree with the
// TapeMachine's over training steps.
func TestTrainingAgreesWithTheTapeMachine(t *testing.T) {
	s := smallStep
	losses := map[string][]float64{}
	var params [][]float64
	for _, machine := range train.Machines {
		p := s.build(t)
		step, err := train.New[float64](machine, clipped, p.loss, p.params.Nodes()...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if err := G.Let(p.solve.Run, int64(i)); err != nil {
				t.Fatal(err)
			}
			loss, info, err := step.Step(1e-2)
			if err != nil || info.Skipped {
				t.Fatalf("%s, step %d: %+v, %v", machine, i, info, err)
			}
			losses[machine] = append(losses[machine], loss)
		}
		if err := step.Close(); err != nil {
			t.Fatal(err)
		}
		for i, n := range p.params.Nodes() {
			v := floats(t, n.Value())
			if machine == train.Machines[0] {
				params = append(params, v)
			} else if d := distance(params[i], v); !(d <= 1e-9) && i < len(p.params)-1 {
				// Adam divides small gradients by themselves; that of the last bias is nothing but rounding, because
				// no solve depends on an offset of the energy.
				t.Errorf("%s differs by %v", p.params[i].Name, d)
			}
		}
	}
	if d := distance(losses[train.Engine], losses[train.Tape]); !(d <= 1e-10) {
		t.Errorf("losses %v, want %v", losses[train.Engine], losses[train.Tape])
	}
}
