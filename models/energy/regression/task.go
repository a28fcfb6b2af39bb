package regression

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/energy"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// Kind is the program's name, in its checkpoints too.
const Kind = "regression"

// Task is the training of one energy model: it changes the parameters until the model's minimiser over y predicts the
// data. Use [NewTask].
//
// The graph of one update holds the search for y at one point, the squared error and its gradient. It is built and
// compiled once; an update sets the point and the run number of the noise, runs it, and moves the parameters in the
// memory that the graph's inputs lie in. Predictions and energies have graphs of their own that share this memory,
// and take turns with it.
type Task interface {
	run.Validator
	// Params are the parameters. Their values lie on the device while updates are taken; those of the nodes are up to
	// date after Predict, Trace, Energies, Validate and Save.
	Params() nn.Params
	// Predict returns the method's prediction at every point, with the noise of that run number: updates have those
	// from 1.
	Predict(run uint64) ([]float64, error)
	// Trace returns the candidates of such a prediction by iteration, (points, candidates) each: samples of DCEM, or
	// y_0 ... y_T of gradient descent.
	Trace(run uint64) ([][]float64, error)
	// Energies returns E(x, y) at every point over y from -8 to 8.
	Energies() (viz.Field, error)
	// Close frees the machines.
	Close() error

	alternative(method string) (predictor, error)
	schedule() train.Plateau
	lostGradients() int64
}

// fixedNoise is the run number of validations. Updates have those from 1.
const fixedNoise = 0

// NewTask builds the graphs for a valid configuration whose method is not Both. Call Close when done.
func NewTask(c Config) (Task, error) {
	if c.Float64 {
		return newTask[float64](c)
	}
	return newTask[float32](c)
}

type task[T kernels.Float] struct {
	*problem[T]
	truth []float64
	xs    []float64

	stepper train.Stepper[T]
	values  [][]T // the parameters' memory
	rates   train.Plateau
	lost    int64 // gradients lost before the state was loaded

	predictor predictor
	surveyor  *surveyor[T]
	validated struct {
		step  int
		score float64
	}
}

func newTask[T kernels.Float](c Config) (t *task[T], err error) {
	t = &task[T]{}
	t.xs, t.truth = Points(c.Points)
	if t.problem, err = newProblem[T](c); err != nil {
		return nil, err
	}
	params := t.model.Params()
	t.values = nn.Values[T](params)
	if t.stepper, err = train.New[T](c.Machine, c.optimizer(c.Rate), t.loss, params.Nodes()...); err != nil {
		return nil, err
	}
	if t.predictor, err = newPredictor[T](c.Method, c, t.model); err != nil {
		return nil, err
	}
	t.surveyor, err = newSurveyor[T](c, t.model)
	return t, err
}

// problem is the graph of one update: the search for y at one point and the squared error of what it finds.
type problem[T kernels.Float] struct {
	c       Config
	model   energy.Model
	x, y    []T     // memory of the point
	run     *G.Node // run number of the noise; nil without noise
	loss    *G.Node
	counter func() int64 // gradients lost by this graph
}

// newModel adds the model's parameters to the graph.
func newModel(g *G.ExprGraph, c Config) (energy.Model, error) {
	switch c.Model {
	case ModelFeedForward:
		return energy.NewFeedForward(g, c.energy())
	case ModelICNN:
		return energy.NewICNN(g, c.energy())
	}
	return energy.NewMLP(g, c.energy())
}

func newProblem[T kernels.Float](c Config) (p *problem[T], err error) {
	g := G.NewGraph()
	p = &problem[T]{c: c, x: make([]T, 1), y: make([]T, 1)}
	if p.model, err = newModel(g, c); err != nil {
		return nil, err
	}
	objective := energy.Objective(p.model, train.Input(g, "x", p.x, 1, 1))
	answer, err := p.search(g, objective)
	if err != nil {
		return nil, err
	}
	off, err := G.Sub(answer, train.Input(g, "truth", p.y, 1, 1))
	if err != nil {
		return nil, err
	}
	square, err := G.HadamardProd(off, off)
	if err != nil {
		return nil, err
	}
	p.loss, err = G.Mean(square)
	return p, err
}

