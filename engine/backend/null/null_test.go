package null

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

type host struct{}

func (host) String() string       { return "host" }
func (host) Run(any, []any) error { panic("null: a kernel was run") }
func (host) OnHost() bool         { return true }

func program() *plan.Program {
	return &plan.Program{
		Buffers: []plan.Buffer{
			{Role: plan.Input, Type: ir.F32, Shape: []int{1 << 40}, Over: -1}, // more than any machine has
			{Role: plan.Temp, Type: ir.F32, Shape: []int{2}, Over: -1},
			{Role: plan.Output, Type: ir.F64, Shape: []int{2, 2}, Over: -1},
		},
		Steps: []plan.Step{
			{Name: "a", Loop: &plan.Loop{}, Flops: 10, Bytes: 100},
			{Name: "b", Custom: &plan.Custom{Kernel: host{}}, Flops: 5, Bytes: 7},
			{Name: "c", Dot: &plan.Dot{}, Flops: 100, Bytes: 1000, Again: true},
		},
		Arena: 1 << 42, Peak: 8,
	}
}

func TestCounts(t *testing.T) {
	d := New()
	if d.Info().Name != "null" {
		t.Errorf("name %q", d.Info().Name)
	}
	x, err := d.Compile(program())
	if err != nil {
		t.Fatal(err)
	}
	e := x.(*Executable)
	want := Stats{Steps: 3, Launches: 2, Host: 1, Recomputed: 1, Flops: 115, Bytes: 1107, Arena: 1 << 42, Peak: 8}
	if e.Stats != want {
		t.Errorf("%+v, want %+v", e.Stats, want)
	}
	var seen []int
	err = e.Run(func(s int) error { seen = append(seen, s); return nil })
	if err != nil || !slices.Equal(seen, []int{0, 1, 2}) {
		t.Errorf("watched %v: %v", seen, err)
	}
	stop := errors.New("stop")
	if err := e.Run(func(s int) error { return stop }); err != stop {
		t.Errorf("%v, want the error of watch", err)
	}
	if n := testing.AllocsPerRun(10, func() { _ = e.Run(nil) }); n != 0 || e.Runs != 13 {
		t.Errorf("%v allocations per run, %d runs", n, e.Runs)
	}
	if e.Sync() != nil || e.Close() != nil || e.Close() != nil || e.Run(nil) == nil ||
		e.Write(2, make([]float64, 4)) == nil {
		t.Error("closing")
	}
	if _, err := d.Compile(nil); err == nil {
		t.Error("no program: no error")
	}
}

func TestErrors(t *testing.T) {
	e, err := New().Compile(program())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Write(2, make([]float64, 4)); err != nil {
		t.Error(err)
	}
	if err := e.Read(2, make([]float64, 4)); !errors.Is(err, ErrNoValues) {
		t.Errorf("%v, want %v", err, ErrNoValues)
	}
	for _, c := range []struct {
		b    plan.BufID
		data any
		want string
	}{
		{-1, []float64{}, "buffer -1"}, {3, []float64{}, "buffer 3"}, {1, make([]float32, 2), "temporary"},
		{2, make([]float32, 4), "want 4 x f64"}, {2, make([]float64, 3), "want 4 x f64"}, {2, nil, "want 4 x f64"},
	} {
		for _, err := range []error{e.Write(c.b, c.data), e.Read(c.b, c.data)} {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want an error with %q", err, c.want)
			}
		}
	}
	if e.Memory(2) != nil {
		t.Error("memory of a device that has none")
	}
}
