package embed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// tiny is a configuration whose update takes some milliseconds.
func tiny(method string) Config {
	c := Default()
	c.Method, c.Hidden, c.Horizon, c.Samples, c.Elites, c.Iterations = method, []int{8, 8}, 6, 12, 3, 3
	c.Batch, c.States, c.Episodes, c.Episode, c.Patience = 3, 5, 3, 6, 1
	c.Updates, c.ValidateEvery, c.CheckpointEvery, c.Figures = 20, 4, 3, false
	return c
}

func open(t *testing.T, c Config) Task {
	t.Helper()
	noError(t, c.Validate())
	task, err := NewTask(c)
	noError(t, err)
	t.Cleanup(func() { task.Close() })
	return task
}

// The gradient of the loss through the whole search, against finite differences of the loss; that of the best plans,
// against those of the costs of their latents.
func TestGradient(t *testing.T) {
	for _, v := range []struct{ method, learn string }{{DCEM, Mean}, {GD, Mean}, {DCEM, Best}} {
		method := v.method
		c := tiny(method)
		c.Float64, c.Hidden, c.Horizon, c.Iterations = true, []int{3, 2}, 3, 2
		c.Backprop, c.GDBackprop, c.Learn = 0, 0, v.learn
		d, s, loss, err := newProblem[float64](c)
		noError(t, err)
		for _, v := range nn.Values[float64](d.Params()) {
			for i := range v { // biases of 0 would put the middle of the square on the kinks of ELU's derivative
				v[i] += 0.05 * float64(1+i%3)
			}
		}
		grads, err := autodiff.Gradients(loss, d.Params().Nodes()...)
		noError(t, err)
		vm, err := train.NewVM(c.Machine, loss.Graph(), append(grads, loss)...)
		noError(t, err)
		t.Cleanup(func() { vm.Close() })
		evaluate := func() float64 {
			if s.run != nil {
				noError(t, G.Let(s.run, int64(3)))
			}
			defer vm.Reset()
			noError(t, vm.RunAll())
			return loss.Value().Data().(float64)
		}
		evaluate()
		if v.learn == Best {
			evaluate = heldCosts(t, c, d)
		}
		var flat, got []float64
		values := nn.Values[float64](d.Params())
		for i, v := range values {
			flat = append(flat, v...)
			got = append(got, floats(grads[i].Value())...)
		}
		want := check.Gradient(func(p []float64) float64 {
			for _, v := range values {
				p = p[copy(v, p):]
			}
			return evaluate()
		}, flat, 1e-5)
		// The four-point rule loses 1e-16/1e-5 of a loss of some units to rounding.
		check.Close(t, method, got, want, 1e-7)
		if norm(want) == 0 {
			t.Error("the gradient is 0: nothing was compared")
		}
	}
}

// heldCosts gives the mean cost of the latents that the search from the first update's states answers with now.
func heldCosts(t *testing.T, c Config, d *Decoder) func() float64 {
	c.Answer = Best
	p, err := newPlanner[float64](c, d, c.Batch, false)
	noError(t, err)
	defer p.close()
	x0 := c.trainingStates(1)
	plan, err := p.plan(x0, 3)
	noError(t, err)
	var of []*surveyor[float64]
	for i := range c.Batch {
		s, err := newSurveyor[float64](c, d, plan.Z[2*i:2*i+2])
		noError(t, err)
		t.Cleanup(func() { s.close() })
		of = append(of, s)
	}
	return func() (sum float64) {
		for i, s := range of {
			cost, err := s.survey(x0[5*i : 5*i+5])
			noError(t, err)
			sum += cost[0] / float64(c.Batch)
		}
		return sum
	}
}

// The best answer is the candidate of least cost over all iterations, which the mean of the last does not reach.
func TestAnswerBest(t *testing.T) {
	for _, machine := range train.Machines {
		c := tiny(DCEM)
		c.Machine, c.Float64, c.Hidden, c.States = machine, true, []int{4}, 20
		x0, from := c.judgedStates(), make([]int, c.Iterations)
		costs := map[string][]float64{}
		for _, c.Answer = range answers {
			task := open(t, c)
			p, err := task.Planner(c.States, true)
			noError(t, err)
			defer p.Close()
			plan, err := p.Plan(x0, 9)
			noError(t, err)
			costs[c.Answer] = plan.Cost
			if c.Answer == Mean {
				continue
			}
			for i := range c.States {
				var z []float64 // all that was tried for problem i
				for _, tried := range plan.Tried {
					z = append(z, tried.X[i*2*c.Samples:(i+1)*2*c.Samples]...)
				}
				if len(z) != 2*c.Samples*c.Iterations {
					t.Fatalf("%d numbers were tried, want %d", len(z), 2*c.Samples*c.Iterations)
				}
				all, err := task.Survey(z, x0[5*i:5*i+5])
				noError(t, err)
				least := slices.Index(all, slices.Min(all))
				from[least/c.Samples]++
				check.Close(t, "cost", plan.Cost[i:i+1], all[least:least+1], 1e-12) // rounding of costs of some units
				check.Close(t, "z", plan.Z[2*i:2*i+2], z[2*least:2*least+2], 0)
			}
		}
		if slices.Contains(from, 0) {
			t.Errorf("%s: by iteration %v problems have their best plan there, want some in each", machine, from)
		}
		if !(mean(costs[Best]) < mean(costs[Mean])) {
			t.Errorf("%s: the best plans cost %v, the means %v", machine, mean(costs[Best]), mean(costs[Mean]))
		}
	}
}

