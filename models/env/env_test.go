package env

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// forEnvs runs f for every environment, and for one whose defaults were changed.
func forEnvs(t *testing.T, f func(t *testing.T, e Env)) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) { f(t, must[Env](t)(ByName(name))) })
	}
	t.Run("changed", func(t *testing.T) {
		f(t, must[Env](t)(With(Cartpole{}, map[string]float64{"length": 0.7, "weight_x": 0.3})))
	})
}

// problems are states and controls at random, some controls beyond their bounds and some on them.
type problems struct {
	batch, horizon int
	x, u, params   []float64 // (B,S), (B,H,U), (P)
}

func randomProblems(e Env, seed uint64, batch, horizon int) problems {
	rng := rand.New(rand.NewPCG(seed, 7))
	p := problems{batch, horizon, make([]float64, batch*e.StateDim()), make([]float64, batch*horizon*e.ControlDim()),
		Defaults(e)}
	for b := range batch {
		e.Reset(rng.Float64, p.x[b*e.StateDim():(b+1)*e.StateDim()])
	}
	lower, upper := e.Bounds()
	for i := range p.u {
		k := i % e.ControlDim()
		p.u[i] = lower[k] + (upper[k]-lower[k])*(1.6*rng.Float64()-0.3)
		if i%7 == 3 {
			p.u[i] = upper[k]
		}
	}
	for i := range p.params {
		p.params[i] *= 0.8 + 0.4*rng.Float64()
		if p.params[i] == 0 {
			p.params[i] = 0.1
		}
	}
	return p
}

// paramNodes are all parameters as scalar inputs, in order, too.
func paramNodes(g *G.ExprGraph, e Env, dt tensor.Dtype, values []float64) (p ParamNodes, in G.Nodes) {
	p = ParamNodes{}
	for i, param := range e.Params() {
		p[param.Name] = input(g, param.Name, dt, values[i:i+1], 1)
		in = append(in, p[param.Name])
	}
	return p, in
}

// everything is a cost with all that a rollout can sum up.
func everything(e Env) Options {
	return Options{
		Discount: 0.9,
		Final:    2,
		Terminal: func(x *G.Node, p ParamNodes) (*G.Node, error) {
			u, err := repeated(x, 0.25, x.Shape()[0], e.ControlDim())
			if err != nil {
				return nil, err
			}
			return e.Cost(x, u, p)
		},
		TerminalGo: func(x, params []float64) float64 {
			u := make([]float64, e.ControlDim())
			for i := range u {
				u[i] = 0.25
			}
			return e.CostGo(x, u, params)
		},
		Stage: func(t int, _, _, cost *G.Node) (*G.Node, error) {
			return G.Mul(constant(cost.Dtype(), float64(t+1)), cost)
		},
		StageGo: func(t int, _, _ []float64, cost float64) float64 { return float64(t+1) * cost },
	}
}

// The graph and plain Go are two ways to say one thing: rollouts with random parameters agree to rounding, whatever
// the batch, the options and the machine.
func TestGraphEqualsGo(t *testing.T) {
	const horizon = 6
	forEnvs(t, func(t *testing.T, e Env) {
		forEach(t, func(t *testing.T, machine string, dt tensor.Dtype) {
			tol := 1e-12
			if dt == tensor.Float32 {
				tol = 3e-5 // six steps, each some ten roundings of 6e-8, magnified by divisions
			}
			for _, batch := range []int{1, 3} {
				for _, learnt := range []bool{false, true} {
					for name, o := range map[string]Options{"plain": {}, "everything": everything(e)} {
						c := randomProblems(e, uint64(batch), batch, horizon)
						g := G.NewGraph()
						var p ParamNodes
						params := []float64(nil)
						if learnt {
							p, _ = paramNodes(g, e, dt, c.params)
							params = c.params
						}
						states, cost, err := Rollout(e, input(g, "x", dt, c.x, batch, e.StateDim()),
							input(g, "u", dt, c.u, batch, horizon, e.ControlDim()), p, o)
						if err != nil {
							t.Fatal(err)
						}
						runAll(t, machine, g, append(slices.Clone(states), cost)...)
						for b := range batch {
							at := fmt.Sprintf("%s, batch %d, learnt %v: problem %d: ", name, batch, learnt, b)
							s, n := e.StateDim(), horizon*e.ControlDim()
							want, wantCost, err := RolloutGo(e, c.x[b*s:(b+1)*s], c.u[b*n:(b+1)*n], params, o)
							if err != nil {
								t.Fatal(err)
							}
							for i, x := range states {
								check.Close(t, fmt.Sprintf("%sstate %d", at, i), floats(t, x)[b*s:(b+1)*s], want[i*s:(i+1)*s], tol)
							}
							check.Close(t, at+"cost", floats(t, cost)[b:b+1], []float64{wantCost}, tol)
						}
					}
				}
			}
		})
	})
}

