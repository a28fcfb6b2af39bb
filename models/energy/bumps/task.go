package bumps

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Kind is the program's name, in its checkpoints too.
const Kind = "bumps"

// Task is the training: it changes the objective's parameters until the minimum that DCEM finds lies at the target.
// The loss is mean (mu - target)^2 over the two coordinates of a solve's answer mu; update number s solves with the
// noise of run number s.
//
// One graph holds the solve, the loss, its gradient and the update. It is built and compiled once; an update sets the
// run number and runs it.
type Task struct {
	*problem
	params  []float64 // the parameters' memory
	stepper train.Stepper[float64]
	history []float64 // parameters before the first update and after each one, (updates+1, 9)
	lost    int64     // gradients lost before the state was loaded

	validation *Solves
}

var _ run.Validator = (*Task)(nil)

// NewTask builds the graph for a valid configuration. Call Close when done.
func NewTask(c Config) (t *Task, err error) {
	t = &Task{params: slices.Clone(c.Params), history: slices.Clone(c.Params)}
	if t.problem, err = newProblem(c, t.params); err != nil {
		return nil, err
	}
	if t.stepper, err = train.New[float64](c.Machine, c.optimizer(), t.loss, t.input); err != nil {
		return nil, err
	}
	if t.validation, err = NewSolves(c.solve(validationSolves)); err != nil {
		return nil, err
	}
	return t, nil
}

// problem is the graph of an update: a solve and its loss.
type problem struct {
	c       Config
	input   *G.Node // the parameters
	run     *G.Node // the noise's run number
	loss    *G.Node
	counter func() int64 // gradients lost by this graph
}

// newProblem builds the graph for parameters in the memory given.
func newProblem(c Config, params []float64) (*problem, error) {
	g := G.NewGraph()
	p := &problem{c: c}
	p.input = G.NodeFromAny(g, tensor.New(tensor.WithShape(NumParams), tensor.WithBacking(params)), G.WithName("params"))
	objective, err := Objective(p.input)
	if err != nil {
		return nil, err
	}
	u, err := dcem.Unroll(g, objective, c.solve(1))
	if err != nil {
		return nil, err
	}
	p.run, p.counter = u.Run, u.LostGradients
	target := tensor.New(tensor.WithShape(1, 2), tensor.WithBacking(slices.Clone(c.Target)))
	b := &builder{g: g, dt: tensor.Float64}
	off := b.binary(G.Sub, u.Answer, G.NodeFromAny(g, target, G.WithName("target")))
	p.loss = b.keep(func() (*G.Node, error) { return G.Mean(b.unary(G.Square, off)) })
	return p, b.err
}

// Close frees the machine.
func (t *Task) Close() error { return t.stepper.Close() }

// Params returns a copy of the parameters as they are after step updates.
func (t *Task) Params(step int) []float64 {
	return slices.Clone(t.history[step*NumParams : (step+1)*NumParams])
}

// lostGradients counts gradients of excluded samples that were not finite, over all parts of the run.
func (t *Task) lostGradients() int64 { return t.lost + t.counter() }

// Kind implements run.Task.
func (t *Task) Kind() string { return Kind }

// Columns implements run.Task.
func (t *Task) Columns() []string {
	return []string{"answer_x", "answer_y", "below", "a1", "p1", "q1", "a2", "p2", "q2", "a3", "p3", "q3"}
}

// Step implements run.Task.
func (t *Task) Step(ctx context.Context, step int) (run.StepMetrics, error) {
	if err := ctx.Err(); err != nil {
		return run.StepMetrics{}, err
	}
	if err := G.Let(t.run, int64(step)); err != nil {
		return run.StepMetrics{}, err
	}
	loss, info, err := t.stepper.Step(t.c.Rate)
	if err != nil {
		return run.StepMetrics{}, err
	}
	if err := t.stepper.Sync(); err != nil {
		return run.StepMetrics{}, err
	}
	m := run.StepMetrics{Loss: loss, GradNorm: info.GradNorm, Skipped: info.Skipped, Values: map[string]float64{}}
	t.history = append(t.history, t.params...)
	for i, name := range t.Columns()[3:] {
		m.Values[name] = t.params[i]
	}
	return m, nil
}

// Validate implements run.Validator: the score is the mean loss of 20 solves on noise of their own (run number 0),
// "below" the share of them whose loss is below 0.05, and the answer is the mean of theirs.
func (t *Task) Validate(int) (score float64, values map[string]float64, err error) {
	v, err := t.validation.Losses(t.params, t.c.Target)
	if err != nil {
		return 0, nil, err
	}
	return v.Mean, map[string]float64{"answer_x": v.X, "answer_y": v.Y, "below": v.Below}, nil
}

// Save implements run.Task.
func (t *Task) Save(c *run.Checkpoint) error {
	state, err := t.stepper.State()
	if err != nil {
		return err
	}
	run.PutArray(c, "params", t.params)
	run.PutArray(c, "history", t.history, len(t.history)/NumParams, NumParams)
	return errors.Join(c.Put("optimizer", state), c.Put("lost_gradients", t.lostGradients()))
}

// Load implements run.Task.
func (t *Task) Load(c *run.Checkpoint) error {
	var lost int64
	var state kernels.OptimizerState[float64]
	err := errors.Join(run.GetArray(c, "params", t.params), c.Get("optimizer", &state), c.Get("lost_gradients", &lost))
	if err != nil {
		return err
	}
	history, shape, err := run.ArrayOf[float64](c, "history")
	if err != nil {
		return err
	}
	if !slices.Equal(shape, []int{c.Step + 1, NumParams}) {
		return fmt.Errorf("array %q has shape %v, want one row before and one after each of %d updates",
			"history", shape, c.Step)
	}
	for name, arrays := range map[string][][]float64{"v": state.V, "buf": state.Buf} {
		if len(arrays) > 1 || len(arrays) == 1 && len(arrays[0]) != NumParams {
			return fmt.Errorf("state %q: %s does not fit %d parameters", "optimizer", name, NumParams)
		}
	}
	if err := t.stepper.Restore(state); err != nil {
		return err
	}
	t.history, t.lost = slices.Clone(history), lost-t.counter()
	return nil
}

// StepGraph builds the training step of a configuration: the loss of a solve, the parameters that an update moves, and
// the update rule.
func StepGraph(c Config) (loss *G.Node, params G.Nodes, o kernels.Optimizer, err error) {
	if err := c.Validate(); err != nil {
		return nil, nil, o, err
	}
	p, err := newProblem(c, slices.Clone(c.Params))
	if err != nil {
		return nil, nil, o, err
	}
	return p.loss, G.Nodes{p.input}, c.optimizer(), nil
}
