package engine_test

import (
	"errors"
	"math"
	"runtime"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// A node whose value a VM does not keep has none after its run, not that of another VM on the graph.
func TestTwoVMsOnAGraph(t *testing.T) {
	m := mlp(t, false)
	plain := newVM(t, m.g)
	some := newVM(t, m.g, engine.Outputs(m.loss))
	for i := range 3 {
		run(t, plain)
		if m.hidden.Value() == nil {
			t.Fatalf("round %d: the plain VM gives no value", i)
		}
		before := floats(t, m.loss.Value())[0]
		if err := G.Let(m.x, normals(uint64(20+i), 8, 3)); err != nil {
			t.Fatal(err)
		}
		run(t, some)
		if v := m.hidden.Value(); v != nil {
			t.Errorf("round %d: the value of another VM's run is left: %v", i, v)
		}
		if got := floats(t, m.loss.Value())[0]; got == before {
			t.Errorf("round %d: the loss is still %v", i, got)
		}
		if n := testing.AllocsPerRun(5, func() { run(t, some) }); n != 0 {
			t.Errorf("round %d: a run allocates %v times", i, n)
		}
	}
}

// What VMs of one graph share goes with them.
func TestOwnersGo(t *testing.T) {
	before := engine.Owners()
	for range 10 {
		vm, err := engine.NewVM(mlp(t, false).g)
		if err != nil {
			t.Fatal(err)
		}
		if err := vm.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		if runtime.GC(); engine.Owners() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d graphs are remembered, %d before", engine.Owners(), before)
}

// The gradients that a NewVM added are found by the next, whether or not the first succeeded.
func TestGradientsAreFoundAgain(t *testing.T) {
	m := mlp(t, false)
	start := len(m.g.AllNodes())
	update := engine.WithUpdate(kernels.Optimizer{}, m.loss, m.w...)
	if _, err := engine.NewVM(m.g, update, engine.MemoryBudget(1)); err == nil {
		t.Fatal("a budget of one byte is enough")
	}
	nodes := len(m.g.AllNodes())
	var steps, outputs []int
	for range 3 {
		vm := newVM(t, m.g, update)
		run(t, vm)
		if n := len(m.g.AllNodes()); n != nodes || n == start {
			t.Errorf("%d nodes, %d after the first NewVM, %d before", n, nodes, start)
		}
		steps, outputs = append(steps, len(vm.Explain().Steps)), append(outputs, vm.Explain().Memory.Outputs)
	}
	some := newVM(t, m.g, engine.Outputs(m.out))
	fresh := mlp(t, false)
	vm := newVM(t, fresh.g, engine.WithUpdate(kernels.Optimizer{}, fresh.loss, fresh.w...))
	for i := range steps {
		if e := vm.Explain(); steps[i] != len(e.Steps) || outputs[i] != e.Memory.Outputs {
			t.Errorf("VM %d has %d steps and %d bytes of outputs, that of a new graph %d and %d", i, steps[i], outputs[i],
				len(e.Steps), e.Memory.Outputs)
		}
	}
	fresh = mlp(t, false)
	if got, want := some.Explain().Flops, newVM(t, fresh.g, engine.Outputs(fresh.out)).Explain().Flops; got != want {
		t.Errorf("%d flops of a VM without an update, %d on a new graph", got, want)
	}
	// Gradients that somebody asked for by gorgonia.Grad are roots.
	grads, err := G.Grad(fresh.loss, fresh.w...)
	if err != nil {
		t.Fatal(err)
	}
	run(t, newVM(t, fresh.g, engine.Outputs()))
	if grads[0].Value() == nil {
		t.Error("a gradient of gorgonia.Grad has no value")
	}
}

// CheckNumerics sees inputs that only an op on the host takes.
func TestNumericsOfAnInputOfTheHost(t *testing.T) {
	g := G.NewGraph()
	x := input(g, "x", dense([]float64{1, math.NaN(), 3}, 3))
	n := G.Must(G.ApplyOp(foreign{G.Must(G.Exp(x)).Op()}, x))
	vm := newVM(t, g, engine.CheckNumerics(), engine.Outputs(n))
	err := vm.RunAll()
	var e *engine.NumericsError
	if !errors.As(err, &e) || e.Node != x {
		t.Errorf("error %v, want one of x", err)
	}
}
