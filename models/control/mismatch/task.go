package mismatch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Task is the training: updates 1 to Fit by likelihood, those after it through the controller. Use [NewTask].
type Task struct {
	c      Config
	data   data
	params nn.Params // as they are at the last Sync
	fitted [][]float32

	fitting bool // the stepper's stage
	stepper train.Stepper[float32]
	x0      []float32 // of a tuning update
	run     *G.Node
}

var _ run.Task = (*Task)(nil)

func input(g *G.ExprGraph, name string, v []float32, shape ...int) *G.Node {
	return G.NodeFromAny(g, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(v)), G.WithName(name))
}

// NewTask builds the graph of the first stage for a valid configuration. Call Close when done.
func NewTask(c Config) (*Task, error) {
	t := &Task{c: c, data: c.transitions()}
	net, err := c.newNet(G.NewGraph())
	if err != nil {
		return nil, err
	}
	t.params = net.Params()
	return t, t.stage(true)
}

// shared is the net in a graph of its own, with t's memory for its parameters.
func (t *Task) shared(g *G.ExprGraph) (*nn.MLP, error) {
	net, err := t.c.newNet(G.NewGraph())
	if err != nil {
		return nil, err
	}
	for i, v := range nn.Values[float32](net.Params()) {
		copy(v, nn.Values[float32](t.params)[i])
	}
	return net.Share(g)
}

// stage compiles the updates of a stage, which go on from the parameters as they are.
func (t *Task) stage(fitting bool) error {
	if t.stepper != nil {
		if err := errors.Join(t.stepper.Sync(), t.stepper.Close()); err != nil {
			return err
		}
		t.stepper = nil
	}
	g := G.NewGraph()
	net, err := t.shared(g)
	if err != nil {
		return err
	}
	c := t.c
	var loss *G.Node
	o := kernels.Optimizer{Rate: c.FitRate}
	if fitting {
		n := c.Transitions
		loss, err = likelihood(net, input(g, "x", t.data.x, n, c.stateDim()), input(g, "u", t.data.u, n, 1),
			input(g, "next", t.data.next, n, c.stateDim()))
	} else {
		o = kernels.Optimizer{Rate: c.TuneRate, ClipNorm: c.Clip}
		t.x0 = make([]float32, c.Batch*c.stateDim())
		var p *dcem.Planned
		var cost *G.Node
		if p, cost, err = c.planned(g, net, input(g, "x0", t.x0, c.Batch, c.stateDim())); err == nil {
			t.run = p.Run
			loss, err = G.Mean(cost)
		}
	}
	if err != nil {
		return err
	}
	t.fitting, t.params = fitting, net.Params()
	t.stepper, err = train.New[float32](c.Machine, o, loss, t.params.Nodes()...)
	return err
}

// likelihood is the mean negative logarithm of the likelihood of a transition, of unit variance and without its
// constant: half the squared distance.
func likelihood(net *nn.MLP, x, u, next *G.Node) (*G.Node, error) {
	guess, err := predict(net, x, u)
	if err != nil {
		return nil, err
	}
	off, err := G.Sub(guess, next)
	if err != nil {
		return nil, err
	}
	if off, err = G.Square(off); err != nil {
		return nil, err
	}
	sum, err := G.Sum(off)
	if err != nil {
		return nil, err
	}
	return G.Mul(sum, G.NewConstant(float32(0.5/float64(x.Shape()[0]))))
}

// Close frees the machine.
func (t *Task) Close() error { return t.stepper.Close() }

// Kind implements run.Task.
func (t *Task) Kind() string { return Kind }

// Columns implements run.Task: nll is the loss of the first stage, cost that of the second.
func (t *Task) Columns() []string { return []string{"nll", "cost"} }

// Step implements run.Task.
func (t *Task) Step(ctx context.Context, step int) (run.StepMetrics, error) {
	if err := ctx.Err(); err != nil {
		return run.StepMetrics{}, err
	}
	fitting := step <= t.c.Fit
	if t.fitting && !fitting {
		if err := t.stepper.Sync(); err != nil {
			return run.StepMetrics{}, err
		}
		t.fitted = nil
		for _, v := range nn.Values[float32](t.params) {
			t.fitted = append(t.fitted, slices.Clone(v))
		}
		if err := t.stage(false); err != nil {
			return run.StepMetrics{}, err
		}
	}
	rate, column := t.c.FitRate, "nll"
	if fitting { // falls to a hundredth over the last third
		if tail := 3*float64(step)/float64(t.c.Fit) - 2; tail > 0 {
			rate *= math.Pow(100, -tail)
		}
	} else {
		rate, column = t.c.TuneRate, "cost"
		r := rand.New(rand.NewPCG(t.c.Seed, 1<<32+uint64(step)))
		s := t.c.stateDim()
		for i := range t.c.Batch {
			j := r.IntN(t.c.Transitions)
			copy(t.x0[i*s:(i+1)*s], t.data.x[j*s:])
		}
		if err := G.Let(t.run, int64(step)); err != nil {
			return run.StepMetrics{}, err
		}
	}
	loss, info, err := t.stepper.Step(rate)
	if err != nil {
		return run.StepMetrics{}, err
	}
	return run.StepMetrics{Loss: loss, GradNorm: info.GradNorm, Skipped: info.Skipped, Values: map[string]float64{column: loss}}, nil
}

