package main

import (
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/godcem/godcem/bench/step"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// planner measures a plan for the cartpole by the cross-entropy method: N=1000, k=100, H=20, T=10, float32.
func (b *bench) planner(about result) error {
	about.Absent = map[string]string{}
	if b.log.recent(about, b.racing([]string{"godcem", "torch", "compile", "jax"}), b.resume) {
		return nil
	}
	began := time.Now()
	c := step.Planner{Dtype: tensor.Float32}
	noise := c.Noise()
	own, err := c.Build(nil)
	if err != nil {
		return err
	}
	wide := step.Planner{Dtype: tensor.Float64}
	want, err := wide.Build(noise)
	if err != nil {
		return err
	}
	copy(want.Data.Get("x0").Node.Value().Data().([]float64), wideOf(own.Data.Get("x0").Node.Value().Data()))
	reference, err := costOf(want)
	if err != nil {
		return err
	}
	var all []*contestant
	add := func(x *contestant, cost float64) error {
		// Where two candidates are nearly as good the k-th may be another one; the cost of the plan hardly shows it.
		x.errors.Loss = math.Abs(cost-reference) / math.Abs(reference)
		x.ready, began = time.Since(began), time.Now()
		all = append(all, x)
		if !(x.errors.Loss <= 1e-3) {
			return fmt.Errorf("%s: the plan costs %v, want %v", x.name, cost, reference)
		}
		x.sound = true
		return nil
	}
	if contains(b.only, "godcem") {
		vm, err := engine.NewVM(own.G, engine.Outputs(own.Loss))
		if err != nil {
			return err
		}
		defer vm.Close()
		if err := vm.RunAll(); err != nil {
			return err
		}
		if err := add(&contestant{name: "godcem", rounds: b.rounds, run: timed(func(n int) error {
			for range n {
				if err := vm.RunAll(); err != nil {
					return err
				}
			}
			return nil
		})}, wideOf(own.Loss.Value().Data())[0]); err != nil {
			return err
		}
	}
	g := G.NewGraph()
	var flat []float64
	for _, v := range noise {
		flat = append(flat, v...)
	}
	file := filepath.Join(b.dir, "planner.npz")
	if err := nn.SaveNPZ(file, append(nn.Params{step.Array(g, "noise", tensor.Float32, flat, step.Iterations,
		step.PlannerSamples, step.Horizon)}, own.Data...)); err != nil {
		return err
	}
	for _, p := range b.peers {
		if !contains([]string{"torch", "compile", "jax"}, p.name) {
			continue
		}
		began = time.Now()
		if err := b.enter(p, about, &all, func() error {
			return b.ready(p, about, "planner", "float32", file, step.PlannerElites)
		}, func() error {
			into := nn.Params{step.Array(G.NewGraph(), "cost", tensor.Float32, nil, 1)}
			if err := p.check(into); err != nil {
				return err
			}
			return add(&contestant{name: p.name, run: p.run, rounds: b.rounds}, wideOf(into[0].Node.Value().Data())[0])
		}); err != nil {
			return err
		}
	}
	return b.raceAndNote(about, all)
}

func costOf(s *step.Graph) (float64, error) {
	vm, err := engine.NewVM(s.G, engine.Outputs(s.Loss))
	if err != nil {
		return 0, err
	}
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		return 0, err
	}
	return wideOf(s.Loss.Value().Data())[0], nil
}