// Both methods learn: the cost of validations falls far below that of the decoder at the start.
func TestLearns(t *testing.T) {
	for _, v := range []struct {
		method string
		double bool
	}{{DCEM, false}, {DCEM, true}, {GD, false}} {
		t.Run(fmt.Sprint(v.method, v.double), func(t *testing.T) {
			t.Parallel()
			c := tiny(v.method)
			c.Float64, c.Rate, c.Hidden, c.Batch, c.Patience = v.double, 5e-3, []int{16, 16}, 8, 0
			task := open(t, c)
			start, _, err := task.Validate(0)
			noError(t, err)
			best := start
			for step := 1; step <= 100; step++ {
				_, err := task.Step(context.Background(), step)
				noError(t, err)
				if step%10 == 0 {
					score, _, err := task.Validate(step)
					noError(t, err)
					best = min(best, score)
				}
			}
			t.Logf("%.3f -> %.3f", start, best)
			if !(best < start-0.2) {
				t.Errorf("mean cost from %v to %v, want 0.2 less", start, best)
			}
		})
	}
}

// Plans keep to the bounds, cost what simulating them costs, and lead where simulating leads; and what was tried
// lies in the square.
func TestPlan(t *testing.T) {
	for _, machine := range train.Machines {
		for _, method := range []string{DCEM, GD} {
			c := tiny(method)
			c.Machine, c.Float64, c.Hidden = machine, true, []int{4}
			task := open(t, c)
			p, err := task.Planner(c.States, true)
			noError(t, err)
			defer p.Close()
			x0 := c.judgedStates()
			plan, err := p.Plan(x0, 9)
			noError(t, err)
			if len(plan.Z) != 2*c.States || len(plan.U) != c.States*c.Horizon || len(plan.States) != c.Horizon+1 {
				t.Fatalf("%d latents, %d controls and %d states, want %d, %d and %d", len(plan.Z), len(plan.U),
					len(plan.States), 2*c.States, c.States*c.Horizon, c.Horizon+1)
			}
			for i := range c.States {
				u := plan.U[i*c.Horizon : (i+1)*c.Horizon]
				states, cost, err := env.RolloutGo(c.system(), x0[5*i:5*i+5], u, nil, env.Options{})
				noError(t, err)
				check.Close(t, "cost", plan.Cost[i:i+1], []float64{cost}, 1e-12)
				for s := range plan.States {
					check.Close(t, "state", plan.States[s][5*i:5*i+5], states[5*s:5*s+5], 1e-12)
				}
			}
			outside := func(lower, upper float64) func(float64) bool {
				return func(v float64) bool { return !(v >= lower && v <= upper) }
			}
			if slices.ContainsFunc(plan.U, outside(-100, 100)) {
				t.Error("a force is beyond its bounds")
			}
			if want := map[string]int{DCEM: c.Iterations, GD: c.Iterations + 1}[method]; len(plan.Tried) != want {
				t.Errorf("%s: %d iterations, want %d", method, len(plan.Tried), want)
			}
			for _, tried := range plan.Tried {
				if slices.ContainsFunc(tried.X, outside(-1, 1)) {
					t.Error("a latent is outside of the square")
				}
			}
			// The survey of what was found is what it costs.
			got, err := task.Survey(plan.Z[:2], x0[:5])
			noError(t, err)
			check.Close(t, "survey", got, plan.Cost[:1], 1e-12)
			if _, err := p.Plan(x0[1:], 0); err == nil {
				t.Error("states of another size give no error")
			}
		}
	}
}

