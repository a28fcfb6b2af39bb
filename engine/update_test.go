package engine_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

var optimizers = []kernels.Optimizer{
	{Rate: 0.05},
	{Rate: 0.05, ClipNorm: 0.1, WeightDecay: 0.01},
	{Method: kernels.RMSProp, Rate: 0.01, Momentum: 0.5},
	{Method: kernels.Momentum, Rate: 0.05, Momentum: 0.9, ClipNorm: 1},
	{Method: kernels.Momentum, Rate: 0.05},
}

// An update in the VM moves the parameters as the kernels' rule does on the TapeMachine's gradients.
func TestWithUpdate(t *testing.T) {
	for _, opt := range optimizers {
		t.Run(fmt.Sprintf("%+v", opt), func(t *testing.T) {
			ours, theirs := mlp(t, false), mlp(t, true)
			vm := newVM(t, ours.g, engine.WithUpdate(opt, ours.loss, ours.w...))
			tape := G.NewTapeMachine(theirs.g)
			defer tape.Close()
			var state kernels.OptimizerState[float64]
			var params [][]float64
			for _, w := range theirs.w {
				params = append(params, w.Value().Data().([]float64))
			}
			start := floats(t, ours.w[0].Value())
			var losses []float64
			for step := range 10 {
				run(t, tape)
				loss := floats(t, theirs.loss.Value())[0]
				var grads [][]float64
				for _, w := range theirs.w {
					d, err := w.Grad()
					if err != nil {
						t.Fatal(err)
					}
					grads = append(grads, d.Data().([]float64))
				}
				want := kernels.OptimizerStep(opt, &state, params, grads)
				tape.Reset()
				run(t, vm)
				got, err := vm.Info()
				if err != nil {
					t.Fatal(err)
				}
				if got.Clipped != want.Clipped || got.Skipped != want.Skipped ||
					!(math.Abs(got.GradNorm-want.GradNorm) <= tol*want.GradNorm) {
					t.Errorf("step %d: %+v, want %+v", step, got, want)
				}
				ourLoss, err := vm.Loss()
				if err != nil || !(math.Abs(ourLoss-loss) <= tol*loss) {
					t.Errorf("step %d: loss %v, %v, want %v", step, ourLoss, err, loss)
				}
				if _, err := vm.Value(ours.loss); err != nil { // a GPU keeps it until it is asked for
					t.Fatal(err)
				}
				same(t, "the loss's node", ours.loss.Value(), G.NewF64(ourLoss), 0)
				losses = append(losses, ourLoss)
			}
			if got := floats(t, ours.w[0].Value()); got[0] != start[0] {
				t.Error("the host's values moved before Sync")
			}
			if err := vm.Sync(); err != nil {
				t.Fatal(err)
			}
			for i, w := range ours.w {
				// Ten steps of an adaptive rule: a rounding of a gradient near 0 moves by more than itself.
				same(t, w.Name(), w.Value(), theirs.w[i].Value(), 1e-10)
			}
			if got := floats(t, ours.w[0].Value()); got[0] == start[0] {
				t.Error("the weights did not move")
			}
			late, err := vm.Losses()
			if err != nil || !slices.Equal(late, losses) {
				t.Errorf("Losses: %v, %v, want %v", late, err, losses)
			}
			if late, err = vm.Losses(); err != nil || len(late) != 0 {
				t.Errorf("Losses again: %v, %v, want none", late, err)
			}
		})
	}
}

// Nodes that were not asked for have no value, and the gradients that the VM added are not roots that need one.
func TestUpdateKeepsNoGradients(t *testing.T) {
	m := mlp(t, false)
	before := len(m.g.AllNodes())
	vm := newVM(t, m.g, engine.WithUpdate(kernels.Optimizer{}, m.loss, m.w...))
	run(t, vm)
	added := m.g.AllNodes()[before:]
	if len(added) < 10 {
		t.Fatalf("NewVM added %d nodes", len(added))
	}
	for _, n := range added {
		if n.Op() != nil && n.Value() != nil && !isConstant(n) {
			t.Errorf("%v has a value", n)
		}
	}
	if _, err := vm.Value(m.loss); err != nil { // a GPU keeps it until it is asked for
		t.Error(err)
	}
	if m.hidden.Value() != nil || m.loss.Value() == nil {
		t.Errorf("hidden is %v, want none; the loss is %v", m.hidden.Value(), m.loss.Value())
	}
}

func isConstant(n *G.Node) bool {
	return strings.HasPrefix(fmt.Sprintf("%T", n.Op()), "gorgonia.constant")
}

func TestLossesKeepTheLast(t *testing.T) {
	m := linear(t)
	vm := newVM(t, m.g, engine.WithUpdate(kernels.Optimizer{Rate: 1e-4}, m.loss, m.w...))
	var want []float64
	for range 4100 {
		run(t, vm)
		loss, err := vm.Loss()
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, loss)
	}
	got, err := vm.Losses()
	if err != nil || !slices.Equal(got, want[4:]) {
		t.Errorf("%d losses, %v, want the last 4096", len(got), err)
	}
}

