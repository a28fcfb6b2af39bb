package dcem

import (
	"context"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// newController is a controller of the plant.
func newController[T kernels.Float](t testing.TB, p plant, c PlanConfig, o ControllerOptions) *Controller[T] {
	t.Helper()
	g, dt := G.NewGraph(), dtypeOf[T]()
	c.Dtype = dt
	s, err := NewController[T](g, p.Model(inputOf(g, dt, "a", p.a, 3, 3), inputOf(g, dt, "b", p.b, 2, 3), inputOf(g, dt, "goal", p.goal, 1, 3)), c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustPlan[T kernels.Float](t testing.TB, s *Controller[T], x0 []T) *PlanResult[T] {
	t.Helper()
	r, err := s.Plan(context.Background(), x0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A controller gives what Plan gives, in one program and step by step.
func TestControllerIsPlan(t *testing.T) {
	for name, o := range map[string]ControllerOptions{"whole": {}, "stepwise": {Stepwise: true}} {
		t.Run(name, func(t *testing.T) {
			for name, change := range planChanges {
				t.Run(name, func(t *testing.T) {
					p, c := newPlant(), planConfig(tensor.Float64)
					change(&c)
					r := newPlanned(t, p, c, planStates)
					if err := r.Keep(); err != nil {
						t.Fatal(err)
					}
					want := valuesOn(t, "engine", append(G.Nodes{r.Controls, r.First, r.Cost}, r.States...)...)
					diagnoses, err := r.Diagnose()
					if err != nil {
						t.Fatal(err)
					}
					c.Batch = 3
					got := mustPlan(t, newController[float64](t, p, c, o), planStates)
					const tol = 1e-11 // the programs may order sums differently
					check.Close(t, "controls", got.Controls, want[0], tol)
					check.Close(t, "first", got.First, want[1], tol)
					check.Close(t, "cost", got.Cost, want[2], tol)
					for i, x := range want[3:] {
						for b := range 3 {
							check.Close(t, "states", got.States[(b*len(want[3:])+i)*3:][:3], x[3*b:3*b+3], tol)
						}
					}
					for b, d := range diagnoses {
						if g := got.Diagnoses[b]; g.Status != d.Status || g.Iterations != d.Iterations || g.ExcludedTotal != d.ExcludedTotal {
							t.Errorf("problem %d: %v, want %v", b, g, d)
						}
					}
				})
			}
		})
	}
}

func TestControllerAllocatesNothing(t *testing.T) {
	for name, o := range map[string]ControllerOptions{"whole": {}, "stepwise": {TimeLimit: 1 << 40}} {
		c := planConfig(tensor.Float64)
		c.Batch, c.RatePenalty, c.KeepElites, c.Answer, c.SampleMean = 3, []float64{0.1}, 2, AnswerBest, true
		s := newController[float32](t, newPlant(), c, o)
		x0 := check.Copy[float32](planStates)
		ctx := context.Background()
		check.NoAllocs(t, name, func() {
			if _, err := s.Act(ctx, x0); err != nil {
				t.Fatal(err)
			}
		})
	}
}
