package embed

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// Kind is the program's name, in its checkpoints too.
const Kind = "cartpole"

// Task is the training of one decoder. Use [NewTask].
//
// The graph of one update holds the search over the latent space from a batch of initial states, the rollouts of what
// it finds, their mean cost and its gradient. It is built and compiled once. The graphs that plan for validations and
// figures share the memory of the parameters, and take turns with it.
type Task interface {
	run.Validator
	// Params are the decoder's. Their values lie on the device while updates are taken; those of the nodes are up to
	// date after Validate, Plan, Survey and Save.
	Params() nn.Params
	// Planner makes a planner for that many initial states at a time, which plans with the parameters of the moment.
	// With trace its plans say what was tried.
	Planner(batch int, trace bool) (Planner, error)
	// Survey returns the costs of latents z (n,D), flat, from the state x0 (S).
	Survey(z, x0 []float64) ([]float64, error)
	// Sensitivity returns the plan (H,U) from the state x0 (S), and how each of its controls moves with each number of
	// x0: d u / d x0 (H,U,S), flat, through all of the search, whose noise is that of a run number and does not move.
	Sensitivity(x0 []float64, run uint64) (u, du []float64, err error)
	// Close frees the machine. Planners are closed by themselves.
	Close() error

	// answering is Planner without a trace, whose searches by DCEM end with that answer instead of the configuration's.
	answering(answer string, batch int) (Planner, error)
	schedule() train.Plateau
	lostGradients() int64
}

// A Planner plans by search over the latent space. It must not be used while its task takes a step.
type Planner interface {
	// Plan plans from the states x0 (B,S), flat, with the noise of a run number: updates have those from 1.
	Plan(x0 []float64, run uint64) (*Plan, error)
	Close() error
}

// fixedNoise is the run number of validations. Updates have those from 1.
const fixedNoise = 0

// NewTask builds the graphs for a valid configuration whose method is not Both. Call Close when done.
func NewTask(c Config) (Task, error) {
	c = c.Filled()
	if c.Float64 {
		return newTask[float64](c)
	}
	return newTask[float32](c)
}

type task[T kernels.Float] struct {
	c       Config
	decoder *Decoder
	s       *search[T]

	stepper train.Stepper[T]
	rates   train.Plateau
	lost    int64 // gradients lost before the state was loaded

	walk      walkers
	judge     *planner[T]
	states    []float64 // of validations
	validated struct {
		step  int
		score float64
	}
}

func newTask[T kernels.Float](c Config) (t *task[T], err error) {
	t = &task[T]{c: c, states: c.validationStates()}
	var loss *G.Node
	if t.decoder, t.s, loss, err = newProblem[T](c); err != nil {
		return nil, err
	}
	if c.Along > 0 {
		G.Read(t.s.states[1], &t.walk.next)
	}
	if t.stepper, err = train.New[T](c.Machine, c.optimizer(), loss, t.Params().Nodes()...); err != nil {
		return nil, err
	}
	if t.judge, err = newPlanner[T](c, t.decoder, c.States, false); err != nil {
		return nil, errors.Join(err, t.stepper.Close())
	}
	return t, nil
}

// newProblem is the graph of one update.
func newProblem[T kernels.Float](c Config) (d *Decoder, s *search[T], loss *G.Node, err error) {
	if d, err = c.decoder(G.NewGraph()); err != nil {
		return nil, nil, nil, err
	}
	c.Answer = c.Learn
	// The least cost over z has the derivative with respect to the decoder that it has with z held fixed (the envelope
	// theorem). Of a best of samples, that leaves out how those of later iterations move with the decoder.
	held := c.Method == DCEM && c.Learn == Best
	if s, err = newSearch[T](c, d, c.Batch, nil, held); err != nil {
		return nil, nil, nil, err
	}
	copy(s.x0, train.Convert[T](c.trainingStates(1)))
	loss, err = s.loss()
	return d, s, loss, err
}

func (t *task[T]) Close() error { return errors.Join(t.stepper.Close(), t.judge.close()) }

func (t *task[T]) Params() nn.Params { return t.decoder.Params() }

func (t *task[T]) schedule() train.Plateau { return t.rates }

func (t *task[T]) lostGradients() int64 { return t.lost + t.s.counter() }

// handle is a planner that sees to it that the parameters are up to date.
type handle[T kernels.Float] struct {
	t *task[T]
	p *planner[T]
}

func (h handle[T]) Plan(x0 []float64, run uint64) (*Plan, error) {
	if err := h.t.stepper.Sync(); err != nil {
		return nil, err
	}
	return h.p.plan(x0, run)
}

func (h handle[T]) Close() error { return h.p.close() }

func (t *task[T]) Planner(batch int, trace bool) (Planner, error) {
	p, err := newPlanner[T](t.c, t.decoder, batch, trace)
	return handle[T]{t, p}, err
}

func (t *task[T]) answering(answer string, batch int) (Planner, error) {
	c := t.c
	c.Answer = answer
	p, err := newPlanner[T](c, t.decoder, batch, false)
	return handle[T]{t, p}, err
}

func (t *task[T]) Survey(z, x0 []float64) ([]float64, error) {
	if err := t.stepper.Sync(); err != nil {
		return nil, err
	}
	s, err := newSurveyor[T](t.c, t.decoder, z)
	if err != nil {
		return nil, err
	}
	costs, err := s.survey(x0)
	return costs, errors.Join(err, s.close())
}

// Kind implements run.Task.
func (t *task[T]) Kind() string { return Kind }