// at sets the point and the run number of the noise.
func (p *problem[T]) at(x, truth float64, run int) error {
	p.x[0], p.y[0] = T(x), T(truth)
	if p.run == nil {
		return nil
	}
	return G.Let(p.run, int64(run))
}

// search adds the search for y at one point, and returns the answer, (1, 1).
func (p *problem[T]) search(g *G.ExprGraph, objective dcem.Objective) (*G.Node, error) {
	if p.c.trainsThroughGD() {
		u, err := dcem.UnrollGD(g, objective, p.c.descent(1))
		if err != nil {
			return nil, err
		}
		p.counter = func() int64 { return 0 }
		return u.Answer, nil
	}
	c := p.c.solve(1)
	c.Backprop = p.c.Backprop
	u, err := dcem.Unroll(g, objective, c)
	if err != nil {
		return nil, err
	}
	p.run, p.counter = u.Run, u.LostGradients
	return u.Answer, nil
}

func (t *task[T]) Close() error {
	return errors.Join(t.stepper.Close(), t.predictor.close(), t.surveyor.close())
}

func (t *task[T]) Params() nn.Params { return t.model.Params() }

func (t *task[T]) Predict(run uint64) ([]float64, error) {
	if err := t.stepper.Sync(); err != nil {
		return nil, err
	}
	return t.predictor.predict(run)
}

func (t *task[T]) Trace(run uint64) ([][]float64, error) {
	if err := t.stepper.Sync(); err != nil {
		return nil, err
	}
	return t.predictor.trace(run)
}

func (t *task[T]) Energies() (viz.Field, error) {
	if err := t.stepper.Sync(); err != nil {
		return viz.Field{}, err
	}
	return t.surveyor.survey()
}

// alternative is the predictor of another method on the same parameters.
func (t *task[T]) alternative(method string) (predictor, error) {
	return newPredictor[T](method, t.c, t.model)
}

func (t *task[T]) schedule() train.Plateau { return t.rates }

func (t *task[T]) lostGradients() int64 { return t.lost + t.counter() }

// Kind implements run.Task.
func (t *task[T]) Kind() string { return Kind }

// Columns implements run.Task: x is the update's point, rate its learning rate, minimum_share as MinimumShare says.
func (t *task[T]) Columns() []string { return []string{"x", "rate", "minimum_share"} }

// Step implements run.Task.
func (t *task[T]) Step(ctx context.Context, step int) (run.StepMetrics, error) {
	if err := ctx.Err(); err != nil {
		return run.StepMetrics{}, err
	}
	if err := t.reschedule(step - 1); err != nil {
		return run.StepMetrics{}, err
	}
	i := pointOf(t.c.Seed, step, t.c.Points)
	if err := t.at(t.xs[i], t.truth[i], step); err != nil {
		return run.StepMetrics{}, err
	}
	rate := t.rates.Rate(t.c.Rate)
	loss, info, err := t.stepper.Step(rate)
	if err != nil {
		return run.StepMetrics{}, err
	}
	return run.StepMetrics{Loss: loss, GradNorm: info.GradNorm, Skipped: info.Skipped,
		Values: map[string]float64{"x": t.xs[i], "rate": rate}}, nil
}

// reschedule shows the learning rate's schedule the score after an update if that was a validation's turn. It is the
// next update that does so: whether a run ended there, or was killed before its validation, then makes no difference.
func (t *task[T]) reschedule(after int) error {
	if after == 0 || after%t.c.ValidateEvery != 0 {
		return nil
	}
	if t.validated.step != after {
		if _, _, err := t.Validate(after); err != nil {
			return err
		}
	}
	t.rates.Observe(t.validated.score, after, t.c.Patience)
	return nil
}