// Gradients with respect to the state, the controls and every parameter are those of the plain Go, by differences.
func TestGradients(t *testing.T) {
	const horizon = 4
	forEnvs(t, func(t *testing.T, e Env) {
		for _, machine := range train.Machines {
			for _, batch := range []int{1, 3} {
				name := fmt.Sprintf("%s, batch %d: gradient by ", machine, batch)
				c, o := randomProblems(e, 5, batch, horizon), everything(e)
				for i := range c.u { // differences see nothing on a bound
					c.u[i] *= 0.99
				}
				g := G.NewGraph()
				x, u := input(g, "x", tensor.Float64, c.x, batch, e.StateDim()),
					input(g, "u", tensor.Float64, c.u, batch, horizon, e.ControlDim())
				p, in := paramNodes(g, e, tensor.Float64, c.params)
				_, cost, err := Rollout(e, x, u, p, o)
				if err != nil {
					t.Fatal(err)
				}
				in = append(in, x, u)
				grads := must[G.Nodes](t)(autodiff.Gradients(must[*G.Node](t)(G.Sum(cost)), in...))
				runAll(t, machine, g, grads...)
				sum := func(x, u, params []float64) (sum float64) {
					s, n := e.StateDim(), horizon*e.ControlDim()
					for b := range batch {
						_, cost, err := RolloutGo(e, x[b*s:(b+1)*s], u[b*n:(b+1)*n], params, o)
						if err != nil {
							t.Fatal(err)
						}
						sum += cost
					}
					return sum
				}
				const tol = 1e-7 // of the differences: rounding over h
				for i, param := range e.Params() {
					want := check.Gradient(func(v []float64) float64 {
						params := slices.Clone(c.params)
						params[i] = v[0]
						return sum(c.x, c.u, params)
					}, []float64{c.params[i]}, 1e-4*math.Abs(c.params[i]))
					check.Close(t, name+param.Name, floats(t, grads[i]), want, tol)
				}
				check.Close(t, name+"x", floats(t, grads[len(grads)-2]),
					check.Gradient(func(x []float64) float64 { return sum(x, c.u, c.params) }, c.x, 1e-4), tol)
				check.Close(t, name+"u", floats(t, grads[len(grads)-1]),
					check.Gradient(func(u []float64) float64 { return sum(c.x, u, c.params) }, c.u, 1e-4), tol)
			}
		}
	})
}

// A parameter may be a scalar, one value or one for each problem; each gradient has its parameter's shape.
func TestParamShapes(t *testing.T) {
	const batch = 3
	c := randomProblems(Pendulum{}, 1, batch, 2)
	for _, machine := range train.Machines {
		g := G.NewGraph()
		x, u := input(g, "x", tensor.Float64, c.x, batch, 3), input(g, "u", tensor.Float64, c.u, batch, 2, 1)
		scalar := G.NewScalar(g, tensor.Float64, G.WithName("scalar"), G.WithValue(1.3))
		one, each := input(g, "one", tensor.Float64, []float64{1.3}, 1),
			input(g, "each", tensor.Float64, []float64{1.3, 1.3, 1.3}, 3)
		var all, grads G.Nodes
		for _, n := range []*G.Node{scalar, one, each} {
			_, cost, err := Rollout(Pendulum{}, x, u, ParamNodes{"length": n, "mass": nil}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, cost)
			grads = append(grads, must[G.Nodes](t)(autodiff.Gradients(must[*G.Node](t)(G.Sum(cost)), n))[0])
		}
		runAll(t, machine, g, append(slices.Clone(all), grads...)...)
		for i, cost := range all {
			check.Close(t, fmt.Sprintf("%s: cost %d", machine, i), floats(t, cost), floats(t, all[2]), 0)
			total := 0.0
			for _, v := range floats(t, grads[i]) {
				total += v
			}
			check.Close(t, fmt.Sprintf("%s: gradient %d", machine, i), []float64{total}, floats(t, grads[0]), 1e-14)
		}
		if got := len(floats(t, grads[2])); got != batch {
			t.Errorf("%s: the gradient of a (3) has %d values", machine, got)
		}
	}
}

