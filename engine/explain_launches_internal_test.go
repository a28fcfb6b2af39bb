package engine

import (
	"testing"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

type waiting int

func (waiting) String() string       { return "waiting" }
func (waiting) Run(any, []any) error { return nil }
func (w waiting) Stages() int        { return int(w) }

// The steps of a launch that read what others of it write wait for them; those beside each other do not.
func TestStages(t *testing.T) {
	custom := func(n int) *plan.Custom { return &plan.Custom{Kernel: waiting(n)} }
	loop := func(dt ir.DType) *plan.Loop { return &plan.Loop{Type: dt} }
	p := &plan.Program{Steps: []plan.Step{
		{Loop: loop(ir.F32), Writes: []plan.BufID{1}, Flops: 1},
		{Custom: custom(3), Reads: []plan.BufID{1}, Writes: []plan.BufID{2}, Flops: 10},
		{Custom: custom(6), Reads: []plan.BufID{0}, Writes: []plan.BufID{3}, Flops: 100},
		{Loop: loop(ir.F64), Reads: []plan.BufID{2, 3}, Writes: []plan.BufID{4}, Flops: 1000},
		{Dot: &plan.Dot{Type: ir.F32}, Reads: []plan.BufID{0}, Writes: []plan.BufID{5}, Flops: 10000},
	}}
	for _, c := range []struct {
		steps []int
		want  int
		flops int64
	}{
		{nil, 0, 0}, {[]int{0}, 0, 0}, {[]int{1}, 3, 10}, {[]int{0, 1}, 4, 10}, {[]int{0, 1, 2}, 6, 110},
		{[]int{0, 1, 3}, 5, 1010}, {[]int{0, 1, 2, 3, 4}, 7, 1110}, {[]int{0, 4}, 0, 0},
	} {
		if got := stages(p, c.steps); got != c.want {
			t.Errorf("steps %v wait %d times, want %d", c.steps, got, c.want)
		}
		if got := doubles(p, c.steps); got != c.flops {
			t.Errorf("steps %v have %d operations in float64, want %d", c.steps, got, c.flops)
		}
	}
}