func TestSkippedUpdate(t *testing.T) {
	m := mlp(t, false)
	vm := newVM(t, m.g, engine.WithUpdate(kernels.Optimizer{}, m.loss, m.w...))
	run(t, vm)
	before, err := vm.State()
	if err != nil {
		t.Fatal(err)
	}
	x := m.x.Value().Data().([]float64)
	good := x[0]
	x[0] = math.NaN()
	run(t, vm)
	if info, err := vm.Info(); err != nil || !info.Skipped {
		t.Errorf("Info %+v, %v, want a skipped update", info, err)
	}
	if loss, err := vm.Loss(); err != nil || loss == loss {
		t.Errorf("Loss %v, %v, want NaN", loss, err)
	}
	after, err := vm.State()
	if err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("a skipped update changed the state (%v)", err)
	}
	x[0] = good
	run(t, vm)
	if info, err := vm.Info(); err != nil || info.Skipped {
		t.Errorf("Info %+v, %v, want an update", info, err)
	}
}

func TestParametersFromTheHost(t *testing.T) {
	m := mlp(t, false)
	vm := newVM(t, m.g, engine.WithUpdate(kernels.Optimizer{Rate: 0.1}, m.loss, m.w...))
	w := m.w[0]
	device := func() []float64 {
		t.Helper()
		s, err := vm.State()
		if err != nil {
			t.Fatal(err)
		}
		return s.Params[0].F64
	}
	run(t, vm)
	// In place: not seen, until Load.
	host := w.Value().Data().([]float64)
	moved := device()
	host[0] = 40
	run(t, vm)
	if got := device()[0]; math.Abs(got-moved[0]) > 0.2 {
		t.Errorf("a change in place was seen without Load: %v", got)
	}
	host[0] = 40
	if err := vm.Load(w); err != nil {
		t.Fatal(err)
	}
	if got := device()[0]; got != 40 {
		t.Errorf("after Load the device has %v, want 40", got)
	}
	// A new value object: written by the next run, not undone by Sync before it.
	if err := G.Let(w, normals(77, 3, 5)); err != nil {
		t.Fatal(err)
	}
	want := floats(t, w.Value())
	if err := vm.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := floats(t, w.Value()); got[0] != want[0] {
		t.Errorf("Sync overwrote a value on its way to the device: %v, want %v", got[0], want[0])
	}
	run(t, vm)
	if got := device()[0]; !(math.Abs(got-want[0]) <= 0.2) || got == want[0] {
		t.Errorf("after Let of %v and an update of rate 0.1 the device has %v", want[0], got)
	}
	if err := vm.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := floats(t, w.Value())[0]; got != device()[0] {
		t.Errorf("Sync gives %v, the device has %v", got, device()[0])
	}
	// Value reads one.
	run(t, vm)
	v, err := vm.Value(w)
	if err != nil || floats(t, v)[0] != device()[0] {
		t.Errorf("Value gives %v, %v, the device has %v", v, err, device()[0])
	}
	hasParts(t, "Load of data", vm.Load(m.x), `"x"`, "not a parameter")
	hasParts(t, "Load of nil", vm.Load(nil), "nil")
	// A missing value is an error of the run, and is none once there is one.
	m2 := mlp(t, false)
	empty := G.NewMatrix(m2.g, tensor.Float64, G.WithShape(8, 2), G.WithName("empty"))
	loss := G.Must(G.Sum(G.Must(G.HadamardProd(m2.out, empty))))
	vm2 := newVM(t, m2.g, engine.WithUpdate(kernels.Optimizer{}, loss, empty))
	hasParts(t, "a parameter without value", vm2.RunAll(), `"empty"`)
	if err := G.Let(empty, normals(5, 8, 2)); err != nil {
		t.Fatal(err)
	}
	run(t, vm2)
}

// On Close the host has the parameters, also where they lie in a view.
func TestCloseWritesParameters(t *testing.T) {
	m := mlp(t, false)
	view := normals(3, 5, 3)
	if err := view.T(); err != nil {
		t.Fatal(err)
	}
	if err := G.Let(m.w[0], view); err != nil {
		t.Fatal(err)
	}
	vm, err := engine.NewVM(m.g, engine.WithUpdate(kernels.Optimizer{Rate: 0.1}, m.loss, m.w...))
	if err != nil {
		t.Fatal(err)
	}
	run(t, vm)
	s, err := vm.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := vm.Close(); err != nil {
		t.Fatal(err)
	}
	for i, w := range m.w {
		same(t, w.Name(), w.Value(), dense(s.Params[i].F64, s.Params[i].Shape...), 0)
	}
}

