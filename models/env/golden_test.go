package env

import (
	"fmt"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend/emulated"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/simcuda/simtest"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// input is a named node of that shape and type with these values.
func input(g *G.ExprGraph, name string, dt tensor.Dtype, values []float64, shape ...int) *G.Node {
	var backing any = append([]float64(nil), values...)
	if dt == tensor.Float32 {
		backing = check.Copy[float32](values)
	}
	v := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(backing))
	return G.NodeFromAny(g, v, G.WithName(name))
}

// floats is a node's value.
func floats(t testing.TB, n *G.Node) []float64 {
	t.Helper()
	switch v := n.Value().Data().(type) {
	case []float64:
		return append([]float64(nil), v...)
	case []float32:
		return check.Copy[float64](v)
	case float64:
		return []float64{v}
	case float32:
		return []float64{float64(v)}
	}
	t.Fatalf("%v has a value of type %T", n, n.Value().Data())
	return nil
}

func runAll(t testing.TB, machine string, g *G.ExprGraph, outputs ...*G.Node) {
	t.Helper()
	var vm G.VM
	var err error
	if machine == emulator {
		vm, err = engine.NewVM(g, engine.Outputs(outputs...), engine.On(emulatedDevice(t)))
	} else if machine == reference {
		vm, err = engine.NewVM(g, engine.Outputs(outputs...), engine.On(must[engine.Device](t)(engine.Open(reference))))
	} else {
		vm, err = train.NewVM(machine, g, outputs...)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// emulator is the machine that runs the kernels as CUDA C on the processor, reference the engine's loop by loop. (Tests
// run on a GPU, or a simulated driver, where GODCEM_DEVICE says so.)
const (
	emulator  = "emulator"
	reference = "ref"
)

func emulatedDevice(t testing.TB) engine.Device {
	d, err := emulated.NewWith(emulated.Options{})
	simtest.Need(t, err)
	return d
}

// forEach runs f for both machines and both types.
func forEach(t *testing.T, f func(t *testing.T, machine string, dt tensor.Dtype)) {
	forMachines(t, train.Machines, f)
}

func forMachines(t *testing.T, machines []string, f func(t *testing.T, machine string, dt tensor.Dtype)) {
	for _, machine := range machines {
		for _, dt := range []tensor.Dtype{tensor.Float64, tensor.Float32} {
			t.Run(fmt.Sprintf("%s/%v", machine, dt), func(t *testing.T) { f(t, machine, dt) })
		}
	}
}

type cartpoleCase struct {
	Params struct {
		Masscart, Masspole, Length, Gravity, Dt float64
		Force                                   float64 `json:"force_mag"`
	}
	State, Controls, Cost check.Nested
	NextState             check.Nested `json:"next_state"`
	FinalState            check.Nested `json:"final_state"`
	GradControls          check.Nested `json:"grad_controls"`
}

func TestCartpoleGolden(t *testing.T) {
	const horizon = 20
	check.Golden(t, "cartpole.json", func(t *testing.T, c cartpoleCase) {
		e := Cartpole{Delta: c.Params.Dt, Force: c.Params.Force}
		if e.Dt() != (Cartpole{}).Dt() {
			t.Errorf("a step of %v s, want %v", (Cartpole{}).Dt(), e.Dt())
		}
		batch := len(c.Cost)
		params := Defaults(e)
		params[cartMass], params[poleMass] = c.Params.Masscart, c.Params.Masspole
		params[poleLength], params[cartGravity] = c.Params.Length, c.Params.Gravity
		for b := range batch {
			states, cost, err := RolloutGo(e, c.State[5*b:5*b+5], c.Controls[horizon*b:horizon*(b+1)], params, Options{})
			if err != nil {
				t.Fatal(err)
			}
			check.Close(t, "next state in Go", states[5:10], c.NextState[5*b:5*b+5], 1e-8)
			check.Close(t, "final state in Go", states[5*horizon:], c.FinalState[5*b:5*b+5], 1e-8)
			check.Close(t, "cost in Go", []float64{cost}, c.Cost[b:b+1], 1e-8)
		}
		forMachines(t, append([]string{emulator, reference}, train.Machines...), func(t *testing.T, machine string, dt tensor.Dtype) {
			tol := 1e-8
			if dt == tensor.Float32 {
				tol = 1e-4 // 20 steps of a falling pole multiply a rounding of 6e-8 by a few hundred
			}
			g := G.NewGraph()
			x, u := input(g, "x", dt, c.State, batch, 5), input(g, "u", dt, c.Controls, batch, horizon, 1)
			states, cost, err := Rollout(e, x, u, nil, Options{})
			if err != nil {
				t.Fatal(err)
			}
			grad := must[G.Nodes](t)(autodiff.Gradients(must[*G.Node](t)(G.Sum(cost)), u))[0]
			runAll(t, machine, g, states[1], states[horizon], cost, grad)
			check.Close(t, "next state", floats(t, states[1]), c.NextState, tol)
			check.Close(t, "final state", floats(t, states[horizon]), c.FinalState, tol)
			check.Close(t, "cost", floats(t, cost), c.Cost, tol)
			check.Close(t, "gradient", floats(t, grad), c.GradControls, tol)
		})
	})
}

type pendulumCase struct {
	State, Controls, States, Cost check.Nested
	GradControls                  check.Nested `json:"grad_controls"`
}

// goldenPendulum has the cost of the golden file: the mean over all 16 states and their elements of (x - goal)^2, and
// 1e-4 times the mean of u^2.
func goldenPendulum(t testing.TB) Env {
	return must[Env](t)(With(Pendulum{}, map[string]float64{
		"weight_cos": 1. / 48, "weight_sin": 1. / 48, "weight_dth": 1. / 48, "weight_u": 1e-4 / 15}))
}

func TestPendulumGolden(t *testing.T) {
	const horizon = 15
	check.Golden(t, "pendulum.json", func(t *testing.T, c pendulumCase) {
		e, batch := goldenPendulum(t), len(c.Cost)
		for b := range batch {
			states, cost, err := RolloutGo(e, c.State[3*b:3*b+3], c.Controls[horizon*b:horizon*(b+1)], nil, Options{Final: 1})
			if err != nil {
				t.Fatal(err)
			}
			for s := range horizon + 1 {
				check.Close(t, fmt.Sprintf("state %d in Go", s), states[3*s:3*s+3], c.States[(s*batch+b)*3:][:3], 1e-10)
			}
			check.Close(t, "cost in Go", []float64{cost}, c.Cost[b:b+1], 1e-10)
		}
		forMachines(t, append([]string{emulator, reference}, train.Machines...), func(t *testing.T, machine string, dt tensor.Dtype) {
			tol := 1e-10
			if dt == tensor.Float32 {
				tol = 5e-6 // 15 steps that add a few roundings of 6e-8 each
			}
			g := G.NewGraph()
			x, u := input(g, "x", dt, c.State, batch, 3), input(g, "u", dt, c.Controls, batch, horizon, 1)
			states, cost, err := Rollout(e, x, u, nil, Options{Final: 1})
			if err != nil {
				t.Fatal(err)
			}
			grad := must[G.Nodes](t)(autodiff.Gradients(must[*G.Node](t)(G.Sum(cost)), u))[0]
			runAll(t, machine, g, append(states, cost, grad)...)
			for s, n := range states {
				check.Close(t, fmt.Sprintf("state %d", s), floats(t, n), c.States[s*batch*3:][:batch*3], tol)
			}
			check.Close(t, "cost", floats(t, cost), c.Cost, tol)
			check.Close(t, "gradient", floats(t, grad), c.GradControls, tol)
		})
	})
}
