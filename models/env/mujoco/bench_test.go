package mujoco

import "testing"

// A step of the task, with its observation and reward.
func BenchmarkStep(b *testing.B) {
	for _, name := range Names() {
		b.Run(name, func(b *testing.B) {
			task, err := New(name, Options{})
			if err != nil {
				b.Skip("not run: ", err)
			}
			defer task.Close()
			obs, u, r := make([]float64, task.ObsDim()), make([]float64, task.ActDim()), newRandomState(0)
			over := true
			b.ReportAllocs()
			for b.Loop() {
				if over {
					if err := task.Reset(0, obs); err != nil {
						b.Fatal(err)
					}
				}
				for i := range u {
					u[i] = r.uniform(-1, 1)
				}
				_, s, err := task.Step(u, obs)
				if err != nil {
					b.Fatal(err)
				}
				over = s.Over()
			}
		})
	}
}
