package rl

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// linearPair is a policy a ~ N(w x, std^2) and a value v x, in float64, with the loss of four steps.
func linearPair(t *testing.T, c PPOConfig, w, v, std float64, x ppoValues) *ppoLoss {
	t.Helper()
	g := G.NewGraph()
	net := func(name string, weight float64) *Net {
		n, err := NewNet(g, NetConfig{Name: name, In: 1, Out: 1, Hidden: []int{}, Dtype: tensor.Float64})
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range []float64{weight, 0} {
			nn.Values[float64](n.Params())[i][0] = v
		}
		return n
	}
	actor := net("actor", w)
	p, err := NewPolicy(g, actor, 1, std, false)
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.WithDefaults().loss(p, net("value", v), ppoBatch{
		obs: train.Input(g, "obs", x.obs, 4, 1), action: train.Input(g, "action", x.action, 4, 1), old: train.Input(g, "old", x.old, 4),
		advantage: train.Input(g, "advantage", x.advantage, 4), target: train.Input(g, "target", x.target, 4),
		before: train.Input(g, "before", x.before, 4)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

type ppoValues struct{ obs, action, old, advantage, target, before []float64 }

// TestLoss: each term by hand. With std = 1 and actions equal to the mean log pi is -log(2 pi)/2, so that old ones
// that are less by log 2, 0, -log 2 and log 4 make ratios of 2, 1, 1/2 and 4.
func TestLoss(t *testing.T) {
	at := -0.5 * math.Log(2*math.Pi)
	x := ppoValues{obs: []float64{1, 2, 3, 4}, action: []float64{2, 4, 6, 8},
		old:       []float64{at - math.Ln2, at, at + math.Ln2, at - 2*math.Ln2},
		advantage: []float64{1, 3, -2, -1}, target: []float64{1, 1, 4, 2}, before: []float64{1, 1, 1, 2}}
	values := func(l *ppoLoss) []float64 {
		vm, err := engine.NewVM(l.total.Graph(), engine.Outputs(l.total, l.policy, l.value, l.entropy, l.distance,
			l.clipped))
		if err != nil {
			t.Fatal(err)
		}
		defer vm.Close()
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		var out []float64
		for _, n := range []*G.Node{l.total, l.policy, l.value, l.entropy, l.distance, l.clipped} {
			out = append(out, scalar(n.Value()))
		}
		return out
	}
	// min(r A, clip(r) A): min(2, 1.2), 3, min(-1, -1.6) (clip(1/2) = 0.8), min(-4, -1.2).
	policy := -(1.2 + 3 - 1.6 - 4) / 4
	// V = x/2 = 0.5, 1, 1.5, 2. Unclipped errors: -0.5, 0, -2.5, 0. V within 0.2 of the one before: 0.8, 1, 1.2, 2:
	// errors -0.2, 0, -2.8, 0. The larger squares: 0.25, 0, 7.84, 0.
	value := 0.5 * (0.25 + 7.84) / 4
	plain := 0.5 * (0.25 + 6.25) / 4
	entropy := 0.5 * (1 + math.Log(2*math.Pi))
	// r - 1 - log r at 2, 1, 1/2, 4.
	distance := (1 - math.Ln2 + 0 - 0.5 + math.Ln2 + 3 - 2*math.Ln2) / 4
	got := values(linearPair(t, PPOConfig{Entropy: 0.1}, 2, 0.5, 1, x))
	check.Close(t, "total, policy, value, entropy, KL, clipped", got,
		[]float64{policy + 0.5*value - 0.1*entropy, policy, value, entropy, distance, 0.75}, 1e-14)
	got = values(linearPair(t, PPOConfig{Unclip: true, Value: 2}, 2, 0.5, 1, x))
	check.Close(t, "with the value's change not clipped", got[:3], []float64{policy + 2*plain, policy, plain}, 1e-14)
	// clip(r, 0.5, 1.5): min(2, 1.5), 3, -1, min(-4, -1.5)
	got = values(linearPair(t, PPOConfig{Clip: 0.5}, 2, 0.5, 1, x))
	check.Close(t, "clipped at 0.5", got[1:2], []float64{-(1.5 + 3 - 1 - 4) / 4}, 1e-14)
}

// TestLossGradient: against finite differences, away from the kinks; and where the ratio is clipped and the advantage
// asks for more of it, the policy's gradient is exactly 0.
func TestLossGradient(t *testing.T) {
	x := ppoValues{obs: []float64{1, -2, 0.5, 1.5}, action: []float64{0.3, -0.2, 1, 0.1},
		old: []float64{-1.2, -1.1, -1.4, -0.9}, advantage: []float64{1, -0.5, 2, -1}, target: []float64{1, 2, -1, 0.3},
		before: []float64{0.1, 0.2, 0.3, 0.4}}
	c := PPOConfig{Entropy: 0.1}
	gradient := func(w, v, s float64, x ppoValues) (loss float64, g []float64) {
		l := linearPair(t, c, w, v, math.Exp(s), x)
		graph := l.total.Graph()
		wrt := G.Nodes{graph.ByName("actor/0/w")[0], graph.ByName("value/0/w")[0], graph.ByName("policy/log_std")[0]}
		vm, err := engine.NewVM(graph, engine.WithUpdate(kernels.Optimizer{Method: kernels.Momentum, Rate: 1}, l.total,
			wrt...))
		if err != nil {
			t.Fatal(err)
		}
		defer vm.Close()
		noHost(t, vm)
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		if loss, err = vm.Loss(); err != nil {
			t.Fatal(err)
		}
		if err := vm.Sync(); err != nil {
			t.Fatal(err)
		}
		for i, n := range wrt {
			g = append(g, []float64{w, v, s}[i]-n.Value().Data().([]float64)[0])
		}
		return loss, g
	}
	at := []float64{0.2, 0.4, -0.1}
	_, got := gradient(at[0], at[1], at[2], x)
	want := check.Gradient(func(p []float64) float64 { l, _ := gradient(p[0], p[1], p[2], x); return l }, at, 1e-4)
	check.Close(t, "gradient", got, want, 1e-9) // differences of fourth order over 1e-4
	x.old, x.advantage = []float64{-9, -9, -9, -9}, []float64{1, 1, 1, 1}
	c.Entropy = 0
	// log(exp(s)) is s up to a rounding.
	if _, got = gradient(at[0], at[1], at[2], x); got[0] != 0 || !(math.Abs(got[2]) <= 1e-16) || got[1] == 0 {
		t.Errorf("gradients %v, want 0 for the clipped policy alone", got)
	}
}

// smallPPO is a training on the pendulum of a moment.
func smallPPO(t *testing.T, maker Maker, c Config) *PPO {
	t.Helper()
	g := G.NewGraph()
	actor, err := NewNet(g, NetConfig{Name: "actor", In: 3, Out: 1, Hidden: []int{8}, Seed: c.Seed})
	if err != nil {
		t.Fatal(err)
	}
	value, err := NewNet(g, NetConfig{Name: "value", In: 3, Out: 1, Hidden: []int{8}, Seed: c.Seed})
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPolicy(g, actor, 1, 0.5, false)
	if err != nil {
		t.Fatal(err)
	}
	c.Worlds, c.Length, c.Updates, c.Judge, c.Parts, c.Passes = 4, 25, 8, 3, 4, 2
	task, err := NewPPO(maker, p, value, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := task.Close(); err != nil {
			t.Error(err)
		}
	})
	return task
}

// TestResume: a run that was cut ends in the bits of one that was not.
func TestResume(t *testing.T) {
	for _, rate := range []float64{0, 0.01} {
		c, other := Config{Seed: 3}, Config{Seed: 4}
		c.ValueRate, other.ValueRate, c.Trust, other.Trust = rate, rate, rate, rate
		testResume(t, c, other)
	}
}

func testResume(t *testing.T, c, other Config) {
	t.Helper()
	var ends [][]float32
	for _, cut := range []bool{false, true} {
		o := run.Options{Steps: 4, ValidateEvery: 2, Out: t.TempDir(), Progress: run.ProgressOptions{Silent: true}}
		task := smallPPO(t, Named("pendulum"), c)
		if cut {
			o.Steps = 2
			if _, err := run.Train(context.Background(), task, o); err != nil {
				t.Fatal(err)
			}
			o.Steps, o.Resume = 4, true
			task = smallPPO(t, Named("pendulum"), other) // other start values: all comes from the checkpoint
			task.c.Seed = 3
		}
		out, err := run.Train(context.Background(), task, o)
		if err != nil || out.Step != 4 || out.Skipped != 0 {
			t.Fatal(out, err)
		}
		saved, err := run.Load(filepath.Join(o.Out, run.CheckpointFile), ppoKind)
		if err != nil {
			t.Fatal(err)
		}
		var all []float32
		for _, name := range saved.Arrays() {
			v, _, err := run.ArrayOf[float32](saved, name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, v...)
		}
		ends = append(ends, all)
		if task.EnvSteps() != 400 {
			t.Errorf("%d steps of environments, want 400", task.EnvSteps())
		}
	}
	if !slices.Equal(ends[0], ends[1]) {
		t.Error("the resumed run ends elsewhere")
	}
}

// TestCritic: a value net by itself comes near what it should be, and PPO's own updates leave it alone.
func TestCritic(t *testing.T) {
	c := Config{Seed: 3}
	c.ValueRate, c.ValuePasses = 0.01, 3
	task := smallPPO(t, Named("pendulum"), c)
	losses := []float64{}
	for step := range 8 {
		m, err := task.Step(context.Background(), step+1)
		if err != nil {
			t.Fatal(err)
		}
		losses = append(losses, m.Values["value_loss"])
		if got, want := m.Values["updates"], 8.; step == 0 && got != 0 || step > 0 && got != want {
			t.Errorf("iteration %d: %v updates, want %v, and none in the first", step+1, got, want)
		}
	}
	if !(losses[7] < losses[0]/2) {
		t.Errorf("losses of the value %v, want half at the end", losses)
	}
	for _, name := range task.free().Names() {
		if strings.HasPrefix(name, "value/") {
			t.Errorf("%s is PPO's own", name)
		}
	}
	c.ValueRate = -1
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "value_rate") {
		t.Errorf("error %v", err)
	}
}

// TestFirstRatio: the scorer's log-probabilities are those of the update's graph, so that the first update of an
// iteration has ratios of 1. And one skipped update, of a loss that is not finite, leaves the parameters alone.
func TestFirstRatio(t *testing.T) {
	task := smallPPO(t, Named("pendulum"), Config{PPOConfig: PPOConfig{Rate: 1e-12, Keep: true}})
	m, err := task.Step(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	// Sums in float32, in other orders for other numbers of rows.
	if !(math.Abs(m.Values["kl"]) <= 1e-6) || m.Values["clipped"] != 0 || m.Values["updates"] != 8 {
		t.Errorf("values %v, want a KL of 0 and 8 updates", m.Values)
	}
	before := slices.Clone(nn.Values[float32](task.Params())[0])
	for i := range task.batch.advantage {
		task.batch.advantage[i] = float32(math.NaN())
	}
	_, info, err := task.stepper.Step(1)
	if err != nil || !info.Skipped {
		t.Errorf("%v, %+v: want an update that is skipped", err, info)
	}
	if err := task.stepper.Sync(); err != nil || !slices.Equal(before, nn.Values[float32](task.Params())[0]) {
		t.Errorf("%v: the parameters moved", err)
	}
}

// TestTrainingGoesOnAfterFaults: an environment that fails in every third step costs those steps and nothing else.
func TestTrainingGoesOnAfterFaults(t *testing.T) {
	task := smallPPO(t, faultyMaker("observation"), Config{})
	for step := 1; step <= 2; step++ {
		m, err := task.Step(context.Background(), step)
		if err != nil || m.Skipped || math.IsNaN(m.Loss) || m.Values["faults"] != float64(32*step) {
			t.Errorf("%v, %+v: want a sound update and %d faults", err, m, 32*step)
		}
	}
	r, err := task.Judge(context.Background(), 1)
	if err != nil || r.Faults != 3 || r.Steps != 9 {
		t.Errorf("%v, %+v: want 3 episodes of 3 steps that faults end", err, r)
	}
}

func TestPPOErrors(t *testing.T) {
	g := G.NewGraph()
	actor, err := NewNet(g, NetConfig{Name: "actor", In: 3, Out: 1})
	if err != nil {
		t.Fatal(err)
	}
	value, err := NewNet(g, NetConfig{Name: "value", In: 3, Out: 1})
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPolicy(g, actor, 1, 0.5, true)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Free()); n != 6 {
		t.Errorf("%d free parameters, want 6: the standard deviation is fixed", n)
	}
	for text, c := range map[string]Config{
		"worlds = 0": {Length: 1, Updates: 1, Judge: 1},
		"parts = 32": {Worlds: 3, Length: 1, Updates: 1, Judge: 1},
		"clip is -1": {Worlds: 32, Length: 1, Updates: 1, Judge: 1, PPOConfig: PPOConfig{Clip: -1}},
		"rate is":    {Worlds: 32, Length: 1, Updates: 1, Judge: 1, PPOConfig: PPOConfig{Rate: math.NaN()}},
		"machine":    {Worlds: 32, Length: 1, Updates: 1, Judge: 1, Machine: "abacus"},
	} {
		if _, err := NewPPO(Named("pendulum"), p, value, c); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want one with %q", err, text)
		}
	}
	for _, std := range []float64{0, math.NaN(), math.Inf(1)} {
		if _, err := NewPolicy(g, actor, 1, std, true); err == nil {
			t.Errorf("a standard deviation of %v is taken", std)
		}
	}
	if _, err := NewWorlds(Named("abacus"), 1); err == nil || !strings.Contains(err.Error(), `"abacus"`) {
		t.Errorf("error %v", err)
	}
}