// Columns implements run.Task: rate is the learning rate of the update.
func (t *task[T]) Columns() []string { return []string{"rate"} }

// Step implements run.Task.
func (t *task[T]) Step(ctx context.Context, step int) (run.StepMetrics, error) {
	if err := ctx.Err(); err != nil {
		return run.StepMetrics{}, err
	}
	if err := t.reschedule(step - 1); err != nil {
		return run.StepMetrics{}, err
	}
	x0 := t.c.trainingStates(step)
	t.walk.put(t.c, x0, step)
	copy(t.s.x0, train.Convert[T](x0))
	if t.s.run != nil {
		if err := G.Let(t.s.run, int64(step)); err != nil {
			return run.StepMetrics{}, err
		}
	}
	rate := t.rates.Rate(t.c.Rate)
	loss, info, err := t.stepper.Step(rate)
	if err != nil {
		return run.StepMetrics{}, err
	}
	if t.c.Along > 0 {
		x1, err := nn.Slice[T](t.walk.next)
		if err != nil {
			return run.StepMetrics{}, err
		}
		t.walk.at = train.Convert[float64](x1[:t.c.Along*t.c.system().StateDim()])
	}
	return run.StepMetrics{Loss: loss, GradNorm: info.GradNorm, Skipped: info.Skipped,
		Values: map[string]float64{"rate": rate}}, nil
}

// reschedule shows the learning rate's schedule the score after an update if that was a validation's turn. It is the
// next update that does so: whether a run ended there, or was killed before its validation, then makes no difference.
func (t *task[T]) reschedule(after int) error {
	if after == 0 || after%t.c.ValidateEvery != 0 || t.rates.Scores >= after/t.c.ValidateEvery {
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

// Ended implements run.Ender: the rate was halved as often as it may be.
func (t *task[T]) Ended(step int) (bool, error) {
	if t.c.Halvings == 0 {
		return false, nil
	}
	err := t.reschedule(step)
	return len(t.rates.Halvings) >= t.c.Halvings, err
}

// Validate implements run.Validator: the score is the mean cost of the plans from fixed states, on the same noise
// each time.
func (t *task[T]) Validate(step int) (score float64, values map[string]float64, err error) {
	p, err := handle[T]{t, t.judge}.Plan(t.states, fixedNoise)
	if err != nil {
		return 0, nil, err
	}
	score, err = meanCost(t.c.system(), t.states, p.U)
	t.validated.step, t.validated.score = step, score
	return score, nil, err
}

// meanCost is the mean cost of plans (B,H,U) from the states x0 (B,S), simulated in float64.
func meanCost(e env.Env, x0, u []float64) (float64, error) {
	costs, err := planCosts(e, x0, u)
	if err != nil {
		return 0, err
	}
	return mean(costs), nil
}

// planCosts are the costs (B) of plans (B,H,U) from the states x0 (B,S), simulated in float64.
func planCosts(e env.Env, x0, u []float64) ([]float64, error) {
	size := e.StateDim()
	costs := make([]float64, len(x0)/size)
	sim, err := env.NewSimulator(e, env.Options{})
	if err != nil {
		return nil, err
	}
	for i := range costs {
		plan := u[i*len(u)/len(costs) : (i+1)*len(u)/len(costs)]
		if _, costs[i], err = sim.Run(x0[i*size:(i+1)*size], plan, nil); err != nil {
			return nil, err
		}
	}
	return costs, nil
}

// saved is the state that is not in arrays.
type saved struct {
	Method string        `json:"method"`
	Rates  train.Plateau `json:"rates"`
	Lost   int64         `json:"lost_gradients"`
}

// Save implements run.Task.
func (t *task[T]) Save(c *run.Checkpoint) error {
	err := train.Save(c, t.stepper, t.Params())
	if t.walk.at != nil {
		run.PutArray(c, "walk", t.walk.at, len(t.walk.at))
	}
	return errors.Join(err, c.Put("training", saved{t.c.Method, t.rates, t.lostGradients()}))
}

// Load implements run.Task.
func (t *task[T]) Load(c *run.Checkpoint) error {
	var s saved
	if err := c.Get("training", &s); err != nil {
		return err
	}
	if s.Method != t.c.Method {
		return fmt.Errorf("is of method %s, want %s", s.Method, t.c.Method)
	}
	at := []float64(nil)
	if t.c.Along > 0 && c.Step > 0 {
		at = make([]float64, t.c.Along*t.c.system().StateDim())
		if err := run.GetArray(c, "walk", at, len(at)); err != nil {
			return err
		}
	}
	if err := train.Load(c, t.stepper, t.Params()); err != nil {
		return err
	}
	t.walk.at = at
	t.rates, t.lost = s.Rates, s.Lost-t.s.counter()
	t.rates.Halvings = slices.Clip(t.rates.Halvings)
	t.validated.step = 0
	return nil
}

// StepGraph builds the training step of a configuration: the loss of the first update, the parameters that it moves,
// and the update rule.
func StepGraph(c Config) (loss *G.Node, params G.Nodes, o kernels.Optimizer, err error) {
	if err := c.Validate(); err != nil {
		return nil, nil, o, err
	}
	c = c.Filled()
	if c.Method == Both {
		return nil, nil, o, fmt.Errorf("method is %q, want one of the others: both has a step for each", Both)
	}
	var d *Decoder
	if c.Float64 {
		d, _, loss, err = newProblem[float64](c)
	} else {
		d, _, loss, err = newProblem[float32](c)
	}
	if err != nil {
		return nil, nil, o, err
	}
	return loss, d.Params().Nodes(), c.optimizer(), nil
}
