package learn

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
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// problem is the graph of an update: the learner's plans, the expert's, and how far they are apart.
type problem struct {
	params nn.Params // coordinates of what is learnt
	run    *G.Node   // of the noise
	loss   *G.Node
}

func input(g *G.ExprGraph, name string, v []float64, shape ...int) *G.Node {
	return G.NodeFromAny(g, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(v)), G.WithName(name))
}

// states are the initial states of the plans: any angle.
func (c Config) states() []float64 {
	r := rand.New(rand.NewPCG(c.Seed, 0x1ea4))
	x := make([]float64, c.Plans*system.StateDim())
	for i := range c.Plans {
		system.Reset(r.Float64, x[i*system.StateDim():(i+1)*system.StateDim()])
	}
	return x
}

// byInertia says that the mass is moved as the inertia m l^2. A torque shows m l^2 and gravity l: in logarithms of mass
// and length the steps that follow the one upset the other, and the two slide along the valley of equal inertias.
func (c Config) byInertia(kind string) bool { return kind == Dynamics }

// coordinates are what is learnt as the learner moves it: logarithms.
func (c Config) coordinates(kind string, values []float64) []float64 {
	logs := make([]float64, len(values))
	for i, v := range values {
		logs[i] = math.Log(v)
	}
	if c.byInertia(kind) {
		logs[0] += 2 * logs[1]
	}
	return logs
}

// fromCoordinates is the inverse of coordinates.
func (c Config) fromCoordinates(kind string, logs []float64) []float64 {
	values := make([]float64, len(logs))
	for i, v := range logs {
		if i == 0 && c.byInertia(kind) {
			v -= 2 * logs[1]
		}
		values[i] = math.Exp(v)
	}
	return values
}

