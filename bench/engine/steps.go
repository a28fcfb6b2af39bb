package main

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"time"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// adam is the update of every contestant but dropIn's.
var adam = kernels.Optimizer{Rate: 1e-3, ClipNorm: 1}

// stepResult is one case: a training step of one net and batch.
type stepResult struct {
	Net         string                   `json:"net"`
	Batch       int                      `json:"batch"`
	Nodes       int                      `json:"nodes"`
	Losses      map[string][]float64     `json:"losses"` // of the first steps, by contestant
	Millis      map[string]record.Spread `json:"ms"`
	TapeOver    record.Spread            `json:"tape_over_engine"`         // ratios within a round
	TapeOverOwn record.Spread            `json:"tape_over_engine_drop_in"` // with Gorgonia's Adam on both
}

// A contestant takes one training step with the noise of a run number.
type contestant struct {
	name  string
	step  func(run int64) (loss float64, err error)
	close func() error
}

// onTape is the old way: gradients as nodes, the update on the host.
func onTape(net string, batch int) (*contestant, *step, error) {
	s, err := newStep(net, batch)
	if err != nil {
		return nil, nil, err
	}
	if err := s.differentiate(); err != nil {
		return nil, nil, err
	}
	vm := G.NewTapeMachine(s.g)
	var state kernels.OptimizerState[float32]
	grads := make([][]float32, len(s.grads))
	return &contestant{"tape", func(run int64) (float64, error) {
		if err := G.Let(s.run, run); err != nil {
			return 0, err
		}
		defer vm.Reset()
		if err := vm.RunAll(); err != nil {
			return 0, err
		}
		for i, n := range s.grads {
			grads[i] = n.Value().Data().([]float32)
		}
		kernels.OptimizerStep(adam, &state, s.values, grads)
		return scalar(s.loss.Value())
	}, vm.Close}, s, nil
}

// onEngine has the update in the compiled step.
func onEngine(net string, batch int, opts ...engine.Option) (*contestant, *engine.VM, error) {
	s, err := newStep(net, batch)
	if err != nil {
		return nil, nil, err
	}
	vm, err := engine.NewVM(s.g, append(opts, engine.WithUpdate(adam, s.loss, s.params...))...)
	if err != nil {
		return nil, nil, err
	}
	return &contestant{"engine", func(run int64) (float64, error) {
		if err := G.Let(s.run, run); err != nil {
			return 0, err
		}
		if err := vm.RunAll(); err != nil {
			return 0, err
		}
		return vm.Loss()
	}, vm.Close}, vm, nil
}

// withSolver is a VM that stands where the TapeMachine stood, and one of Gorgonia's solvers.
func withSolver(name, net string, batch int, newVM func(*step) (G.VM, error)) (*contestant, error) {
	s, err := newStep(net, batch)
	if err != nil {
		return nil, err
	}
	if _, err := G.Grad(s.loss, s.params...); err != nil {
		return nil, err
	}
	vm, err := newVM(s)
	if err != nil {
		return nil, err
	}
	solver := G.NewAdamSolver(G.WithLearnRate(1e-3))
	return &contestant{name, func(run int64) (float64, error) {
		if err := G.Let(s.run, run); err != nil {
			return 0, err
		}
		defer vm.Reset()
		if err := vm.RunAll(); err != nil {
			return 0, err
		}
		loss, err := scalar(s.loss.Value())
		if err != nil {
			return 0, err
		}
		return loss, solver.Step(G.NodesToValueGrads(s.params))
	}, vm.Close}, nil
}

func scalar(v G.Value) (float64, error) {
	switch d := v.Data().(type) {
	case float32:
		return float64(d), nil
	case []float32:
		return float64(d[0]), nil
	}
	return 0, fmt.Errorf("the loss is a %T", v.Data())
}

const agreeing = 3 // steps whose losses must agree before anything is timed