// TestStandIn: steps that failed have no weight in an update, of the policy or of the value: what was seen and done
// in them changes nothing.
func TestStandIn(t *testing.T) {
	status := []env.Status{0, env.Failed, 0, env.Failed, env.Failed}
	order := []int{3, 2, 1, 0, 4}
	if !standIn(order, status) || !slices.Equal(order, []int{2, 2, 0, 0, 2}) {
		t.Errorf("order %v", order)
	}
	if standIn([]int{1, 3, 4}, status) {
		t.Error("steps that failed are used where there are no others")
	}
	for _, rate := range []float64{0, 0.01} { // of a value net by itself
		var ends [2][][]float32
		for i := range ends {
			c := Config{Seed: 3}
			c.Rate, c.Keep, c.ValueRate = 0.01, true, rate
			task := smallPPO(t, Named("pendulum"), c)
			r, err := Collect(context.Background(), task.worlds, task.drawn(2), task.c.Length, 1)
			if err != nil {
				t.Fatal(err)
			}
			r.Status[30] = env.Failed
			if i == 1 {
				r.Action[30] = 0.5
				for j := 90; j < 93; j++ { // of three numbers each
					r.Obs[j] = 1 - 2*r.Obs[j]
				}
			}
			if _, err := task.learn(context.Background(), r, 2, 0.01); err != nil {
				t.Fatal(err)
			}
			if err := task.sync(); err != nil {
				t.Fatal(err)
			}
			for _, v := range nn.Values[float32](task.Params()) {
				ends[i] = append(ends[i], slices.Clone(v))
			}
		}
		if !slices.EqualFunc(ends[0], ends[1], slices.Equal[[]float32]) {
			t.Errorf("with a value rate of %v what failed has weight", rate)
		}
	}
}