// Dynamics that blow up give costs that are not finite, on every machine, and nothing worse.
func TestBlowUp(t *testing.T) {
	forEnvs(t, func(t *testing.T, e Env) {
		forEach(t, func(t *testing.T, machine string, dt tensor.Dtype) {
			const horizon = 6
			size, width := e.StateDim(), e.ControlDim()
			for name, start := range map[string]float64{"huge": 1e30, "inf": math.Inf(1), "nan": math.NaN()} {
				c := randomProblems(e, 3, 2, horizon)
				for i := range size {
					c.x[i] = start // the first problem alone
				}
				g := G.NewGraph()
				x, u := input(g, "x", dt, c.x, 2, size), input(g, "u", dt, c.u, 2, horizon, width)
				states, cost, err := Rollout(e, x, u, nil, Options{})
				if err != nil {
					t.Fatal(err)
				}
				grad := must[G.Nodes](t)(autodiff.Gradients(must[*G.Node](t)(G.Sum(cost)), u))[0]
				runAll(t, machine, g, states[horizon], cost, grad)
				got := floats(t, cost)
				if dt == tensor.Float32 && !math.IsNaN(got[0]) && !math.IsInf(got[0], 0) && got[0] < 1e30 {
					t.Errorf("%s: the cost is %v", name, got[0])
				}
				if name != "huge" && !math.IsNaN(got[0]) && !math.IsInf(got[0], 0) {
					t.Errorf("%s: the cost is %v", name, got[0])
				}
				if !drawable(got[1:]) || !drawable(floats(t, grad)[horizon*width:]) {
					t.Errorf("%s: the other problem's cost is %v, its gradient %v", name, got[1], floats(t, grad)[horizon*width:])
				}
				_, simulated, err := RolloutGo(e, c.x[:size], c.u[:horizon*width], nil, Options{})
				if err != nil || name != "huge" && !math.IsNaN(simulated) && !math.IsInf(simulated, 0) {
					t.Errorf("%s: in Go: cost %v, error %v", name, simulated, err)
				}
			}
		})
	})
}

// A Simulator and a single step allocate nothing.
func TestNoAllocations(t *testing.T) {
	forEnvs(t, func(t *testing.T, e Env) {
		c := randomProblems(e, 1, 1, 10)
		s := must[*Simulator](t)(NewSimulator(e, Options{Final: 1, Discount: 0.9}))
		next := make([]float64, e.StateDim())
		check.NoAllocs(t, "Run", func() {
			if _, _, err := s.Run(c.x, c.u, c.params); err != nil {
				t.Fatal(err)
			}
		})
		check.NoAllocs(t, "step", func() { e.StepGo(next, c.x, c.u, nil); e.CostGo(c.x, c.u, nil) })
	})
}

// What an Env says of itself fits together.
func TestDescriptions(t *testing.T) {
	forEnvs(t, func(t *testing.T, e Env) {
		if len(e.States()) != e.StateDim() || len(e.Controls()) != e.ControlDim() {
			t.Errorf("names %q and %q for %d and %d elements", e.States(), e.Controls(), e.StateDim(), e.ControlDim())
		}
		lower, upper := e.Bounds()
		if len(lower) != e.ControlDim() || len(upper) != e.ControlDim() || !(lower[0] < upper[0]) || !(e.Dt() > 0) {
			t.Errorf("bounds %v to %v, a step of %v", lower, upper, e.Dt())
		}
		// The dynamics do not depend on weights of the cost, and the cost on none of the others.
		c := randomProblems(e, 2, 1, 1)
		next, other, at := make([]float64, e.StateDim()), make([]float64, e.StateDim()), Defaults(e)
		c.x[len(c.x)-1] = 0.7
		e.StepGo(next, c.x, c.u, at)
		for i, p := range e.Params() {
			params := slices.Clone(at)
			params[i] += 0.5
			e.StepGo(other, c.x, c.u, params)
			if moves := !slices.Equal(next, other); moves == p.Cost {
				t.Errorf("%s: a weight of the cost %v, and the dynamics change %v", p.Name, p.Cost, moves)
			}
			if changes := e.CostGo(c.x, c.u, params) != e.CostGo(c.x, c.u, at); changes != p.Cost {
				t.Errorf("%s: a weight of the cost %v, and the cost changes %v", p.Name, p.Cost, changes)
			}
		}
		e.StepGo(other, c.x, c.u, at)
		e.StepGo(c.x, c.x, c.u, at) // in place
		check.Close(t, "step in place", c.x, other, 0)
	})
}