func measureSteps(r *report, rounds int) error {
	for _, c := range []struct {
		net   string
		batch int
		bound float64
	}{{stock, 1, 5}, {stock, 100, 8}, {ours, 1, 0}, {ours, 100, 0}} {
		result, err := measureStep(c.net, c.batch, rounds)
		if err != nil {
			return fmt.Errorf("%s, B = %d: %w", c.net, c.batch, err)
		}
		r.Steps = append(r.Steps, *result)
		if c.bound > 0 {
			r.Claims = append(r.Claims, record.AtLeast(
				fmt.Sprintf("training step, B = %d: TapeMachine / engine", c.batch), result.TapeOver.Median, c.bound))
		}
	}
	return nil
}

func measureStep(net string, batch, rounds int) (*stepResult, error) {
	result := &stepResult{Net: net, Batch: batch, Losses: map[string][]float64{}, Millis: map[string]record.Spread{}}
	tape, s, err := onTape(net, batch)
	if err != nil {
		return nil, err
	}
	result.Nodes = len(s.g.AllNodes())
	compiled, _, err := onEngine(net, batch)
	if err != nil {
		return nil, err
	}
	dropIn, err := withSolver("engine, Gorgonia's Adam", net, batch, func(s *step) (G.VM, error) { return engine.NewVM(s.g) })
	if err != nil {
		return nil, err
	}
	tapeSolver, err := withSolver("tape, Gorgonia's Adam", net, batch, func(s *step) (G.VM, error) {
		return G.NewTapeMachine(s.g, G.BindDualValues(s.params...)), nil
	})
	if err != nil {
		return nil, err
	}
	all := []*contestant{tape, compiled, dropIn, tapeSolver}
	for _, c := range all {
		defer c.close()
		for run := range int64(agreeing) {
			loss, err := c.step(run)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			result.Losses[c.name] = append(result.Losses[c.name], loss)
		}
	}
	for _, pair := range [][2]*contestant{{tape, compiled}, {tapeSolver, dropIn}} {
		a, b := result.Losses[pair[0].name], result.Losses[pair[1].name]
		for i := range a {
			// Float32 sums in another order, through T = 10 iterations and Adam's first steps, which are all of size 1e-3.
			if !(math.Abs(a[i]-b[i]) <= 1e-3*math.Abs(a[i])) {
				return nil, fmt.Errorf("losses of %s and %s after %d steps: %v and %v", pair[0].name, pair[1].name, i, a, b)
			}
		}
	}
	repeat := 1
	if batch == 1 {
		repeat = 10
	}
	times := map[string][]float64{}
	var ratio, own []float64
	run := int64(agreeing)
	for range rounds {
		for _, c := range all {
			debug.FreeOSMemory() // the last one's garbage is not this one's
			began := time.Now()
			for range repeat {
				if _, err := c.step(run); err != nil {
					return nil, fmt.Errorf("%s: %w", c.name, err)
				}
			}
			times[c.name] = append(times[c.name], time.Since(began).Seconds()*1e3/float64(repeat))
		}
		run += int64(repeat)
		last := func(c *contestant) float64 { return times[c.name][len(times[c.name])-1] }
		ratio = append(ratio, last(tape)/last(compiled))
		own = append(own, last(tapeSolver)/last(dropIn))
	}
	for _, c := range all {
		result.Millis[c.name] = record.SpreadOf(times[c.name])
	}
	result.TapeOver, result.TapeOverOwn = record.SpreadOf(ratio), record.SpreadOf(own)
	fmt.Fprintf(os.Stdout, "step, net of %s, B = %d, %d nodes:", net, batch, result.Nodes)
	for _, c := range all {
		fmt.Printf("  %s %.4g ms", c.name, result.Millis[c.name].Median)
	}
	fmt.Printf("  ratio %.3g (%.3g to %.3g), drop-in %.3g\n", result.TapeOver.Median, result.TapeOver.Low, result.TapeOver.High, result.TapeOverOwn.Median)
	return result, nil
}
