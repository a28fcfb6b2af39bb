package rl

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

var smallPlan = PlannerConfig{Kind: LatentDCEM, Horizon: 3, Iterations: 3, Samples: 12, Elites: 4, Latent: 2,
	Hidden: []int{6}}

// smallController is a policy in float64 whose actor is a search over a model.
func smallController(t *testing.T, frozen Frozen) (*G.ExprGraph, *Policy, *RSSM, *ActionDecoder) {
	t.Helper()
	g := G.NewGraph()
	m, err := NewRSSM(g, RSSMConfig{Obs: 3, Act: 2, Deter: 4, Stoch: 3, Hidden: 5, Dtype: tensor.Float64, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewActionDecoder(g, smallPlan, 2, tensor.Float64, 3)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewController(smallPlan, m, d, frozen)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPolicy(g, c, 2, 0.3, true)
	if err != nil {
		t.Fatal(err)
	}
	return g, p, m, d
}

// drawnNoise is noise for n rows of the small controller, each its own.
func drawnNoise(g *G.ExprGraph, a Actor, n int) *G.Node {
	return train.Input(g, "noise", draw(5, 0, n*a.Noise()), n, a.Noise())
}

// TestControllerGradient: of the log-probability of actions with respect to every parameter of decoder, reward and
// transition, through the search, against finite differences; and nothing of it runs on the host.
func TestControllerGradient(t *testing.T) {
	g, p, m, d := smallController(t, Frozen{})
	x := train.Input(g, "x", draw(3, 0, 2*7), 2, 7)
	logProb, _, err := p.LogProb(x, drawnNoise(g, p.Actor, 2), train.Input(g, "a", draw(3, 1, 4), 2, 2))
	if err != nil {
		t.Fatal(err)
	}
	b := build(x)
	loss := b.sum(logProb)
	free := p.Free()
	if b.err != nil {
		t.Fatal(b.err)
	}
	if want := len(d.Params()) + len(m.Reward()) + len(m.Transition()); len(free) != want {
		t.Fatalf("%d free parameters, want %d", len(free), want)
	}
	step, err := engine.NewVM(g, engine.WithUpdate(kernels.Optimizer{Method: kernels.Momentum, Rate: 1}, loss,
		free.Nodes()...))
	if err != nil {
		t.Fatal(err)
	}
	defer step.Close()
	noHost(t, step)
	memory := nn.Values[float64](free)
	var saved, got [][]float64
	for _, v := range memory {
		saved = append(saved, slices.Clone(v))
	}
	at := func() float64 { // leaves the parameters less their gradients
		for _, n := range free.Nodes() {
			if err := step.Load(n); err != nil {
				t.Fatal(err)
			}
		}
		if err := step.RunAll(); err != nil {
			t.Fatal(err)
		}
		l, err := step.Loss()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	at()
	if err := step.Sync(); err != nil {
		t.Fatal(err)
	}
	for i, v := range memory {
		got = append(got, make([]float64, len(v)))
		for j := range v {
			got[i][j] = saved[i][j] - v[j]
		}
	}
	some := map[string]bool{}
	for i, q := range free {
		if n := min(len(saved[i]), 6); true { // the first ones of each: all of them would take long
			want := check.Gradient(func(y []float64) float64 {
				for k := range memory {
					copy(memory[k], saved[k])
				}
				copy(memory[i], y)
				return at()
			}, saved[i][:n], 3e-6)
			// Differences over 3e-6 of numbers of size 10, whose rounding is 1e-15: 1e-9, and curvature. Over more of
			// them a ReLU of one of the samples changes sides.
			check.Close(t, q.Name, got[i][:n], want, 1e-7)
		}
		if slices.ContainsFunc(got[i], func(v float64) bool { return math.Abs(v) > 1e-6 }) {
			part, _, _ := strings.Cut(q.Name, "/")
			some[part] = true
		}
	}
	for _, part := range []string{"actions", "reward", "transition"} {
		if !some[part] {
			t.Errorf("no gradient reaches %s", part)
		}
	}
}

// TestBackprop: gradients through the last iteration alone are others, of the same action.
func TestBackprop(t *testing.T) {
	var loss [2]float64
	var moved [2][]float64
	for i, c := range []PlannerConfig{smallPlan, smallPlan} {
		c.Backprop = i
		g, _, m, d := smallController(t, Frozen{})
		actor, err := NewController(c, m, d, Frozen{})
		if err != nil {
			t.Fatal(err)
		}
		a, err := actor.Act(train.Input(g, "x", draw(3, 0, 2*7), 2, 7), drawnNoise(g, actor, 2))
		if err != nil {
			t.Fatal(err)
		}
		b := build(a)
		sum := b.sum(a)
		if b.err != nil {
			t.Fatal(b.err)
		}
		step, err := engine.NewVM(g, engine.WithUpdate(kernels.Optimizer{Method: kernels.Momentum, Rate: 1}, sum,
			actor.Free().Nodes()...))
		if err != nil {
			t.Fatal(err)
		}
		defer step.Close()
		if err := step.RunAll(); err != nil {
			t.Fatal(err)
		}
		if loss[i], err = step.Loss(); err != nil {
			t.Fatal(err)
		}
		if err := step.Sync(); err != nil {
			t.Fatal(err)
		}
		moved[i] = slices.Concat(nn.Values[float64](actor.Free())...)
	}
	if loss[0] != loss[1] || slices.Equal(moved[0], moved[1]) {
		t.Errorf("losses %v, want the same; gradients are other ones: %v", loss, !slices.Equal(moved[0], moved[1]))
	}
	c := smallPlan
	c.Backprop = c.Iterations + 1
	if _, err := c.withDefaults(); err == nil || !strings.Contains(err.Error(), "backprop") {
		t.Errorf("error %v", err)
	}
}

// TestFrozen: what is frozen is not among the free parameters.
func TestFrozen(t *testing.T) {
	for _, c := range []struct {
		frozen Frozen
		want   string
	}{
		{Frozen{Reward: true, Transition: true}, "actions"},
		{Frozen{Decoder: true, Transition: true}, "reward"},
		{Frozen{Decoder: true, Reward: true}, "transition"},
	} {
		_, p, _, _ := smallController(t, c.frozen)
		for _, name := range p.Free().Names() {
			if !strings.HasPrefix(name, c.want+"/") {
				t.Errorf("%+v: %s is free", c.frozen, name)
			}
		}
		if len(p.Free()) == 0 {
			t.Errorf("%+v: nothing is free", c.frozen)
		}
	}
	_, _, m, d := smallController(t, Frozen{})
	if _, err := NewController(smallPlan, m, d, Frozen{true, true, true}); err == nil {
		t.Error("a controller of which all is frozen")
	}
	other := smallPlan
	other.Horizon = 4
	if _, err := NewController(other, m, d, Frozen{}); err == nil || !strings.Contains(err.Error(), "3 steps") {
		t.Errorf("error %v, want one about the decoder's steps", err)
	}
	other.Kind = "abacus"
	if _, err := NewActionDecoder(G.NewGraph(), other, 1, tensor.Float64, 1); err == nil ||
		!strings.Contains(err.Error(), "abacus") {
		t.Errorf("error %v", err)
	}
}

// TestControllerRows: an action is a function of its own row's state and noise, and of nothing else.
func TestControllerRows(t *testing.T) {
	g, p, _, _ := smallController(t, Frozen{})
	rows, k := draw(3, 0, 4*7), p.Actor.Noise()
	noise := draw(5, 0, 4*k)
	copy(rows[14:], rows[:7]) // the third row is the first one; the fourth differs by noise of the last iteration
	copy(rows[21:], rows[:7])
	copy(noise[2*k:3*k], noise)
	copy(noise[3*k:4*k-1], noise)
	u, err := p.Actor.Act(train.Input(g, "x", rows, 4, 7), train.Input(g, "noise", noise, 4, k))
	if err != nil {
		t.Fatal(err)
	}
	vm, err := engine.NewVM(g, engine.Outputs(u))
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	v := numbers(u.Value())
	if !slices.Equal(v[:2], v[4:6]) || slices.Equal(v[:2], v[2:4]) || slices.Equal(v[:2], v[6:]) {
		t.Errorf("actions %v, want the first and the third row alike, and no others", v)
	}
	x := train.Input(g, "y", rows, 4, 7)
	for _, noise := range []*G.Node{nil, train.Input(g, "less", noise[:4*k-4], 4, k-1)} {
		if _, err := p.Actor.Act(x, noise); err == nil || !strings.Contains(err.Error(), "noise") {
			t.Errorf("error %v, want one about the noise", err)
		}
	}
}

// TestPlanners: CEM finds plans whose imagined reward is beyond that of every constant one, latent DCEM some that are
// better than 0.
func TestPlanners(t *testing.T) {
	g := G.NewGraph()
	m, err := NewRSSM(g, RSSMConfig{Obs: 3, Act: 1, Deter: 8, Stoch: 3, Hidden: 16, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Params() { // start values that make actions matter
		for _, v := range nn.Values[float32](nn.Params{p}) {
			for i := range v {
				v[i] *= 2
			}
		}
	}
	const n, horizon = 2, 4
	start := train.Convert[float32](draw(1, 0, n*11))
	constant := func(u float32) []float64 {
		g := G.NewGraph()
		m, err := m.Share(g)
		if err != nil {
			t.Fatal(err)
		}
		_, sum, err := m.Imagined(train.Input(g, "x", start, n, 11), train.Input(g, "u", slices.Repeat([]float32{u}, n*horizon), n,
			horizon))
		if err != nil {
			t.Fatal(err)
		}
		vm, err := engine.NewVM(g, engine.Outputs(sum))
		if err != nil {
			t.Fatal(err)
		}
		defer vm.Close()
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		return train.Convert[float64](sum.Value().Data().([]float32))
	}
	for _, kind := range planners {
		c, err := PlannerConfig{Kind: kind, Horizon: horizon, Samples: 200, Elites: 20, Hidden: []int{16}}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		own := G.NewGraph()
		d, err := NewActionDecoder(own, c, 1, tensor.Float32, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range nn.Values[float32](d.Params()) {
			for i := range v {
				v[i] *= 4
			}
		}
		p, err := newPlanner("engine", c, m, d, n, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer p.vm.Close()
		noHost(t, p.vm.(*engine.VM))
		copy(p.x, start)
		action := make([]float32, n)
		if err := p.plan(1, action); err != nil {
			t.Fatal(err)
		}
		got := p.reward.Value().Data().([]float32)
		for i := range n {
			if action[i] != p.u.Value().Data().([]float32)[i*horizon] || !(math.Abs(float64(action[i])) <= 1) {
				t.Errorf("%s: action %v is not the first of %v", kind, action[i], p.u.Value())
			}
			worst := math.Inf(-1)
			compared := []float32{-1, -0.5, 0, 0.5, 1}
			if kind == LatentDCEM { // a decoder with its start values does not have all plans
				compared = compared[2:3]
			}
			for _, u := range compared {
				worst = max(worst, constant(u)[i])
			}
			if !(float64(got[i]) >= worst-1e-3) {
				t.Errorf("%s: problem %d: a plan of reward %v, a constant one has %v", kind, i, got[i], worst)
			}
		}
	}
}