func TestRate(t *testing.T) {
	m := mlp(t, false)
	vm := newVM(t, m.g, engine.WithUpdate(kernels.Optimizer{Method: kernels.Momentum}, m.loss, m.w...))
	if vm.Rate() != 1e-3 {
		t.Errorf("Rate %v, want the default 1e-3", vm.Rate())
	}
	move := func() float64 {
		t.Helper()
		if err := vm.Sync(); err != nil {
			t.Fatal(err)
		}
		before := floats(t, m.w[0].Value())[0]
		run(t, vm)
		if err := vm.Sync(); err != nil {
			t.Fatal(err)
		}
		return floats(t, m.w[0].Value())[0] - before
	}
	small := move()
	if err := vm.SetRate(0.5); err != nil {
		t.Fatal(err)
	}
	if large := move(); !(large/small > 400 && large/small < 600) {
		t.Errorf("500 times the rate moves %v times as far", large/small)
	}
	for _, r := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		hasParts(t, "SetRate", vm.SetRate(r), fmt.Sprint(r), "finite number above 0")
	}
	plain := newVM(t, mlp(t, false).g)
	hasParts(t, "SetRate without an update", plain.SetRate(1), "no update", "WithUpdate")
	_, err := plain.Loss()
	hasParts(t, "Loss without an update", err, "no update")
	_, err = newVM(t, m.g, engine.WithUpdate(kernels.Optimizer{}, m.loss, m.w...)).Loss()
	hasParts(t, "Loss before a run", err, "before the first RunAll")
}

// A node that sees a parameter through a view has the value that the run computed with, and is the caller's to
// change.
func TestViewOfAParameter(t *testing.T) {
	m := mlp(t, false)
	w := m.w[0]
	flat := G.Must(G.Reshape(w, tensor.Shape{5, 3}))
	turned := G.Must(G.Transpose(w, 1, 0))
	vm := newVM(t, m.g, engine.Outputs(flat, turned), engine.WithUpdate(kernels.Optimizer{Rate: 0.1}, m.loss, m.w...))
	for range 3 {
		if err := vm.Sync(); err != nil {
			t.Fatal(err)
		}
		before := floats(t, w.Value())
		run(t, vm)
		same(t, "the reshaped parameter", flat.Value(), dense(before, 5, 3), 0)
		if got := floats(t, turned.Value()); got[1] != before[5] || got[3] != before[1] {
			t.Errorf("the transposed parameter is %v, want %v turned", got, before)
		}
		flat.Value().(*tensor.Dense).Zero()
		if err := vm.Sync(); err != nil {
			t.Fatal(err)
		}
		if got := floats(t, w.Value()); got[0] == 0 || got[0] == before[0] {
			t.Errorf("element 0 went from %v to %v", before[0], got[0])
		}
	}
}

// A parameter that the loss does not depend on stays where it is, or decays.
func TestParameterWithoutInfluence(t *testing.T) {
	m := mlp(t, false)
	loss := G.Must(G.Sum(m.hidden)) // of w1 and b1
	opt := kernels.Optimizer{Method: kernels.Momentum, Rate: 0.1, WeightDecay: 0.5}
	vm := newVM(t, m.g, engine.WithUpdate(opt, loss, m.w...))
	before := floats(t, m.w[2].Value())
	run(t, vm)
	if err := vm.Sync(); err != nil {
		t.Fatal(err)
	}
	for i, v := range floats(t, m.w[2].Value()) {
		if want := before[i] - 0.1*(0.5*before[i]); v != want {
			t.Errorf("element %d went from %v to %v, want %v", i, before[i], v, want)
		}
	}
}

// Under a budget the same results take less memory; one that cannot be met is an error that says what can.
func TestMemoryBudget(t *testing.T) {
	solve := func(opts ...engine.Option) (answer, grad []float64, peak int) {
		m, _, grads := unrolled(t, 8, false)
		vm := newVM(t, m.g, append(opts, engine.Outputs(append(grads, m.out)...))...)
		run(t, vm)
		return floats(t, m.out.Value()), floats(t, grads[0].Value()), vm.Explain().Memory.Peak
	}
	answer, grad, peak := solve()
	small, smallGrad, smallPeak := solve(engine.MemoryBudget(int64(peak) * 2 / 3))
	if !slices.Equal(answer, small) || !slices.Equal(grad, smallGrad) {
		t.Error("other results under a budget")
	}
	if !(smallPeak <= peak*2/3) {
		t.Errorf("%d bytes at the peak under a budget of %d", smallPeak, peak*2/3)
	}
	m, _, grads := unrolled(t, 8, false)
	_, err := engine.NewVM(m.g, engine.MemoryBudget(64), engine.Outputs(grads...))
	hasParts(t, "64 bytes", err, "MemoryBudget = 64", "least")
}
