// Package mismatch shows that dynamics which fit the data best are not those that control best: a small net is fitted
// to transitions of a pendulum by likelihood, with most of what it has to say about numbers that do not matter, and
// then tuned through the controller on what its plans cost.
package mismatch

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Kind is the program's name, in its checkpoints too.
const Kind = "mismatch"

// Config is the configuration of the program.
type Config struct {
	Seed        uint64 `json:"seed" help:"seed of all that is random: the same seed gives the same run, bit for bit"`
	Transitions int    `json:"transitions" help:"random transitions to learn from"`
	Irrelevant  int    `json:"irrelevant" help:"numbers in the state that have nothing to do with the pendulum"`
	Hidden      int    `json:"hidden" help:"hidden units of the net"`
	States      int    `json:"states" help:"initial states, not seen before, from which both nets are judged"`

	Fit      int     `json:"fit" help:"updates by likelihood, each on all transitions"`
	FitRate  float64 `json:"fit_rate" help:"learning rate of Adam in those"`
	Tune     int     `json:"tune" help:"updates through the controller"`
	TuneRate float64 `json:"tune_rate" help:"learning rate of Adam in those"`
	Batch    int     `json:"batch" help:"states of the data that such an update plans from"`
	Clip     float64 `json:"clip" help:"norm to which the gradient of such an update is clipped; 0: not at all"`

	Horizon     int     `json:"horizon" help:"steps of a plan"`
	Samples     int     `json:"samples" help:"samples per iteration"`
	Elites      int     `json:"elites" help:"elite samples"`
	Iterations  int     `json:"iterations" help:"iterations of a plan"`
	Temperature float64 `json:"temperature" help:"tau of the soft choice of elites; smaller: closer to CEM"`

	Machine         string `json:"vm" help:"what runs the graphs: engine (compiled) or tape (Gorgonia's TapeMachine)"`
	CheckpointEvery int    `json:"checkpoint_every" help:"updates between checkpoints" resume:"free"`
	Figures         bool   `json:"figures" help:"draw the figures and the report at the end" resume:"free"`
}

// Default returns the configuration that the program has without flags.
func Default() Config {
	return Config{
		Transitions: 500, Irrelevant: 4, Hidden: 16, States: 200, Fit: 3000, FitRate: 0.01, Tune: 400, TuneRate: 3e-3, Batch: 16, Clip: 1,
		Horizon: 15, Samples: 100, Elites: 10, Iterations: 5, Temperature: 0.5, Machine: train.Engine, CheckpointEvery: 100, Figures: true,
	}
}

// Validate returns an error that names the first field that is out of its range.
func (c Config) Validate() error {
	if err := cmp.Or(
		run.Within("transitions", c.Transitions, 1, 100_000),
		run.Within("irrelevant", c.Irrelevant, 0, 100),
		run.Within("hidden", c.Hidden, 1, 4096),
		run.Within("states", c.States, 2, 10_000),
		run.Within("fit", c.Fit, 1, 1_000_000),
		run.Within("tune", c.Tune, 1, 1_000_000),
		run.Within("batch", c.Batch, 1, c.Transitions),
		run.Within("horizon", c.Horizon, 1, 100),
		run.Within("samples", c.Samples, 2, 10_000),
		run.Within("elites", c.Elites, 1, c.Samples),
		run.Within("iterations", c.Iterations, 1, 50),
		run.Within("checkpoint_every", c.CheckpointEvery, 1, 1_000_000),
	); err != nil {
		return err
	}
	if n := c.Samples * max(c.Batch, c.States); n > 2_000_000 {
		return fmt.Errorf("samples times batch or states is %d, want at most 2000000", n)
	}
	if err := cmp.Or(
		run.Within("fit_rate", c.FitRate, 1e-9, 10),
		run.Within("tune_rate", c.TuneRate, 1e-9, 10),
		run.Within("clip", c.Clip, 0, 1e6),
		run.Within("temperature", c.Temperature, 1e-6, 1e6),
	); err != nil {
		return err
	}
	return run.OneOf("vm", c.Machine, train.Machines)
}

// The pendulum's part of the state comes first.
var (
	system   env.Env = env.Pendulum{}
	relevant         = system.StateDim()
)

func (c Config) stateDim() int { return relevant + c.Irrelevant }

// data are transitions: states (n, S), controls (n, 1), next states (n, S), flat.
type data struct{ x, u, next []float32 }