// The loss of an update is the mean cost of plans from that update's own states and noise.
func TestLoss(t *testing.T) {
	for _, method := range []string{DCEM, GD} {
		c := tiny(method)
		c.Float64 = true
		for _, step := range []int{1, 2, 7} {
			task := open(t, c)
			p, err := task.Planner(c.Batch, false)
			noError(t, err)
			defer p.Close()
			plan, err := p.Plan(c.trainingStates(step), uint64(step))
			noError(t, err)
			m, err := task.Step(context.Background(), step)
			noError(t, err)
			check.Close(t, fmt.Sprint(method, step), []float64{m.Loss}, []float64{mean(plan.Cost)}, 1e-12)
			other, err := p.Plan(c.trainingStates(step), uint64(step))
			noError(t, err)
			if slices.Equal(other.Cost, plan.Cost) {
				t.Errorf("%s: an update has not changed the plans", method)
			}
		}
	}
}

// States along closed loops are those that the first controls of the updates' plans lead to, and they take the place of
// as many random ones; a cart that is lost, and a loop that has had its steps, begin anew.
func TestAlong(t *testing.T) {
	c := tiny(DCEM)
	c.Float64, c.Along, c.Episode = true, 2, 100
	task := open(t, c)
	p, err := task.Planner(c.Batch, false)
	noError(t, err)
	defer p.Close()
	x0 := c.trainingStates(1)
	for step := 1; step <= 3; step++ {
		plan, err := p.Plan(x0, uint64(step))
		noError(t, err)
		m, err := task.Step(context.Background(), step)
		noError(t, err)
		check.Close(t, fmt.Sprint("loss ", step), []float64{m.Loss}, []float64{mean(plan.Cost)}, 1e-12)
		next := c.trainingStates(step + 1)
		for i := range c.Along {
			env.Cartpole{}.StepGo(next[5*i:5*i+5], x0[5*i:5*i+5], plan.U[i*c.Horizon:i*c.Horizon+1], nil)
		}
		x0 = next
	}
	w := walkers{at: []float64{9, 0, 1, 0, 0, 1, 2, 1, 0, 0}}
	for _, v := range []struct {
		step int
		at   []float64
		kept []bool
	}{{1, w.at, []bool{false, true}}, {50, w.at, []bool{false, false}}, {100, []float64{1, 0, 1, 0, 0, 1, math.NaN(), 1, 0, 0},
		[]bool{false, false}}, {101, []float64{1, 0, 1, 0, 0, 1, math.NaN(), 1, 0, 0}, []bool{true, false}}} {
		random := c.trainingStates(7)
		x0 := slices.Clone(random)
		(&walkers{at: v.at}).put(c, x0, v.step)
		for i, kept := range v.kept {
			want := random
			if kept {
				want = v.at
			}
			if !slices.Equal(x0[5*i:5*i+5], want[5*i:5*i+5]) {
				t.Errorf("step %d: walker %d is at %v, want %v", v.step, i, x0[5*i:5*i+5], want[5*i:5*i+5])
			}
		}
		if !slices.Equal(x0[10:], random[10:]) {
			t.Error("a random state beside the walkers has changed")
		}
	}
}

// Columns whose bounds differ are scaled each by its own.
type twoForces struct{ env.Cartpole }

func (twoForces) ControlDim() int                  { return 2 }
func (twoForces) Bounds() (lower, upper []float64) { return []float64{-1, 10}, []float64{3, 30} }

func TestDecoderBounds(t *testing.T) {
	g := G.NewGraph()
	d, err := NewDecoder(g, DecoderConfig{Env: twoForces{}, Latent: 3, Hidden: []int{7}, Horizon: 4,
		Dtype: tensor.Float64})
	noError(t, err)
	z := G.NodeFromAny(g, dense(tensor.Float64, []float64{1, -2, 0.5, -60, 70, 80}, 2, 3), G.WithName("z"))
	u, err := d.Decode(z)
	noError(t, err)
	share, err := d.net.Forward(z)
	noError(t, err)
	vm, err := train.NewVM(train.Engine, g, u, share)
	noError(t, err)
	defer vm.Close()
	noError(t, vm.RunAll())
	if s := u.Shape(); !s.Eq(tensor.Shape{2, 4, 2}) {
		t.Fatalf("plans of shape %v, want (2,4,2)", s)
	}
	want := floats(share.Value())
	for i, v := range want {
		want[i] = []float64{-1, 10}[i%2] + v*[]float64{4, 20}[i%2]
	}
	check.Close(t, "u", floats(u.Value()), want, 1e-13)
}

