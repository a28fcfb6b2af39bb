package rl

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
)

// shortPendulum has episodes of 15 steps.
func shortPendulum() (env.Task, error) {
	return env.NewEpisodes(env.Pendulum{}, env.EpisodeOptions{Steps: 15})
}

func smallAgentConfig() AgentConfig {
	return AgentConfig{Model: RSSMConfig{Deter: 8, Stoch: 3, Hidden: 8},
		Planner: PlannerConfig{Kind: LatentDCEM, Horizon: 3, Iterations: 2, Samples: 10, Elites: 3, Hidden: []int{8}},
		Seed:    3, First: 2, Collect: 2, Updates: 3, Batch: 4, Length: 5, DecoderBatch: 3, Judge: 2}
}

func smallAgent(t *testing.T, maker Maker, dir string, c AgentConfig) *Agent {
	t.Helper()
	a, err := NewAgent(maker, dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func trainAgent(t *testing.T, a *Agent, out string, steps int, resume bool) error {
	t.Helper()
	_, err := run.Train(context.Background(), a, run.Options{Steps: steps, Out: out, Resume: resume, ValidateEvery: 2,
		CheckpointEvery: 1, Progress: run.ProgressOptions{Silent: true}})
	return err
}

// checkpointArrays is all that a checkpoint holds in arrays.
func checkpointArrays(t *testing.T, out, kind string) map[string][]float32 {
	t.Helper()
	c, err := run.Load(filepath.Join(out, run.CheckpointFile), kind)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]float32{}
	for _, name := range c.Arrays() {
		v, _, err := run.ArrayOf[float32](c, name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = v
	}
	return all
}

// TestAgent: a run goes through, for both planners, with every number finite; its updates have no op on the host; and
// a run whose disk was full for a while, and one that was killed after it had collected more than its checkpoint
// knows, end in the same bits as one that was left alone.
func TestAgent(t *testing.T) {
	whole := t.TempDir()
	a := smallAgent(t, shortPendulum, filepath.Join(whole, "replay"), smallAgentConfig())
	if err := trainAgent(t, a, whole, 3, false); err != nil {
		t.Fatal(err)
	}
	if a.Replay().Len() != 8 || a.Replay().Steps() != 8*15 || a.state.EnvSteps != 8*15 {
		t.Errorf("%d episodes of %d steps, want 8 of 120", a.Replay().Len(), a.Replay().Steps())
	}
	table, err := run.ReadMetrics(filepath.Join(whole, run.MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{"loss", "grad_norm"}, a.Columns()...) {
		if _, v := table.Series(name); len(v) == 0 || notFinite(v) >= 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	want := checkpointArrays(t, whole, agentKind)
	for _, g := range []struct {
		loss   string
		params G.Nodes
	}{{"model", a.model.Params().Nodes()}, {"decoder", a.decoder.Params().Nodes()}} {
		graph := g.params[0].Graph()
		loss := graph.Roots()[0]
		for _, n := range graph.Roots() {
			if n.IsScalar() {
				loss = n
			}
		}
		vm, err := engine.NewVM(graph, engine.WithUpdate(kernels.Optimizer{}, loss, g.params...))
		if err != nil {
			t.Fatal(err)
		}
		noHost(t, vm)
		if err := vm.Close(); err != nil {
			t.Fatal(err)
		}
	}

	// The disk is full when the second phase ends.
	out := t.TempDir()
	dir := filepath.Join(out, "replay")
	a = smallAgent(t, shortPendulum, dir, smallAgentConfig())
	write := a.replay.write
	a.replay.write = func(path string, f func(io.Writer) error) error {
		if a.replay.Len() >= 5 {
			return write(path, func(w io.Writer) error { return f(&fullDisk{w, 100}) })
		}
		return write(path, f)
	}
	if err := trainAgent(t, a, out, 3, false); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v, want that of the full disk", err)
	}
	r, err := OpenReplay(dir, 3, 1)
	if err != nil || r.Len() != 5 {
		t.Fatalf("%v: %d episodes, want the 5 from before", err, r.Len())
	}
	a = smallAgent(t, shortPendulum, dir, smallAgentConfig())
	if err := trainAgent(t, a, out, 3, true); err != nil {
		t.Fatal(err)
	}
	if got := checkpointArrays(t, out, agentKind); !reflect.DeepEqual(got, want) {
		t.Error("after a full disk the run ends elsewhere")
	}
	if a.Replay().Len() != 8 {
		t.Errorf("%d episodes, want 8", a.Replay().Len())
	}

	// A checkpoint that is older than the buffer.
	out = t.TempDir()
	dir = filepath.Join(out, "replay")
	a = smallAgent(t, shortPendulum, dir, smallAgentConfig())
	if err := trainAgent(t, a, out, 1, false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Step(context.Background(), 2); err != nil { // whose checkpoint was not written
		t.Fatal(err)
	}
	a = smallAgent(t, shortPendulum, dir, smallAgentConfig())
	if a.Replay().Len() != 6 {
		t.Fatalf("%d episodes, want 6", a.Replay().Len())
	}
	if err := trainAgent(t, a, out, 3, true); err != nil {
		t.Fatal(err)
	}
	if got := checkpointArrays(t, out, agentKind); !reflect.DeepEqual(got, want) {
		t.Error("after a kill the run ends elsewhere")
	}
	// A buffer that has lost what the checkpoint counts on is an error that says so.
	a = smallAgent(t, shortPendulum, filepath.Join(out, "other"), smallAgentConfig())
	if err := trainAgent(t, a, out, 4, true); !errors.Is(err, run.ErrMismatch) ||
		!strings.Contains(err.Error(), "0 episodes, want the 8") {
		t.Errorf("error %v", err)
	}
}

// TestAgentFaults: an environment that fails in its third steps costs those alone; one that always fails is an error.
func TestAgentFaults(t *testing.T) {
	c := smallAgentConfig()
	c.Planner = PlannerConfig{Kind: FullCEM, Horizon: 2, Iterations: 2, Samples: 8, Elites: 2}
	c.Length = 3
	a := smallAgent(t, func() (env.Task, error) {
		e, err := shortPendulum()
		return &faulty{Task: e, how: "observation"}, err
	}, "", c)
	for step := 1; step <= 2; step++ {
		m, err := a.Step(context.Background(), step)
		if err != nil || m.Skipped || math.IsNaN(m.Loss) || m.Values["faults"] != float64(10+10*step) {
			t.Errorf("%v, %+v", err, m)
		}
	}
	for i := range a.Replay().Len() {
		if e := a.Replay().Episode(i); e.Steps() != 2 || e.Status != env.Failed {
			t.Errorf("episode %d: %d steps, %v, want 2, failed", i, e.Steps(), e.Status)
		}
	}
	if _, err := a.Judge(context.Background(), PlannerConfig{Kind: LatentDCEM}, 1, 1); err == nil {
		t.Error("latent DCEM without a decoder is judged")
	}
	a = smallAgent(t, func() (env.Task, error) {
		e, err := shortPendulum()
		return &faulty{Task: e, how: "failed", t: 2, stay: true}, err
	}, "", c)
	if _, err := a.Step(context.Background(), 1); err == nil || !strings.Contains(err.Error(), "no step") {
		t.Errorf("error %v, want one that says that no step succeeds", err)
	}
}

func TestAgentErrors(t *testing.T) {
	for text, change := range map[string]func(*AgentConfig){
		"updates is -1":   func(c *AgentConfig) { c.Updates = -1 },
		"noise is NaN":    func(c *AgentConfig) { c.Noise = math.NaN() },
		"decoder_barrier": func(c *AgentConfig) { c.DecoderBarrier = math.NaN() },
		"recent is -1":    func(c *AgentConfig) { c.Recent = -1 },
		"batches of 1,":   func(c *AgentConfig) { c.Recent, c.Batch = 2, 1 },
		"bound is -1":     func(c *AgentConfig) { c.Bound = -1 },
		`"abacus"`:        func(c *AgentConfig) { c.Planner.Kind = "abacus" },
		"machine":         func(c *AgentConfig) { c.Machine = "abacus" },
	} {
		c := smallAgentConfig()
		change(&c)
		if _, err := NewAgent(shortPendulum, "", c); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want one with %q", err, text)
		}
	}
}

// TestBound: what the model sees of observations and rewards is cut where Bound says, not before. Speeds that are
// learnt are far beyond those of random actions.
func TestBound(t *testing.T) {
	c := smallAgentConfig()
	for bound, want := range map[float64]float32{0: 10, 50: 40} {
		c.Bound = bound
		a := smallAgent(t, shortPendulum, "", c)
		e := &Episode{Obs: make([]float32, 18), Action: make([]float32, 5), Reward: []float32{20, 20, 20, 20, 20}}
		for i := range e.Obs {
			e.Obs[i] = 40
		}
		if err := a.replay.Append(e); err != nil {
			t.Fatal(err)
		}
		a.state.Episodes, a.state.Reward = 1, 0.5 // 20 is 40 times as much
		if err := a.fill(rand.New(rand.NewPCG(1, 2))); err != nil {
			t.Fatal(err)
		}
		if got := slices.Max(a.batch.Reward); got != want {
			t.Errorf("a bound of %v makes a reward of 40 standard deviations %v, want %v", bound, got, want)
		}
		if got := slices.Max(a.batch.Obs); got != want { // before any episode was seen, mean 0 and deviation 1
			t.Errorf("a bound of %v makes an observation of 40 standard deviations %v, want %v", bound, got, want)
		}
		if got := a.state.Seen.clone().bound(); got != float64(min(50, max(bound, 10))) {
			t.Errorf("a copy of the scale is cut at %v", got)
		}
	}
}

// TestPromises: what plans promise and what is kept, against numbers by hand; and of a run, in the environment's units.
func TestPromises(t *testing.T) {
	p := newPromises(2, 2, 10)
	for _, v := range []float64{1, 2, 4} {
		p.add(0, float32(v), 3*v)
	}
	p.add(1, 100, 100) // ends before a plan does
	if promised, kept := p.means(); promised != (10.0+20)/2 || kept != (9.0+18)/2 {
		t.Errorf("%v promised and %v kept, want 15 and 13.5", promised, kept)
	}
	if promised, kept := newPromises(1, 2, 1).means(); !math.IsNaN(promised) || !math.IsNaN(kept) {
		t.Errorf("%v and %v of nothing, want NaN", promised, kept)
	}
	a := smallAgent(t, shortPendulum, "", smallAgentConfig())
	if _, err := a.Step(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	var worth, rewards []float64 // of the only environment
	r, err := a.judge(context.Background(), a.c.Planner, 1, 5, func(step int, p *pilot) {
		if step >= 0 {
			worth = append(worth, float64(p.planner.promised[0])*a.state.Reward)
			rewards = append(rewards, p.worlds.Reward[0])
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	promised, kept, n := 0.0, 0.0, len(worth)-a.c.Planner.Horizon+1
	for i := range n {
		promised += worth[i] / float64(n)
		kept += (rewards[i] + rewards[i+1] + rewards[i+2]) / float64(n)
	}
	// Sums in another order.
	if n != 12 || !(math.Abs(r.Promised-promised) < 1e-9) || !(math.Abs(r.Kept-kept) < 1e-9) || promised == 0 {
		t.Errorf("%v promised and %v kept over %d decisions, want %v and %v", r.Promised, r.Kept, n, promised, kept)
	}
}

// TestRecent: the decoder's states, and half of the model's, are from the newest episodes of the agent's own.
func TestRecent(t *testing.T) {
	c := smallAgentConfig()
	c.Recent = 2
	a := smallAgent(t, shortPendulum, "", c)
	for i := range 5 {
		e := &Episode{Obs: make([]float32, 18), Action: make([]float32, 5), Reward: make([]float32, 5)}
		for k := range e.Reward {
			e.Reward[k] = float32(i)
		}
		if err := a.replay.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, v := range []struct{ episodes, taken, recent, least int }{{5, 0, 2, 3}, {5, 4, 1, 4}, {4, 4, 0, 0}} {
		a.state.Episodes, a.state.Taken = v.episodes, v.taken
		if got := a.recent(); got != v.recent {
			t.Errorf("%+v: %d recent episodes", v, got)
		}
		seen := map[float32]bool{}
		for range 50 {
			if err := a.fill(rng); err != nil {
				t.Fatal(err)
			}
			for range 20 {
				if row := a.someRow(rng); a.batch.After[row] == 1 {
					seen[a.batch.Reward[row]] = true
				}
			}
		}
		for r := range seen {
			if int(r) < v.least {
				t.Errorf("%+v: a plan begins in episode %v", v, r)
			}
		}
		if len(seen) != v.episodes-v.least {
			t.Errorf("%+v: plans begin in %d episodes, want %d", v, len(seen), v.episodes-v.least)
		}
	}
}

// TestDecoderBarrier: it drives the actions of plans from their bounds.
func TestDecoderBarrier(t *testing.T) {
	size := map[float64]float64{}
	for _, barrier := range []float64{0, 1e4} {
		c := smallAgentConfig()
		c.DecoderBarrier, c.DecoderRate, c.Updates = barrier, 0.02, 30
		a := smallAgent(t, shortPendulum, "", c)
		for _, v := range nn.Values[float32](a.decoder.Params()) {
			for i := range v {
				v[i] *= 4
			}
		}
		if err := a.actions.Restore(kernels.OptimizerState[float32]{}); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Step(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		e, err := a.Judge(context.Background(), a.c.Planner, 1, 3)
		if err != nil || len(e.Each) != 1 {
			t.Fatal(err)
		}
		_, err = a.judge(context.Background(), a.c.Planner, 1, 3, func(step int, p *pilot) {
			if step >= 0 {
				size[barrier] += math.Abs(float64(p.filter.a[0])) / 15
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !(size[1e4] < 0.5*size[0]) {
		t.Errorf("mean absolute actions are %v with a barrier, %v without", size[1e4], size[0])
	}
}

// Plans whose worth is below 0, as where rewards are costs, are known too; those of no agent are not.
func TestPlanned(t *testing.T) {
	for r, want := range map[[2]float64]bool{{-3, -4}: true, {3, 0}: true, {0, 0}: false, {math.NaN(), math.NaN()}: false} {
		if got := (Returns{Promised: r[0], Kept: r[1]}).Planned(); got != want {
			t.Errorf("%v: %v, want %v", r, got, want)
		}
	}
}