// Validate implements run.Validator: the score is the mean squared error over all points, on the same noise each time.
func (t *task[T]) Validate(step int) (score float64, values map[string]float64, err error) {
	y, err := t.Predict(fixedNoise)
	if err != nil {
		return 0, nil, err
	}
	field, err := t.Energies()
	if err != nil {
		return 0, nil, err
	}
	score = meanSquare(y, t.truth)
	t.validated.step, t.validated.score = step, score
	return score, map[string]float64{"minimum_share": MinimumShare(field, t.truth)}, nil
}

// saved is the state that is not in arrays.
type saved struct {
	Method string        `json:"method"`
	Model  string        `json:"model"`
	Adam   uint64        `json:"adam_steps"`
	Rates  train.Plateau `json:"rates"`
	Lost   int64         `json:"lost_gradients"`
}

// Save implements run.Task.
func (t *task[T]) Save(c *run.Checkpoint) error {
	state, err := t.stepper.State()
	if err != nil {
		return err
	}
	if err := t.stepper.Sync(); err != nil {
		return err
	}
	for i, p := range t.Params() {
		shape := p.Node.Shape()
		run.PutArray(c, "params/"+p.Name, t.values[i], shape...)
		if state.Steps > 0 {
			run.PutArray(c, "adam/m/"+p.Name, state.M[i], shape...)
			run.PutArray(c, "adam/v/"+p.Name, state.V[i], shape...)
		}
	}
	return c.Put("training", saved{t.c.Method, t.c.Model, state.Steps, t.rates, t.lostGradients()})
}

// Load implements run.Task.
func (t *task[T]) Load(c *run.Checkpoint) error {
	var s saved
	if err := c.Get("training", &s); err != nil {
		return err
	}
	if s.Method != t.c.Method || s.Model != t.c.Model {
		return fmt.Errorf("is of method %s and model %s, want %s and %s", s.Method, s.Model, t.c.Method, t.c.Model)
	}
	state := kernels.OptimizerState[T]{Steps: s.Adam}
	values := make([][]T, len(t.values))
	for i, p := range t.Params() {
		arrays := []struct {
			name string
			into *[][]T
		}{{"params/", &values}, {"adam/m/", &state.M}, {"adam/v/", &state.V}}
		if s.Adam == 0 {
			arrays = arrays[:1]
		} else if i == 0 {
			state.M, state.V = make([][]T, len(t.values)), make([][]T, len(t.values))
		}
		for _, a := range arrays {
			(*a.into)[i] = make([]T, len(t.values[i]))
			if err := run.GetArray(c, a.name+p.Name, (*a.into)[i], p.Node.Shape()...); err != nil {
				return err
			}
		}
	}
	for i, v := range values {
		copy(t.values[i], v)
	}
	if err := t.stepper.Restore(state); err != nil {
		return err
	}
	t.rates, t.lost = s.Rates, s.Lost-t.counter()
	t.rates.Halvings = slices.Clip(t.rates.Halvings)
	t.validated.step = 0
	return nil
}

// StepGraph builds the training step of a configuration: the loss at the first point, the parameters that an update
// moves, and the update rule.
func StepGraph(c Config) (loss *G.Node, params G.Nodes, o kernels.Optimizer, err error) {
	if err := c.Validate(); err != nil {
		return nil, nil, o, err
	}
	if c.Method == Both {
		return nil, nil, o, fmt.Errorf("method is %q, want one of the others: both has a step for each", Both)
	}
	o = c.optimizer(c.Rate)
	if c.Float64 {
		p, err := newProblem[float64](c)
		if err != nil {
			return nil, nil, o, err
		}
		return p.loss, p.model.Params().Nodes(), o, nil
	}
	p, err := newProblem[float32](c)
	if err != nil {
		return nil, nil, o, err
	}
	return p.loss, p.model.Params().Nodes(), o, nil
}