// States are functions of seed and draw, lie where Reset says, and those of validation, judging and training differ.
func TestStates(t *testing.T) {
	c := Default().Filled()
	a, b := c.validationStates(), c.judgedStates()
	if !slices.Equal(a, c.validationStates()) || slices.Equal(a, b) ||
		slices.Equal(c.trainingStates(1), c.trainingStates(2)) {
		t.Error("states do not depend on the draw and the update alone")
	}
	c.Seed = 5
	if !slices.Equal(a, c.validationStates()) {
		t.Error("the states of validations depend on the seed")
	}
	for i := 0; i < len(a); i += 5 {
		x := a[i : i+5]
		if i > 0 && slices.Equal(x, a[:5]) {
			t.Errorf("state %d is state 0", i/5)
		}
		if math.Abs(x[0]) > 0.5 || math.Abs(x[1]) > 0.5 || math.Abs(x[4]) > 1 ||
			math.Abs(math.Hypot(x[2], x[3])-1) > 1e-15 {
			t.Errorf("state %v", x)
		}
	}
}

// The expert finds better plans than no force, and more of it better ones.
func TestExpert(t *testing.T) {
	c := tiny(DCEM)
	c.Horizon = 10
	x0 := c.judgedStates()
	still, err := meanCost(c.system(), x0, make([]float64, c.States*c.Horizon))
	noError(t, err)
	var costs []float64
	for _, x := range []Expert{{"", 60, 12, 4}, {"", 200, 20, 15}} {
		v, best, err := x.Plan(context.Background(), c, x0)
		noError(t, err)
		costs = append(costs, mean(v))
		if !(mean(best) <= mean(v)) {
			t.Errorf("the best plans cost %v, the means of the last iteration %v", mean(best), mean(v))
		}
	}
	if !(costs[1] < costs[0] && costs[0] < still) {
		t.Errorf("mean costs %v, without force %v", costs, still)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, _, err := (Expert{"", 60, 12, 4}).Plan(ctx, c, x0); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was cancelled", err)
	}
}

var errCut = errors.New("cut")

// cut fails at an update, as a kill would.
type cut struct {
	Task
	at int
}

// Ended makes a cut task a run.Ender, as the task is.
func (c *cut) Ended(step int) (bool, error) { return c.Task.(run.Ender).Ended(step) }

func (c *cut) Step(ctx context.Context, step int) (run.StepMetrics, error) {
	if step == c.at {
		return run.StepMetrics{}, errCut
	}
	return c.Task.Step(ctx, step)
}

// A run that was cut and resumed ends in the same bits as one left alone: on both machines, in both types.
func TestResume(t *testing.T) {
	for _, v := range []struct {
		method, machine string
		double          bool
		halvings        int
	}{{DCEM, train.Engine, false, 0}, {DCEM, train.Tape, true, 0}, {GD, train.Engine, true, 0}, {DCEM, train.Engine, false, 1}} {
		c := tiny(v.method)
		c.Machine, c.Float64, c.Halvings = v.machine, v.double, v.halvings
		if v.halvings > 0 { // a rate at which nothing gets better: it ends after validations 1, 2 and 3
			c.Answer, c.Learn, c.Along, c.Rate = Best, Best, 2, 1e-12
		}
		if v.machine == train.Tape {
			c.Updates, c.Hidden = 10, []int{4}
		}
		whole, parts := t.TempDir(), t.TempDir()
		part := func(dir string, at int, resume bool) {
			task := open(t, c)
			got, err := run.Train(context.Background(), &cut{task, at}, run.Options{Steps: c.Updates,
				CheckpointEvery: c.CheckpointEvery, ValidateEvery: c.ValidateEvery, Out: dir, Resume: resume, Config: &c,
				Progress: run.ProgressOptions{Silent: true}})
			if at > 0 && !errors.Is(err, errCut) || at == 0 && err != nil {
				t.Fatal(err)
			}
			if want := 3 * c.ValidateEvery; v.halvings > 0 && at == 0 && got.Step != want {
				t.Errorf("%v: ended at %d, want %d", v, got.Step, want)
			}
		}
		part(whole, 0, false)
		part(parts, 5, false)
		part(parts, 9, true)
		part(parts, 0, true)
		part(parts, 0, true)
		for _, name := range []string{run.CheckpointFile, run.BestFile} {
			a, err := os.ReadFile(filepath.Join(whole, name))
			noError(t, err)
			b, err := os.ReadFile(filepath.Join(parts, name))
			noError(t, err)
			if !bytes.Equal(a, b) {
				t.Errorf("%v: %s differs from that of the run left alone", v, name)
			}
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	task := open(t, tiny(DCEM))
	c := run.NewCheckpoint(Kind, 0)
	noError(t, task.Save(c))
	other := open(t, tiny(GD))
	if err := other.Load(c); err == nil || !strings.Contains(err.Error(), "method dcem") {
		t.Errorf("error %v, want one that names the method", err)
	}
	wide := tiny(DCEM)
	wide.Hidden = []int{8, 9}
	if err := open(t, wide).Load(c); err == nil {
		t.Error("a decoder of another size was loaded")
	}
}
