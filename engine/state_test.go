package engine_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// noisy is the model with noise on its input.
func noisy(t testing.TB) (*model, *G.Node) {
	t.Helper()
	m := mlp(t, false)
	number := dcem.RunNode(m.g, "run")
	eps, err := dcem.Normal(number, tensor.Float64, 5, 1, 8, 2)
	if err != nil {
		t.Fatal(err)
	}
	m.hidden = eps
	m.loss = G.Must(G.Mean(G.Must(G.Square(G.Must(G.Sub(m.out, eps))))))
	return m, number
}

// A state taken in the middle and restored in another VM continues with the same bits, through JSON and gob.
func TestStateRoundTrip(t *testing.T) {
	for _, opt := range optimizers {
		m, number := noisy(t)
		if err := G.Let(number, int64(100)); err != nil {
			t.Fatal(err)
		}
		vm := newVM(t, m.g, engine.WithUpdate(opt, m.loss, m.w...))
		for range 3 {
			run(t, vm)
		}
		if err := vm.SetRate(0.02); err != nil {
			t.Fatal(err)
		}
		middle, err := vm.State()
		if err != nil {
			t.Fatal(err)
		}
		runs := []engine.RunState{{Name: "run", Next: 103}}
		if middle.Steps != 3 || middle.Rate != 0.02 || !slices.Equal(middle.Runs, runs) {
			t.Fatalf("the state has step %d, rate %v, runs %v", middle.Steps, middle.Rate, middle.Runs)
		}
		for range 4 {
			run(t, vm)
		}
		want, err := vm.State()
		if err != nil {
			t.Fatal(err)
		}
		for name, copied := range map[string]*engine.State{"json": viaJSON(t, middle), "gob": viaGob(t, middle)} {
			again, _ := noisy(t)
			for _, w := range again.w { // not the parameters that the state has
				w.Value().(*tensor.Dense).Zero()
			}
			other := newVM(t, again.g, engine.WithUpdate(opt, again.loss, again.w...))
			if err := G.Let(again.w[1], normals(8, 1, 5)); err != nil { // nor one that was bound before
				t.Fatal(err)
			}
			if err := other.Restore(copied); err != nil {
				t.Fatal(err)
			}
			if other.Run() != 103 || other.Rate() != 0.02 {
				t.Errorf("%s: run %d, rate %v after Restore", name, other.Run(), other.Rate())
			}
			for range 4 {
				run(t, other)
			}
			got, err := other.State()
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %+v: another state after 4 more steps: %+v, want %+v", name, opt, got, want)
			}
		}
	}
}

func viaJSON(t *testing.T, s *engine.State) *engine.State {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var c engine.State
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return &c
}

func viaGob(t *testing.T, s *engine.State) *engine.State {
	t.Helper()
	var b bytes.Buffer
	var c engine.State
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		t.Fatal(err)
	}
	if err := gob.NewDecoder(&b).Decode(&c); err != nil {
		t.Fatal(err)
	}
	return &c
}