// Save implements run.Task.
func (t *Task) Save(c *run.Checkpoint) error {
	for i, v := range t.fitted {
		run.PutArray(c, "fitted/"+t.params[i].Name, v, t.params[i].Node.Shape()...)
	}
	return errors.Join(train.Save(c, t.stepper, t.params), c.Put("stage", t.fitting))
}

// Load implements run.Task.
func (t *Task) Load(c *run.Checkpoint) error {
	var fitting bool
	if err := c.Get("stage", &fitting); err != nil {
		return err
	}
	var fitted [][]float32
	for i, v := range nn.Values[float32](t.params) {
		if fitting {
			break
		}
		f := make([]float32, len(v))
		if err := run.GetArray(c, "fitted/"+t.params[i].Name, f, t.params[i].Node.Shape()...); err != nil {
			return err
		}
		fitted = append(fitted, f)
	}
	if fitting != t.fitting {
		if err := t.stage(fitting); err != nil {
			return err
		}
	}
	t.fitted = fitted
	return train.Load(c, t.stepper, t.params)
}

// A Judgement is of one net.
type Judgement struct {
	NLL                  float64   // per transition of the data
	Relevant, Irrelevant float64   // mean squared errors of the numbers that matter, and of the others, there
	Costs                []float64 // of its plans for the pendulum, from the states not seen before
}

// Mean is the mean cost.
func (j Judgement) Mean() float64 { return mean(j.Costs) }

func mean(v []float64) (sum float64) {
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// Judge judges the net after the first stage and the one after the last.
func (t *Task) Judge() (fitted, tuned Judgement, err error) {
	if t.fitted == nil {
		return fitted, tuned, fmt.Errorf("mismatch: no update through the controller was done")
	}
	if err := t.stepper.Sync(); err != nil {
		return fitted, tuned, err
	}
	if fitted, err = t.judge(t.fitted); err == nil {
		tuned, err = t.judge(nn.Values[float32](t.params))
	}
	return fitted, tuned, err
}

func (t *Task) judge(values [][]float32) (j Judgement, err error) {
	g := G.NewGraph()
	net, err := t.shared(g)
	if err != nil {
		return j, err
	}
	for i, v := range nn.Values[float32](net.Params()) {
		copy(v, values[i])
	}
	n, s := t.c.Transitions, t.c.stateDim()
	x, u := input(g, "x", t.data.x, n, s), input(g, "u", t.data.u, n, 1)
	guess, err := predict(net, x, u)
	if err != nil {
		return j, err
	}
	p, cost, err := t.c.planned(g, net, input(g, "x0", t.c.judged(), t.c.States, s))
	if err != nil {
		return j, err
	}
	if err := G.Let(p.Run, int64(0)); err != nil { // updates have those from 1
		return j, err
	}
	if guess, err = dcem.Keep(guess); err != nil {
		return j, err
	}
	if cost, err = dcem.Keep(cost); err != nil {
		return j, err
	}
	vm, err := train.NewVM(t.c.Machine, g, guess, cost)
	if err != nil {
		return j, err
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	if err := vm.RunAll(); err != nil {
		return j, err
	}
	next, err := nn.Slice[float32](guess.Value())
	if err != nil {
		return j, err
	}
	for i, v := range next {
		d := float64(v) - float64(t.data.next[i])
		j.NLL += d * d / 2 / float64(n)
		if i%s < relevant {
			j.Relevant += d * d / float64(n*relevant)
		} else {
			j.Irrelevant += d * d / float64(n*(s-relevant))
		}
	}
	costs, err := nn.Slice[float32](cost.Value())
	for _, v := range costs {
		j.Costs = append(j.Costs, float64(v))
	}
	return j, err
}

// Gain is by how much tuning lowers the mean cost, and the standard error of that over the states.
func Gain(fitted, tuned Judgement) (gain, standardError float64) {
	n := float64(len(fitted.Costs))
	d := make([]float64, len(fitted.Costs))
	for i := range d {
		d[i] = fitted.Costs[i] - tuned.Costs[i]
	}
	gain = mean(d)
	sum := 0.0
	for _, v := range d {
		sum += (v - gain) * (v - gain)
	}
	return gain, math.Sqrt(sum / (n - 1) / n)
}
