//go:build gpu

package regression

import (
	"fmt"
	"math"
	"testing"

	"github.com/ebitengine/purego"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// driverCounts counts what a function asks of the simulated driver. On a real one the test is skipped.
func driverCounts(t *testing.T) func(f func()) map[string]uint64 {
	t.Helper()
	lib, err := purego.Dlopen("libcuda.so.1", purego.RTLD_NOW)
	if err != nil {
		t.Fatal(err)
	}
	at, err := purego.Dlsym(lib, "simcudaCount")
	if err != nil {
		t.Skip("the driver is a real one: this needs the simulated one, " +
			"LD_LIBRARY_PATH=$(go run ./internal/simcuda/cmd/simcuda)")
	}
	var count func(string) uint64
	purego.RegisterFunc(&count, at)
	return func(f func()) map[string]uint64 {
		n := map[string]uint64{}
		for _, k := range []string{"graphLaunch", "launch", "h2d", "d2h", "d2d", "memset", "sync", "alloc", "pinned", "capture"} {
			n[k] = -count(k)
		}
		f()
		for k := range n {
			if n[k] += count(k); n[k] == 0 {
				delete(n, k)
			}
		}
		return n
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestStepCopies: a training step of the regression, as the programs and benchmarks build it, is one launch of one graph
// with one copy of all inputs before it and one of the update's report behind it, and waits for none of the last runs. What
// is named comes with one wait for all of it.
func TestStepCopies(t *testing.T) {
	counts := driverCounts(t)
	d, err := engine.Open("cuda:0")
	must(t, err)
	defer func() { must(t, d.Close()) }()
	build := func() (*G.Node, G.Nodes, kernels.Optimizer) {
		loss, params, o, err := StepGraph(Default())
		must(t, err)
		return loss, params, o
	}

	loss, params, o := build()
	vm, err := engine.NewVM(loss.Graph(), engine.On(d), engine.WithUpdate(o, loss, params...))
	must(t, err)
	for i := range backend.Reports + 2 {
		want := "map[d2h:1 graphLaunch:1 h2d:1]"
		if i >= backend.Reports { // the report of the run so many before it must have come
			want = "map[d2h:1 graphLaunch:1 h2d:1 sync:1]"
		}
		got := counts(func() { must(t, vm.RunAll()) })
		if i == 0 { // makes room for the reports
			delete(got, "pinned")
			delete(got, "alloc")
		}
		if fmt.Sprint(got) != want {
			t.Errorf("run %d: %v, want %s", i, got, want)
		}
	}
	if loss.Value() != nil {
		t.Errorf("the loss has the value %v without being named", loss.Value())
	}
	late, err := vm.Value(loss)
	must(t, err)
	reported, err := vm.Loss()
	must(t, err)
	if got := number(late); got != reported {
		t.Errorf("the loss is %v when asked for, and %v of the report", got, reported)
	}
	must(t, vm.Close())

	loss, params, o = build()
	vm, err = engine.NewVM(loss.Graph(), engine.On(d), engine.WithUpdate(o, loss, params...), engine.Outputs(loss.Graph().Roots()...))
	must(t, err)
	for i := range 5 {
		got := counts(func() { must(t, vm.RunAll()) })
		if i > 0 && (got["sync"] != 1 || got["h2d"] != 1 || got["graphLaunch"] != 1 || got["d2h"] < 2) {
			t.Errorf("run %d with outputs: %v, want one graph, one copy there and one wait", i, got)
		}
	}
	reported, err = vm.Loss()
	must(t, err)
	if got := number(loss.Value()); got != reported {
		t.Errorf("the loss is %v as an output, and %v of the report", got, reported)
	}
	must(t, vm.Close())

	// The programs' steps on the device and on the CPU.
	var losses [2][]float64
	for k, name := range []string{"cuda:0", "cpu"} {
		on := d
		if name == "cpu" {
			on, err = engine.Open(name)
			must(t, err)
		}
		engine.SetDefault(on)
		defer engine.SetDefault(nil)
		loss, params, o := build()
		s, err := train.New[float32](train.Engine, o, loss, params...)
		must(t, err)
		for range 3 {
			l, _, err := s.Step(1e-3)
			must(t, err)
			losses[k] = append(losses[k], l)
		}
		must(t, s.Close())
	}
	for i, want := range losses[1] {
		if !(math.Abs(losses[0][i]-want) <= 2.1e-3*math.Abs(want)) { // as TestStepsOnDevices
			t.Errorf("step %d: the loss is %v, on the CPU %v", i, losses[0][i], want)
		}
	}
}

// number is a scalar's value.
func number(v G.Value) float64 {
	switch x := v.Data().(type) {
	case float32:
		return float64(x)
	case float64:
		return x
	}
	return math.NaN()
}
