package engine_test

import (
	"slices"
	"sync"
	"testing"
	"unsafe"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// spied is the processor, with a note of where inputs were bound.
func spied(t testing.TB) (engine.Device, *spy) {
	cpu, err := engine.Open("cpu")
	if err != nil {
		t.Fatal(err)
	}
	s := &spy{}
	return device{"spied", func(p *plan.Program) (backend.Executable, error) {
		e, err := cpu.Compile(p)
		s.Executable = e
		return s, err
	}}, s
}

type spy struct {
	backend.Executable
	at *byte // where the last Bind made an input be; nil: in the device's own memory
}

func (s *spy) Bind(b plan.BufID, mem []byte) bool {
	ok := s.Executable.(backend.Binder).Bind(b, mem)
	if s.at = nil; ok {
		s.at = unsafe.SliceData(mem)
	}
	return ok
}

func at(v *tensor.Dense) *byte { return (*byte)(unsafe.Pointer(&v.Float64s()[0])) }

// An input is read where its value is, whatever happens to it between runs; a value with other strides is copied.
func TestInputsAreReadInPlace(t *testing.T) {
	const rows, cols = 40, 30
	d, s := spied(t)
	g := G.NewGraph()
	x := G.NewMatrix(g, G.Float64, G.WithShape(rows, cols), G.WithName("x"))
	sum := G.Must(G.Sum(x, 1))
	flat := G.Must(G.Reshape(x, tensor.Shape{rows * cols}))
	twice := G.Must(G.Add(x, x))
	vm := newVM(t, g, engine.On(d), engine.CheckNumerics())
	a, b := normals(1, rows, cols), normals(2, rows, cols)
	turned := normals(3, cols, rows)
	if err := turned.T(); err != nil {
		t.Fatal(err)
	}
	small, err := normals(4, rows+1, cols).Slice(G.S(1, rows+1))
	if err != nil {
		t.Fatal(err)
	}
	part, err := normals(5, rows, cols+1).Slice(nil, G.S(1, cols+1))
	if err != nil {
		t.Fatal(err)
	}
	look := func(what string, v *tensor.Dense, place *byte) {
		t.Helper()
		before := floats(t, v)
		if err := G.Let(x, v); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			run(t, vm)
			if s.at != place {
				t.Errorf("%s: read at %p, want %p", what, s.at, place)
			}
			if !slices.Equal(floats(t, flat.Value()), before) {
				t.Errorf("%s: its reshape is another", what)
			}
			got, all := floats(t, sum.Value()), floats(t, twice.Value())
			for i := range got {
				want := 0.0
				for j, v := range before[i*cols:][:cols] {
					want += v
					if all[i*cols+j] != 2*v {
						t.Fatalf("%s: 2x is %v at [%d %d], want %v", what, all[i*cols+j], i, j, 2*v)
					}
				}
				if !(got[i]-want <= 1e-12 && want-got[i] <= 1e-12) { // 30 terms of about 1
					t.Fatalf("%s: row %d has sum %v, want %v", what, i, got[i], want)
				}
			}
			if !slices.Equal(floats(t, v), before) {
				t.Fatalf("%s: a run changed the input", what)
			}
		}
	}
	look("a", a, at(a))
	for i := range a.Float64s() {
		a.Float64s()[i]++
	}
	look("a changed in place", a, at(a))
	look("b", b, at(b))
	look("transposed", turned, nil)
	look("rows of a tensor", small.(*tensor.Dense), at(small.(*tensor.Dense)))
	look("columns of a tensor", part.(*tensor.Dense), nil)
	// What the caller does to an output that shows the input does not reach it.
	look("a again", a, at(a))
	flat.Value().Data().([]float64)[0] = 77
	if a.Float64s()[0] == 77 {
		t.Error("the value of the reshape is the input's memory")
	}
	// An output of the VM's own is no place to read from: the run writes there.
	own := twice.Value().(*tensor.Dense)
	before := floats(t, own)
	if err := G.Let(x, own); err != nil {
		t.Fatal(err)
	}
	run(t, vm)
	if got := floats(t, twice.Value()); s.at != nil || got[5] != 2*before[5] {
		t.Errorf("an output fed back: %v, want twice %v", got[5], before[5])
	}
}

