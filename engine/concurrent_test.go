package engine_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// VMs of different graphs work side by side, from compiling to closing.
func TestTwoGraphsInTwoGoroutines(t *testing.T) {
	want := func() []float64 {
		m := mlp(t, false)
		vm := newVM(t, m.g, engine.WithUpdate(kernels.Optimizer{}, m.loss, m.w...))
		for range 20 {
			run(t, vm)
		}
		l, err := vm.Losses()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}()
	var models []*model // Gorgonia's building of graphs is not ours to test
	for range 4 {
		models = append(models, mlp(t, false))
	}
	var wg sync.WaitGroup
	failed := make(chan error, len(models))
	for _, m := range models {
		wg.Go(func() {
			vm, err := engine.NewVM(m.g, engine.WithUpdate(kernels.Optimizer{}, m.loss, m.w...))
			if err != nil {
				failed <- err
				return
			}
			for range 20 {
				err = errors.Join(err, vm.RunAll())
			}
			l, lossErr := vm.Losses()
			if err = errors.Join(err, lossErr, vm.Close()); err != nil {
				failed <- err
				return
			}
			for i := range want {
				if l[i] != want[i] {
					failed <- errors.New("another loss than alone")
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
}

// blocking waits in its run.
type blocking struct{ entered, leave chan bool }

func (k blocking) String() string         { return "blocking" }
func (k blocking) Rules() []*graphop.Rule { return []*graphop.Rule{nil} }
func (k blocking) Run(out any, in []any) {
	k.entered <- true
	<-k.leave
	copy(out.([]float64), in[0].([]float64))
}

// One VM in two goroutines is an error, not a race.
func TestOneVMInTwoGoroutines(t *testing.T) {
	k := blocking{make(chan bool), make(chan bool)}
	g := G.NewGraph()
	x := input(g, "x", normals(1, 4))
	if _, err := graphop.Apply(k, tensor.Float64, tensor.Shape{4}, x); err != nil {
		t.Fatal(err)
	}
	vm := newVM(t, g)
	var first atomic.Pointer[error]
	done := make(chan bool)
	go func() {
		err := vm.RunAll()
		first.Store(&err)
		close(done)
	}()
	<-k.entered
	for name, err := range map[string]error{"RunAll": vm.RunAll(), "Close": vm.Close(), "Sync": vm.Sync()} {
		if err == nil || !strings.Contains(err.Error(), "another goroutine") || !strings.Contains(err.Error(), name) {
			t.Errorf("%s beside a RunAll: %v", name, err)
		}
	}
	k.leave <- true
	<-done
	if err := *first.Load(); err != nil {
		t.Error(err)
	}
}

// What returns no error waits for a run of another goroutine.
func TestLookingAtAVMThatRuns(t *testing.T) {
	m := mlp(t, false)
	vm := newVM(t, m.g, engine.WithUpdate(kernels.Optimizer{Rate: 0.5}, m.loss, m.w...))
	var wg sync.WaitGroup
	var stop atomic.Bool
	wg.Go(func() {
		for !stop.Load() {
			if err := vm.RunAll(); err != nil && !strings.Contains(err.Error(), "another goroutine") {
				t.Error(err)
			}
		}
	})
	for range 50 {
		if vm.Rate() != 0.5 || vm.Run() != 0 || len(vm.Explain().Steps) == 0 {
			t.Error("another rate, run or explanation while the VM runs")
		}
	}
	stop.Store(true)
	wg.Wait()
}