func TestByName(t *testing.T) {
	if got := strings.Join(Names(), " "); got != "cartpole pendulum doubleintegrator" {
		t.Errorf("names %s", got)
	}
	for _, name := range Names() {
		if e, err := ByName(name); err != nil || e.Name() != name {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
	if _, err := ByName("cartpol"); err == nil || !strings.Contains(err.Error(), `"cartpol", want one of cartpole, `) {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestWith(t *testing.T) {
	heavy := must[Env](t)(With(Pendulum{}, map[string]float64{"mass": 1.4, "length": 0.75}))
	c := randomProblems(Pendulum{}, 1, 1, 1)
	got, want, params := make([]float64, 3), make([]float64, 3), Defaults(Pendulum{})
	params[pendulumMass], params[pendulumLength] = 1.4, 0.75
	heavy.StepGo(got, c.x, c.u, nil)
	Pendulum{}.StepGo(want, c.x, c.u, params)
	check.Close(t, "with", got, want, 0)
	check.Close(t, "defaults", Defaults(heavy), params, 0)
	twice := must[Env](t)(With(heavy, map[string]float64{"mass": 2}))
	params[pendulumMass] = 2
	check.Close(t, "with twice", Defaults(twice), params, 0)
	if Defaults(Pendulum{})[pendulumMass] != 1 || Defaults(heavy)[pendulumMass] != 1.4 {
		t.Error("With changes what it was given")
	}
	_, err := With(Pendulum{}, map[string]float64{"mas": 1})
	wantError(t, err, `pendulum has no parameter "mas", only gravity, mass,`)
	for name, v := range map[string]float64{"mass": 0, "length": -1, "gravity": math.Inf(1), "weight_u": math.NaN()} {
		_, err := With(Pendulum{}, map[string]float64{name: v})
		wantError(t, err, fmt.Sprintf("pendulum's %s is %v, want a finite number", name, v))
	}
	for name, v := range map[string]float64{"gravity": -9.8, "weight_u": 0} { // upside down, and free
		_ = must[Env](t)(With(Pendulum{}, map[string]float64{name: v}))
	}
	for _, e := range all {
		for _, p := range e.Params() {
			if (p.Unit == "kg" || p.Name == "length") != p.Positive {
				t.Errorf("%s's %s: Positive is %v", e.Name(), p.Name, p.Positive)
			}
		}
	}
}

func wantError(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("error %v, want one with %q", err, words)
	}
}

func TestErrors(t *testing.T) {
	g := G.NewGraph()
	any := func(dt tensor.Dtype, shape ...int) *G.Node {
		return G.NodeFromAny(g, tensor.New(tensor.Of(dt), tensor.WithShape(shape...)),
			G.WithName(fmt.Sprint(len(g.AllNodes()))))
	}
	zeros := func(shape ...int) *G.Node { return any(tensor.Float64, shape...) }
	x, u, e := zeros(2, 3), zeros(2, 5, 1), Pendulum{}
	good := func(x *G.Node, _ ParamNodes) (*G.Node, error) { return e.Cost(x, zeros(2, 1), nil) }
	for words, f := range map[string]func() error{
		"x0 is nil":                     func() error { _, _, err := Rollout(e, nil, u, nil, Options{}); return err },
		"u is nil, want a node (2,H,1)": func() error { _, _, err := Rollout(e, x, nil, nil, Options{}); return err },
		"x0 has shape (2, 4), want (B,3)": func() error {
			_, _, err := Rollout(e, zeros(2, 4), u, nil,
				Options{})
			return err
		},
		"u has shape (2, 5, 2)": func() error {
			_, _, err := Rollout(e, x, zeros(2, 5, 2), nil,
				Options{})
			return err
		},
		"u has shape (3, 5, 1)": func() error {
			_, _, err := Rollout(e, x, zeros(3, 5, 1), nil,
				Options{})
			return err
		},
		"u has shape (2, 5)": func() error {
			_, _, err := Rollout(e, x, zeros(2, 5), nil,
				Options{})
			return err
		},
		"x0 holds float64 and u float32": func() error {
			_, _, err := Rollout(e, x, any(tensor.Float32, 2, 5, 1), nil, Options{})
			return err
		},
		"x0 holds int": func() error {
			_, _, err := Rollout(e, any(tensor.Int, 2, 3), u, nil, Options{})
			return err
		},
		`no parameter "lenght"`: func() error {
			_, _, err := Rollout(e, x, u, ParamNodes{"lenght": zeros(2)},
				Options{})
			return err
		},
		`"mass" has shape (5), want (), (1) or (2)`: func() error {
			_, _, err := Rollout(e, x, u, ParamNodes{"mass": zeros(5)}, Options{})
			return err
		},
		`"mass" holds float32 and the states float64`: func() error {
			_, _, err := Rollout(e, x, u, ParamNodes{"mass": any(tensor.Float32, 2)}, Options{})
			return err
		},
		"discount -1": func() error { _, _, err := Rollout(e, x, u, nil, Options{Discount: -1}); return err },
		"discount 1.5": func() error {
			_, _, err := RolloutGo(e, nil, nil, nil,
				Options{Discount: 1.5})
			return err
		},
		"discount NaN": func() error { _, err := NewSimulator(e, Options{Discount: math.NaN()}); return err },
		"weight NaN of the final": func() error {
			_, _, err := Rollout(e, x, u, nil,
				Options{Final: math.NaN()})
			return err
		},
		"the terminal cost is nil": func() error {
			_, _, err := Rollout(e, x, u, nil, Options{Terminal: func(*G.Node, ParamNodes) (*G.Node, error) {
				return nil,
					nil
			}})
			return err
		},
		"the cost of step 0 is a (2, 1) of float64, want a (2) of float64": func() error {
			_, _, err := Rollout(e, x, u, nil, Options{Terminal: good,
				Stage: func(int, *G.Node, *G.Node, *G.Node) (*G.Node, error) { return zeros(2, 1), nil }})
			return err
		},
		"the state after step 0 has shape (2, 5)": func() error {
			_, _, err := Rollout(e, x, u, nil, Options{
				Dynamics: func(int, *G.Node, *G.Node, ParamNodes) (*G.Node, error) { return zeros(2, 5), nil }})
			return err
		},
		"boom": func() error {
			_, _, err := Rollout(e, x, u, nil, Options{
				Dynamics: func(int, *G.Node, *G.Node, ParamNodes) (*G.Node, error) { return nil, fmt.Errorf("boom") }})
			return err
		},
		"pendulum: u has shape (2, 2), want (B,1)": func() error { _, err := e.Step(x, zeros(2, 2), nil); return err },
		"pendulum: x is nil":                       func() error { _, err := e.Cost(nil, zeros(2, 1), nil); return err },
		"want one batch size":                      func() error { _, err := e.Cost(x, zeros(3, 1), nil); return err },
		"x holds float64 and u float32": func() error {
			_,
				err := e.Step(x, any(tensor.Float32, 2, 1), nil)
			return err
		},
		`pendulum has no parameter "q"`: func() error {
			_,
				err := e.Step(x, zeros(2, 1), ParamNodes{"q": nil})
			return err
		},
		"state 3 of 3": func() error {
			b := Build(e, x, zeros(2, 1), nil)
			_,
				err := b.Value(b.X(3))
			return err
		},
		"control -1 of 1": func() error {
			b := Build(e, x, zeros(2, 1), nil)
			_,
				err := b.Value(b.U(-1))
			return err
		},
		`has no parameter "z"`: func() error {
			b := Build(e, x, zeros(2, 1), nil)
			_,
				err := b.Value(b.P("z"))
			return err
		},
		"a state of 2 elements, want 3": func() error {
			b := Build(e, x, zeros(2, 1), nil)
			_,
				err := b.State(b.X(0), b.X(1))
			return err
		},
		"2 elements of x0, want 3": func() error {
			_, _, err := RolloutGo(e, make([]float64, 2), make([]float64, 4), nil, Options{})
			return err
		},
		"0 controls, want H*1": func() error {
			_, _, err := RolloutGo(e, make([]float64, 3), nil, nil,
				Options{})
			return err
		},
		"3 controls, want H*2": func() error {
			_, _, err := RolloutGo(DoubleIntegrator{}, make([]float64, 4), make([]float64, 3), nil, Options{})
			return err
		},
		"1 parameters, want 7": func() error {
			_, _, err := RolloutGo(e, make([]float64, 3), make([]float64, 3), make([]float64, 1), Options{})
			return err
		},
	} {
		wantError(t, f(), words)
	}
}
