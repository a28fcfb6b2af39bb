package bumps

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Kind is the program's name, in its checkpoints too.
const Kind = "bumps"

// Task is the training: it changes the objective's parameters until the minimum that DCEM finds lies at the target.
// The loss is mean (mu - target)^2 over the two coordinates of a solve's answer mu; update number s solves with the
// noise of run number s.
//
// One graph holds the solve, the loss and its gradient. It is built and compiled once; an update sets the run number,
// runs it, and moves the parameters in the memory that the graph's input lies in.
type Task struct {
	c       Config
	params  []float64 // the input's memory
	state   kernels.OptimizerState[float64]
	history []float64 // parameters before the first update and after each one, (updates+1, 9)

	run        *G.Node
	vm         G.VM
	loss, grad G.Value
	counter    func() int64 // gradients lost by this graph
	lost       int64        // gradients lost before the state was loaded

	validation *Solves
}

var _ run.Validator = (*Task)(nil)

// NewTask builds the graph for a valid configuration. Call Close when done.
func NewTask(c Config) (*Task, error) {
	t := &Task{c: c, params: slices.Clone(c.Params), history: slices.Clone(c.Params)}
	if err := t.build(); err != nil {
		return nil, err
	}
	var err error
	if t.validation, err = NewSolves(c.solve(validationSolves)); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Task) build() error {
	g := G.NewGraph()
	params := G.NodeFromAny(g, tensor.New(tensor.WithShape(NumParams), tensor.WithBacking(t.params)), G.WithName("params"))
	objective, err := Objective(params)
	if err != nil {
		return err
	}
	u, err := dcem.Unroll(g, objective, t.c.solve(1))
	if err != nil {
		return err
	}
	target := tensor.New(tensor.WithShape(1, 2), tensor.WithBacking(slices.Clone(t.c.Target)))
	b := &builder{g: g, dt: tensor.Float64}
	off := b.binary(G.Sub, u.Answer, G.NodeFromAny(g, target, G.WithName("target")))
	loss := b.keep(func() (*G.Node, error) { return G.Mean(b.unary(G.Square, off)) })
	if b.err != nil {
		return b.err
	}
	grads, err := autodiff.Gradients(loss, params)
	if err != nil {
		return err
	}
	G.Read(loss, &t.loss)
	G.Read(grads[0], &t.grad)
	t.run, t.counter = u.Run, u.LostGradients
	t.vm = G.NewTapeMachine(g)
	return nil
}

// Close frees the machine.
func (t *Task) Close() error { return t.vm.Close() }

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
	loss, grad, err := t.gradient(step)
	if err != nil {
		return run.StepMetrics{}, err
	}
	m := run.StepMetrics{Loss: loss, Values: map[string]float64{}}
	if m.Skipped = math.IsNaN(loss) || math.IsInf(loss, 0); m.Skipped {
		m.GradNorm = math.NaN()
	} else {
		info := kernels.OptimizerStep(t.c.optimizer(), &t.state, [][]float64{t.params}, [][]float64{grad})
		m.GradNorm, m.Skipped = info.GradNorm, info.Skipped
	}
	t.history = append(t.history, t.params...)
	for i, name := range t.Columns()[3:] {
		m.Values[name] = t.params[i]
	}
	return m, nil
}

// gradient is the loss of the solve with that run number, and its gradient with respect to the parameters.
func (t *Task) gradient(runNumber int) (loss float64, grad []float64, err error) {
	if err := G.Let(t.run, int64(runNumber)); err != nil {
		return 0, nil, err
	}
	defer t.vm.Reset()
	if err := t.vm.RunAll(); err != nil {
		return 0, nil, err
	}
	return t.loss.Data().(float64), t.grad.Data().([]float64), nil
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
	run.PutArray(c, "params", t.params)
	run.PutArray(c, "history", t.history, len(t.history)/NumParams, NumParams)
	return errors.Join(c.Put("optimizer", t.state), c.Put("lost_gradients", t.lostGradients()))
}

// Load implements run.Task.
func (t *Task) Load(c *run.Checkpoint) error {
	var lost int64
	t.state = kernels.OptimizerState[float64]{}
	err := errors.Join(run.GetArray(c, "params", t.params), c.Get("optimizer", &t.state), c.Get("lost_gradients", &lost))
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
	for name, arrays := range map[string][][]float64{"v": t.state.V, "buf": t.state.Buf} {
		if len(arrays) > 1 || len(arrays) == 1 && len(arrays[0]) != NumParams {
			return fmt.Errorf("state %q: %s does not fit %d parameters", "optimizer", name, NumParams)
		}
	}
	t.history, t.lost = slices.Clone(history), lost-t.counter()
	return nil
}
