package dcem

import (
	"math"
	"slices"
	"testing"

	"github.com/godcem/godcem/kernels"
	"gorgonia.org/tensor"
)

// 64 problems in closed loop, with starts, stops and statuses of their own, have the bits of 64 controllers of one
// problem each: in one program and step by step, with each option.
func TestBatchIsItsProblems(t *testing.T) {
	for name, change := range planChanges {
		t.Run(name, func(t *testing.T) {
			testBatch[float64](t, change, ControllerOptions{})
			testBatch[float32](t, change, ControllerOptions{Stepwise: true})
		})
	}
}

func testBatch[T kernels.Float](t *testing.T, change func(*PlanConfig), o ControllerOptions) {
	const batch, plans = 64, 3
	p, c := newPlant(), planConfig(tensor.Float64)
	c.Samples, c.Elites = 20, 4
	c.RatePenalty = []float64{0.05, 0.2}
	change(&c)
	c.Batch = batch
	o.CarryElites = c.KeepElites > 0
	all := newController[T](t, p, c, o)
	x0 := make([]T, 3*batch)
	for i := range x0 {
		x0[i] = T(math.Sin(float64(3*i + 1)))
	}
	x0[3*7] = T(math.NaN()) // one problem of no finite cost among the others
	first := c.Problem0
	c.Batch = 1
	stopped := 0
	// All with all options together, in which problems stop at different times; else some, for each takes compiling.
	several := []int{0, 7, 30, 63}
	if c.MuTolerance > 0 && c.KeepElites > 0 {
		several = several[:0]
		for b := range batch {
			several = append(several, b)
		}
	}
	for _, b := range several {
		c.Problem0 = first + b
		one := newController[T](t, p, c, o)
		all.Reset()
		all.SetRun(0)
		x, xs := slices.Clone(x0[3*b:3*b+3]), slices.Clone(x0)
		for i := range plans {
			got, want := mustPlan(t, all, xs), mustPlan(t, one, x)
			equal(t, b, "controls", got.Controls, want.Controls, batch)
			equal(t, b, "first", got.First, want.First, batch)
			equal(t, b, "cost", got.Cost, want.Cost, batch)
			equal(t, b, "states", got.States, want.States, batch)
			if got.Diagnoses[b] != want.Diagnoses[0] {
				t.Errorf("plan %d of problem %d: %v, alone %v", i, b, got.Diagnoses[b], want.Diagnoses[0])
			}
			if want.Diagnoses[0].Status == Converged {
				stopped++
			}
			for i := range batch { // the next state is the one that was foreseen
				copy(xs[3*i:3*i+3], got.States[3*i*(c.Horizon+1)+3:])
			}
			copy(x, want.States[3:6])
			if err := all.Advance(1); err != nil {
				t.Fatal(err)
			}
			if err := one.Advance(1); err != nil {
				t.Fatal(err)
			}
			if i == 0 && b%2 == 0 {
				all.Reset(b)
				one.Reset()
			}
			if t.Failed() {
				t.FailNow()
			}
		}
	}
	if c.MuTolerance > 0 && stopped == 0 {
		t.Error("no problem stopped early: the test shows nothing of stops")
	}
}

// equal compares the bits of problem b of a batch with a batch of one.
func equal[T kernels.Float](t *testing.T, b int, name string, all, one []T, batch int) {
	t.Helper()
	n := len(all) / batch
	if len(one) != n {
		t.Fatalf("%s: %d values in a batch of %d, %d alone", name, len(all), batch, len(one))
	}
	for i, v := range one {
		if g := all[b*n+i]; math.Float64bits(float64(g)) != math.Float64bits(float64(v)) && !(g != g && v != v) {
			t.Errorf("%s of problem %d: element %d is %v in the batch, %v alone", name, b, i, g, v)
			return
		}
	}
}
