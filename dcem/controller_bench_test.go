package dcem

import (
	"context"
	"testing"
)

// BenchmarkController plans for the pendulum: H = 20, N = 200, T = 5, in one program.
func BenchmarkController(b *testing.B) {
	c := PlanConfig{Config: Config{Samples: 200, Elites: 20, Iterations: 5, Lower: []float64{-2}, Upper: []float64{2}}, Horizon: 20}
	s, err := NewController[float32](nil, pendulumModel(), c, ControllerOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Act(context.Background(), []float32{-1, 0, 0}); err != nil { // the first plan binds values
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Act(context.Background(), []float32{-1, 0, 0}); err != nil {
			b.Fatal(err)
		}
	}
}