// valuesOf is fromCoordinates in the graph, by name.
func (c Config) valuesOf(kind string, logs G.Nodes) (env.ParamNodes, error) {
	nodes := env.ParamNodes{}
	for i, name := range Learnt(kind) {
		log := logs[i]
		if i == 0 && c.byInertia(kind) {
			twice, err := G.Add(logs[1], logs[1])
			if err != nil {
				return nil, err
			}
			if log, err = G.Sub(log, twice); err != nil {
				return nil, err
			}
		}
		var err error
		if nodes[name], err = G.Exp(log); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// newProblem builds the graph. expert holds the expert's controls, (Plans, H, U); nil: it plans in the graph, with the
// learner's noise.
func newProblem(kind string, c Config, expert []float64) (*problem, error) {
	g := G.NewGraph()
	p := &problem{}
	for i, v := range c.coordinates(kind, c.Start) {
		name := Learnt(kind)[i]
		p.params = append(p.params, nn.Param{Name: name, Node: input(g, "coordinate_"+name, []float64{v}, 1)})
	}
	nodes, err := c.valuesOf(kind, p.params.Nodes())
	if err != nil {
		return nil, err
	}
	x0 := input(g, "x0", c.states(), c.Plans, system.StateDim())
	config := c.plan()
	learner, err := dcem.Plan(g, x0, model(nodes), config)
	if err != nil {
		return nil, err
	}
	p.run = learner.Run
	var target *G.Node
	if expert != nil {
		target = input(g, "expert", expert, learner.Controls.Shape()...)
	} else {
		config.Run, config.Hard = learner.Run, c.Expert == Hard
		truth, err := dcem.Plan(g, x0, model(nil), config)
		if err != nil {
			return nil, err
		}
		if target, err = dcem.Detach(truth.Controls); err != nil {
			return nil, err
		}
	}
	off, err := G.Sub(learner.Controls, target)
	if err != nil {
		return nil, err
	}
	if off, err = G.Square(off); err != nil {
		return nil, err
	}
	p.loss, err = G.Mean(off)
	return p, err
}

func model(p env.ParamNodes) dcem.Model {
	return dcem.Model{
		States: system.StateDim(), Controls: system.ControlDim(),
		Dynamics: func(_ int, x, u *G.Node) (*G.Node, error) { return system.Step(x, u, p) },
		Cost:     func(_ int, x, u *G.Node) (*G.Node, error) { return system.Cost(x, u, p) },
	}
}

// expertRun is the run number of the expert's own noise. Updates have those from 1.
const expertRun = math.MaxInt64

// expertPlans are the controls that the expert has chosen once, with noise of its own.
func (c Config) expertPlans() ([]float64, error) { return c.plans(nil, c.Expert == Hard, expertRun) }

// plans are the controls (Plans, H, U) that a controller chooses with the noise of that run and other parameters of the
// system than the true ones.
func (c Config) plans(other map[string]float64, hard bool, run int64) (u []float64, err error) {
	g := G.NewGraph()
	config := c.plan()
	config.Hard = hard
	nodes := env.ParamNodes{}
	for name, v := range other {
		nodes[name] = input(g, name, []float64{v}, 1)
	}
	plan, err := dcem.Plan(g, input(g, "x0", c.states(), c.Plans, system.StateDim()), model(nodes), config)
	if err != nil {
		return nil, err
	}
	controls, err := dcem.Keep(plan.Controls)
	if err != nil {
		return nil, err
	}
	if err := G.Let(plan.Run, run); err != nil {
		return nil, err
	}
	vm, err := train.NewVM(c.Machine, g, controls)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	if err := vm.RunAll(); err != nil {
		return nil, err
	}
	u, err = nn.Slice[float64](controls.Value())
	return slices.Clone(u), err
}

// Task is the training. Use [NewTask].
type Task struct {
	kind    string
	c       Config
	p       *problem
	stepper train.Stepper[float64]
	values  [][]float64
	sums    []float64 // of the coordinates over the updates that count for the average
}

var _ run.Task = (*Task)(nil)

// NewTask builds the graph for a valid configuration. Call Close when done.
func NewTask(kind string, c Config) (t *Task, err error) {
	var expert []float64
	if c.Noise == Independent {
		if expert, err = c.expertPlans(); err != nil {
			return nil, err
		}
	}
	t = &Task{kind: kind, c: c, sums: make([]float64, len(c.Start))}
	if t.p, err = newProblem(kind, c, expert); err != nil {
		return nil, err
	}
	t.values = nn.Values[float64](t.p.params)
	t.stepper, err = train.New[float64](c.Machine, c.optimizer(), t.p.loss, t.p.params.Nodes()...)
	return t, err
}

// Close frees the machine.
func (t *Task) Close() error { return t.stepper.Close() }

// first is the first update that counts for the average.
func (t *Task) first() int { return t.c.Updates - int(t.c.Average*float64(t.c.Updates)) + 1 }

// Answer is what has been learnt after that many updates: the values, or those of the mean of the last updates'
// logarithms where the configuration asks for it. Of a cost, whose scale no controller sees, they are over the first.
func (t *Task) Answer(step int) []float64 {
	c := t.at()
	if n := step - t.first() + 1; t.c.Average > 0 && n > 0 {
		for i := range c {
			c[i] = t.sums[i] / float64(n)
		}
	}
	return t.c.fromCoordinates(t.kind, c)
}

// at are the coordinates as they are.
func (t *Task) at() (c []float64) {
	for _, v := range t.values {
		c = append(c, v[0])
	}
	return c
}

// Errors are the relative errors of values: of a cost, of its weights over the first.
func Errors(kind string, v []float64) []float64 {
	truth := Truth(kind)
	e := make([]float64, len(v))
	scale := 1.0
	if kind == Cost {
		scale = truth[0] / v[0]
	}
	for i := range v {
		e[i] = math.Abs(v[i]*scale/truth[i] - 1)
	}
	return e
}

// Kind implements run.Task.
func (t *Task) Kind() string { return t.kind }

// Columns implements run.Task.
func (t *Task) Columns() []string { return append(Learnt(t.kind), "error") }

// Step implements run.Task.
func (t *Task) Step(ctx context.Context, step int) (run.StepMetrics, error) {
	if err := ctx.Err(); err != nil {
		return run.StepMetrics{}, err
	}
	if err := G.Let(t.p.run, int64(step)); err != nil {
		return run.StepMetrics{}, err
	}
	loss, info, err := t.stepper.Step(t.c.rateAt(step))
	if err != nil {
		return run.StepMetrics{}, err
	}
	if err := t.stepper.Sync(); err != nil {
		return run.StepMetrics{}, err
	}
	m := run.StepMetrics{Loss: loss, GradNorm: info.GradNorm, Skipped: info.Skipped, Values: map[string]float64{}}
	if step >= t.first() {
		for i := range t.sums {
			t.sums[i] += t.values[i][0]
		}
	}
	answer := t.Answer(step)
	now := t.c.fromCoordinates(t.kind, t.at())
	for i, name := range Learnt(t.kind) {
		m.Values[name] = now[i]
	}
	m.Values["error"] = slices.Max(Errors(t.kind, answer))
	return m, nil
}

// saved is the state that is not in arrays.
type saved struct {
	Kind string    `json:"kind"`
	Sums []float64 `json:"sums"`
}

// Save implements run.Task.
func (t *Task) Save(c *run.Checkpoint) error {
	return errors.Join(train.Save(c, t.stepper, t.p.params), c.Put("average", saved{t.kind, t.sums}))
}

// Load implements run.Task.
func (t *Task) Load(c *run.Checkpoint) error {
	var s saved
	if err := c.Get("average", &s); err != nil {
		return err
	}
	if len(s.Sums) != len(t.sums) {
		return fmt.Errorf("average of %d values, want %d", len(s.Sums), len(t.sums))
	}
	if err := train.Load(c, t.stepper, t.p.params); err != nil {
		return err
	}
	copy(t.sums, s.Sums)
	return nil
}

// StepGraph builds the training step of a configuration: the loss of an update, the parameters that it moves, and the
// update rule.
func StepGraph(kind string, c Config) (loss *G.Node, params G.Nodes, o kernels.Optimizer, err error) {
	if err := c.Validate(kind); err != nil {
		return nil, nil, o, err
	}
	c.Noise = Common
	p, err := newProblem(kind, c, nil)
	if err != nil {
		return nil, nil, o, err
	}
	return p.loss, p.params.Nodes(), c.optimizer(), nil
}
