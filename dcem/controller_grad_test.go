package dcem

import (
	"fmt"
	"math"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// gradChanges are options beyond planChanges, whose nodes need the graph.
var gradChanges = map[string]func(c *PlanConfig, in func(name string, shape ...int) *G.Node){
	"rate": func(c *PlanConfig, in func(string, ...int) *G.Node) {
		c.RatePenalty, c.Previous = []float64{0.3, 0.1}, in("previous", 2, 2)
	},
	"candidates": func(c *PlanConfig, in func(string, ...int) *G.Node) { c.Candidates = in("candidates", 2, 3, 10) },
	"starts": func(c *PlanConfig, in func(string, ...int) *G.Node) {
		c.MuNode, c.SigmaNode = in("mu", 2, 10), in("sigma", 2, 10)
	},
	"worst of particles": func(c *PlanConfig, _ func(string, ...int) *G.Node) { c.Particles, c.Risk = 3, RiskWorst },
	"mean of particles":  func(c *PlanConfig, _ func(string, ...int) *G.Node) { c.Particles, c.Risk = 3, RiskMean },
}

// Gradients of a function of all that a plan gives, with respect to all that it is made of, are those of finite
// differences, for every option; on the engine, and on the TapeMachine the same.
func TestPlanGradients(t *testing.T) {
	for name, change := range planChanges {
		t.Run(name, func(t *testing.T) {
			testPlanGradients(t, func(c *PlanConfig, _ func(string, ...int) *G.Node) { change(c) })
		})
	}
	for name, change := range gradChanges {
		t.Run(name, func(t *testing.T) { testPlanGradients(t, change) })
	}
}

func testPlanGradients(t *testing.T, change func(*PlanConfig, func(string, ...int) *G.Node)) {
	g, p := G.NewGraph(), newPlant()
	var inputs G.Nodes
	var theta []float64
	add := func(name string, v []float64, shape ...int) *G.Node {
		n := inputOf(g, tensor.Float64, name, v, shape...)
		inputs, theta = append(inputs, n), append(theta, v...)
		return n
	}
	a, b, goal, x0 := add("a", p.a, 3, 3), add("b", p.b, 2, 3), add("goal", p.goal, 1, 3), add("x0", planStates[:6], 2, 3)
	c := planConfig(tensor.Float64)
	c.Samples, c.Iterations = 24, 4
	change(&c, func(name string, shape ...int) *G.Node {
		v := make([]float64, tensor.Shape(shape).TotalSize())
		for i := range v {
			v[i] = 0.4 + 0.3*math.Sin(float64(7*i+len(name)))
		}
		return add(name, v, shape...)
	})
	m := p.Model(a, b, goal)
	if c.Particles > 1 { // particles differ by noise and by a parameter of their own
		gain := add("gain", []float64{0.9, 1.1, 1, 1.3}[:c.Particles], c.Particles, 1)
		dynamics := m.Dynamics
		m.Dynamics, m.Noise = nil, 3
		m.Noisy = func(t int, x, u, w *G.Node) (*G.Node, error) {
			next := G.Must(dynamics(t, x, u))
			scale := G.Must(autodiff.Expand(G.Must(PerParticle(gain, x.Shape()[0])), x.Shape()...))
			return G.Add(G.Must(G.HadamardProd(next, scale)), G.Must(G.Mul(number(w, 0.2), w)))
		}
	}
	plan, err := Plan(g, x0, m, c)
	if err != nil {
		t.Fatal(err)
	}
	loss := G.Must(G.Sum(G.Must(G.Cube(plan.Controls))))
	loss = G.Must(G.Add(loss, G.Must(G.Sum(plan.Cost))))
	loss = G.Must(G.Add(loss, G.Must(G.Sum(G.Must(G.Square(plan.States[c.Horizon]))))))
	loss = G.Must(G.Add(loss, G.Must(G.Sum(G.Must(G.Square(plan.First))))))
	grads, err := autodiff.Gradients(loss, inputs...)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := engine.NewVM(g, engine.Outputs(append(grads, loss)...))
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	run := func(vm G.VM) {
		if err := G.Let(plan.Run, int64(3)); err != nil { // the same noise each time
			t.Fatal(err)
		}
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
	}
	run(vm)
	var got []float64
	for _, n := range grads {
		got = append(got, floats(t, n.Value())...)
	}
	forward, err := engine.NewVM(g.ExactSubgraphRoots(loss), engine.Outputs(loss))
	if err != nil {
		t.Fatal(err)
	}
	defer forward.Close()
	value := func(x []float64) float64 {
		for _, n := range inputs {
			v := n.Value().Data().([]float64)
			copy(v, x)
			x = x[len(v):]
		}
		run(forward)
		return floats(t, loss.Value())[0]
	}
	want := check.Gradient(value, theta, 1e-5)
	value(theta)
	// Central differences err by the third derivative times 1e-10 and by roundings of 1e-15/1e-5.
	check.Close(t, "gradient", got, want, 2e-6)
	nonzero := map[string]bool{}
	for _, n := range grads {
		for _, v := range floats(t, n.Value()) {
			if v != 0 {
				nonzero[fmt.Sprint(n.ID())] = true
			}
		}
	}
	if len(nonzero) != len(inputs) {
		t.Errorf("%d of %d inputs have a gradient", len(nonzero), len(inputs))
	}
	tape := G.NewTapeMachine(g)
	defer tape.Close()
	run(tape)
	var onTape []float64
	for _, n := range grads {
		onTape = append(onTape, floats(t, n.Value())...)
	}
	check.Close(t, "gradient on the TapeMachine", onTape, got, 1e-9) // the same but for the order of sums, through 4 iterations
}

// With Backprop = 1 the gradient is that of the last iteration alone, from the mu and sigma that it started from.
func TestPlanBackprop(t *testing.T) {
	p, c := newPlant(), planConfig(tensor.Float64)
	gradient := func(r planned) (values [][]float64) {
		loss := G.Must(G.Sum(G.Must(G.Cube(r.Controls))))
		grads, err := autodiff.Gradients(loss, r.a, r.b, r.goal)
		if err != nil {
			t.Fatal(err)
		}
		last := r.Iterates[max(len(r.Iterates)-2, 0)]
		return valuesOn(t, "engine", append(grads, r.Controls, last.Mu, last.Sigma)...)
	}
	whole := gradient(newPlanned(t, p, c, planStates))
	c.Backprop = 1
	got := gradient(newPlanned(t, p, c, planStates))
	c.Backprop, c.Iterations, c.Draw, c.Mu, c.Sigma = 0, 1, 3, got[4], got[5]
	want := gradient(newPlanned(t, p, c, planStates))
	check.Close(t, "controls", got[3], want[3], 1e-12)
	for i := range 3 {
		check.Close(t, "gradient", got[i], want[i], 1e-11)
	}
	if diff, _ := check.MaxDiff(got[1], whole[1]); !(diff > 1e-3) {
		t.Errorf("the gradient through all iterations is the same within %v", diff)
	}
}

func TestRowErrors(t *testing.T) {
	g := G.NewGraph()
	x, v := inputOf(g, tensor.Float64, "x", make([]float64, 6), 3, 2), inputOf(g, tensor.Float64, "v", make([]float64, 3), 3)
	for want, f := range map[string]func() (*G.Node, error){
		"dcem: PerRow: rows = 4, want a multiple of x's 3 rows":      func() (*G.Node, error) { return PerRow(x, 4) },
		"dcem: PerRow: x has shape (3), want (any, any)":             func() (*G.Node, error) { return PerRow(v, 6) },
		"dcem: PerParticle: rows = 0, want a multiple of v's 3 rows": func() (*G.Node, error) { return PerParticle(x, 0) },
		"dcem: PerParticle: v is nil":                                func() (*G.Node, error) { return PerParticle(nil, 6) },
	} {
		if _, err := f(); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