// A state that does not fit is refused whole.
func TestRestoreErrors(t *testing.T) {
	m, _ := noisy(t)
	vm := newVM(t, m.g, engine.WithUpdate(kernels.Optimizer{}, m.loss, m.w...))
	run(t, vm)
	before, err := vm.State()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(s *engine.State)
		want  []string
	}{
		"version":         {func(s *engine.State) { s.Version = 9 }, []string{"version 9", "want 1"}},
		"steps":           {func(s *engine.State) { s.Steps = -1 }, []string{"-1 steps"}},
		"rate":            {func(s *engine.State) { s.Rate = math.NaN() }, []string{"rate", "NaN"}},
		"a run too few":   {func(s *engine.State) { s.Runs = nil }, []string{"0 run numbers", "want 1"}},
		"another run":     {func(s *engine.State) { s.Runs[0].Name = "walk" }, []string{`"walk"`, `"run"`}},
		"a param too few": {func(s *engine.State) { s.Params = s.Params[1:] }, []string{"Params has 3 arrays, want 4"}},
		"another param":   {func(s *engine.State) { s.Params[1].Name = "z" }, []string{"Params[1]", `"z"`, `"b1"`}},
		"another shape":   {func(s *engine.State) { s.M[2].Shape = []int{2, 5} }, []string{"M", `"w2"`, "[2 5]", "[5 2]"}},
		"too short":       {func(s *engine.State) { s.V[3].F64 = s.V[3].F64[1:] }, []string{"V", `"b2"`, "1 float64"}},
		"another type":    {func(s *engine.State) { s.V[3].F32 = make([]float32, 2) }, []string{"V", `"b2"`, "float32"}},
		"other moments":   {func(s *engine.State) { s.Velocity = s.M }, []string{"Velocity has 4 arrays, want 0"}},
	} {
		s := viaJSON(t, before)
		for i := range s.Params { // what must not arrive
			s.Params[i].F64[0] = 1e6
		}
		c.spoil(s)
		hasParts(t, name, vm.Restore(s), append(c.want, "Restore")...)
		after, err := vm.State()
		if err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%s: the state changed (%v)", name, err)
		}
	}
	hasParts(t, "nil", vm.Restore(nil), "nil")
	foreign := &engine.State{Version: 1, Params: before.Params}
	hasParts(t, "no update", newVM(t, mlp(t, false).g).Restore(foreign), "4 parameters", "no update")
}

// The draws are those of the dcem ops on the TapeMachine for the same run number, bit for bit; the number advances by
// itself, and a number bound anew starts anew.
func TestRunNumber(t *testing.T) {
	m, number := noisy(t)
	vm := newVM(t, m.g)
	theirs, theirNumber := noisy(t)
	tape := G.NewTapeMachine(theirs.g)
	defer tape.Close()
	expect := func(want int64) {
		t.Helper()
		if vm.Run() != want {
			t.Errorf("Run %d, want %d", vm.Run(), want)
		}
		run(t, vm)
		if err := G.Let(theirNumber, want); err != nil {
			t.Fatal(err)
		}
		run(t, tape)
		tape.Reset()
		same(t, fmt.Sprintf("noise of run %d", want), m.hidden.Value(), theirs.hidden.Value(), 0)
	}
	let := func(v int64) {
		t.Helper()
		if err := G.Let(number, v); err != nil {
			t.Fatal(err)
		}
	}
	expect(0)
	expect(1)
	expect(2)
	let(0) // the same number, bound anew
	expect(0)
	expect(1)
	let(-5)
	expect(-5)
	*number.Value().(*G.I64) = 7 // changed in place
	expect(7)
	expect(8)
	if err := vm.SetRun(1 << 40); err != nil {
		t.Fatal(err)
	}
	expect(1 << 40)
	expect(1<<40 + 1)
	m.x.Value().(*tensor.Dense).Reshape(3, 8)
	if vm.RunAll() == nil {
		t.Error("a reshaped input gave no error")
	}
	m.x.Value().(*tensor.Dense).Reshape(8, 3)
	expect(1<<40 + 2) // a run that failed does not count
	if got := number.Value().Data().(int64); got != 7 {
		t.Errorf("the node's value is %d, want the 7 that was bound", got)
	}
}

func TestSeed(t *testing.T) {
	draw := func(opts ...engine.Option) []float64 {
		m, _ := noisy(t)
		vm := newVM(t, m.g, opts...)
		run(t, vm)
		return floats(t, m.hidden.Value())
	}
	plain, one, again, two := draw(), draw(engine.Seed(1)), draw(engine.Seed(1)), draw(engine.Seed(2))
	if !slices.Equal(one, again) || slices.Equal(one, two) || slices.Equal(one, plain) {
		t.Error("seeds 1, 1, 2 and none, want equal noise for equal seeds alone")
	}
}