// In the steady state nothing is allocated.
func TestInputsInPlaceDoNotAllocate(t *testing.T) {
	d, s := spied(t)
	g := G.NewGraph()
	a := normals(1, 100, 50)
	x, w := input(g, "x", a), input(g, "w", normals(3, 50, 4))
	loss := G.Must(G.Mean(G.Must(G.Square(G.Must(G.Mul(x, w))))))
	vm := newVM(t, g, engine.On(d), engine.WithUpdate(kernels.Optimizer{}, loss, w))
	run(t, vm)
	if s.at != at(a) {
		t.Fatal("the input is not read in place")
	}
	check.NoAllocs(t, "an update", func() {
		a.Float64s()[7]++
		run(t, vm)
	})
}

// A value that shows a parameter is that of before the update, also where it is fed back.
func TestParameterFedBack(t *testing.T) {
	const n = 1000
	losses := func(alias bool) (all []float64) {
		g := G.NewGraph()
		w, x := input(g, "w", normals(1, n)), input(g, "x", normals(2, n))
		loss := G.Must(G.Sum(G.Must(G.Square(G.Must(G.Sub(w, x))))))
		view := G.Must(G.Reshape(w, tensor.Shape{n, 1}))
		same := G.Must(G.Reshape(view, tensor.Shape{n}))
		vm := newVM(t, g, engine.WithUpdate(kernels.Optimizer{}, loss, w), engine.Outputs(same))
		for range 4 {
			run(t, vm)
			v := same.Value()
			if !alias {
				v = dense(slices.Clone(v.Data().([]float64)), n)
			}
			if err := G.Let(x, v); err != nil {
				t.Fatal(err)
			}
			l, err := vm.Loss()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		return all
	}
	if got, want := losses(true), losses(false); !slices.Equal(got, want) || want[3] == 0 {
		t.Errorf("losses %v, want %v", got, want)
	}
}

// VMs read one array at the same time.
func TestInputsShared(t *testing.T) {
	a := normals(1, 300, 40)
	var wg sync.WaitGroup
	for range 2 {
		g := G.NewGraph()
		x := input(g, "x", a)
		sum := G.Must(G.Sum(G.Must(G.Mul(x, G.Must(G.Transpose(x))))))
		vm := newVM(t, g, engine.Outputs(sum))
		wg.Add(1)
		go func() {
			defer wg.Done()
			first := 0.0
			for i := range 10 {
				if err := vm.RunAll(); err != nil {
					t.Error(err)
					return
				}
				v := sum.Value().Data().(float64)
				if i == 0 {
					first = v
				}
				if v != first {
					t.Errorf("%v after %v", v, first)
				}
			}
		}()
	}
	wg.Wait()
}

// Large values of other strides are copied on several threads.
func TestStridedInputs(t *testing.T) {
	g := G.NewGraph()
	for name, make := range map[string]func() (tensor.View, error){
		"columns":    func() (tensor.View, error) { return normals(1, 600, 400).Slice(nil, G.S(50, 350)) },
		"middle":     func() (tensor.View, error) { return normals(2, 40, 90, 70).Slice(nil, G.S(10, 60)) },
		"one column": func() (tensor.View, error) { return normals(3, 200000, 2).Slice(nil, G.S(1)) },
		"columns of float32": func() (tensor.View, error) {
			return tensor.New(tensor.WithShape(900, 500), tensor.WithBacking(tensor.Range(tensor.Float32, 0, 450000))).
				Slice(nil, G.S(3, 480))
		},
	} {
		view, err := make()
		if err != nil {
			t.Fatal(err)
		}
		v := view.(*tensor.Dense)
		x := G.NewTensor(g, v.Dtype(), v.Dims(), G.WithShape(v.Shape()...), G.WithName(name))
		if err := G.Let(x, v); err != nil {
			t.Fatal(err)
		}
		same := G.Must(G.Neg(x))
		vm := newVM(t, g, engine.Outputs(same))
		run(t, vm)
		got, want := floats(t, same.Value()), floats(t, v)
		for i := range want {
			if got[i] != -want[i] {
				t.Errorf("%s: element %d is %v, want %v", name, i, -got[i], want[i])
				break
			}
		}
	}
}