// states draws initial states: any angle, some velocity; the rest is normal.
func (c Config) drawStates(r *rand.Rand, n int) []float64 {
	x := make([]float64, n*c.stateDim())
	for i := range n {
		row := x[i*c.stateDim() : (i+1)*c.stateDim()]
		row[1], row[0] = math.Sincos(2 * math.Pi * r.Float64())
		row[2] = 6 * (2*r.Float64() - 1)
		for j := relevant; j < len(row); j++ {
			row[j] = r.NormFloat64()
		}
	}
	return x
}

// step is the truth: the pendulum, and beside it numbers that it drives, far and fast, and that act on nothing.
func (c Config) step(next, x []float64, u float64) {
	theta, spin := math.Atan2(x[1], x[0]), x[2]
	system.StepGo(next[:relevant], x[:relevant], []float64{u}, nil)
	for j := range x[relevant:] {
		next[relevant+j] = 2 * math.Sin(float64(j+2)*theta+spin/2+float64(j))
	}
}

func (c Config) transitions() data {
	r := rand.New(rand.NewPCG(c.Seed, 0x1d47a))
	n, s := c.Transitions, c.stateDim()
	x := c.drawStates(r, n)
	d := data{x: make([]float32, n*s), u: make([]float32, n), next: make([]float32, n*s)}
	_, upper := system.Bounds()
	next := make([]float64, s)
	for i := range n {
		u := upper[0] * (2*r.Float64() - 1)
		c.step(next, x[i*s:(i+1)*s], u)
		d.u[i] = float32(u)
		for j := range next {
			d.x[i*s+j], d.next[i*s+j] = float32(x[i*s+j]), float32(next[j])
		}
	}
	return d
}

// judged are the initial states that both nets are judged from.
func (c Config) judged() []float32 {
	x := c.drawStates(rand.New(rand.NewPCG(c.Seed, 0x7e57)), c.States)
	all := make([]float32, len(x))
	for i, v := range x {
		all[i] = float32(v)
	}
	return all
}

// newNet adds the net: (x, u) -> the change of x.
func (c Config) newNet(g *G.ExprGraph) (*nn.MLP, error) {
	s := c.stateDim()
	return nn.NewMLP(g, nn.MLPConfig{Name: "dynamics", Sizes: []int{s + system.ControlDim(), c.Hidden, s}, Activation: nn.Tanh,
		Seed: c.Seed})
}

// predict is the next state by the net, (B, S).
func predict(net *nn.MLP, x, u *G.Node) (*G.Node, error) {
	both, err := G.Concat(1, x, u)
	if err != nil {
		return nil, err
	}
	change, err := net.Forward(both)
	if err != nil {
		return nil, err
	}
	return G.Add(x, change)
}

// pendulumPart is the part of the state that matters, (B, 3).
func pendulumPart(x *G.Node) (*G.Node, error) { return G.Slice(x, nil, G.S(0, relevant)) }

// planned is a plan by the net from x0 (B, S) and what it costs the pendulum, (B).
func (c Config) planned(g *G.ExprGraph, net *nn.MLP, x0 *G.Node) (p *dcem.Planned, cost *G.Node, err error) {
	lower, upper := system.Bounds()
	model := dcem.Model{
		States: c.stateDim(), Controls: system.ControlDim(),
		Dynamics: func(_ int, x, u *G.Node) (*G.Node, error) { return predict(net, x, u) },
		Cost: func(_ int, x, u *G.Node) (*G.Node, error) {
			part, err := pendulumPart(x)
			if err != nil {
				return nil, err
			}
			return system.Cost(part, u, nil)
		},
	}
	p, err = dcem.Plan(g, x0, model, dcem.PlanConfig{
		Config: dcem.Config{Batch: x0.Shape()[0], Samples: c.Samples, Elites: c.Elites, Iterations: c.Iterations,
			Temperature: c.Temperature, Sigma: upper, Lower: lower, Upper: upper, Seed: c.Seed, Dtype: tensor.Float32},
		Horizon: c.Horizon,
	})
	if err != nil {
		return nil, nil, err
	}
	start, err := pendulumPart(x0)
	if err != nil {
		return nil, nil, err
	}
	_, cost, err = env.Rollout(system, start, p.Controls, nil, env.Options{})
	return p, cost, err
}
