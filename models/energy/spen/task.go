package spen

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/energy"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func tenth(x float64) float64 { return math.Pow(10, -x) }

// A predictor is a net with what finds the labels, over a batch of rows.
type predictor struct {
	model  energy.Model
	x, y   []float32 // memory of the inputs
	run    *G.Node   // of DCEM's noise; nil: there is none
	answer *G.Node   // (rows, Labels), in [0, 1]
	tried  []*G.Node // DCEM: mu after each iteration
	loss   *G.Node
	lost   func() int64
}

// newPredictor builds the graph over a batch of rows; shared, if not nil, lends its parameters.
func (c Config) newPredictor(batch int, shared energy.Model) (p *predictor, err error) {
	g := G.NewGraph()
	p = &predictor{x: make([]float32, batch*Features), y: make([]float32, batch*Labels), lost: func() int64 { return 0 }}
	x, y := input(g, "x", p.x, batch, Features), input(g, "y", p.y, batch, Labels)
	if shared != nil {
		p.model, err = shared.Share(g)
	} else {
		p.model, err = c.newModel(g)
	}
	if err != nil {
		return nil, err
	}
	switch m := p.model.(type) {
	case *energy.FeedForward:
		logits, err := m.Predict(x)
		if err != nil {
			return nil, err
		}
		if p.answer, err = G.Sigmoid(logits); err != nil {
			return nil, err
		}
	case *energy.SPEN:
		objective, err := m.Objective(x)
		if err != nil {
			return nil, err
		}
		if err := p.search(c, g, objective, batch); err != nil {
			return nil, err
		}
	}
	p.loss, err = crossEntropy(p.answer, y)
	return p, err
}

// search adds the search for the labels of least energy.
func (p *predictor) search(c Config, g *G.ExprGraph, objective dcem.Objective, batch int) error {
	if c.Method == GD {
		u, err := dcem.UnrollGD(g, objective, c.descent(batch))
		if err != nil {
			return err
		}
		p.answer, p.tried = u.Answer, u.Y
		return nil
	}
	u, err := dcem.Unroll(g, objective, c.solve(batch))
	if err != nil {
		return err
	}
	p.answer, p.run, p.lost = u.Answer, u.Run, u.LostGradients
	for _, it := range u.Iterates {
		p.tried = append(p.tried, it.Mu)
	}
	return nil
}

// newModel adds the net's parameters. The feed-forward net is as wide as it takes to have about as many.
func (c Config) newModel(g *G.ExprGraph) (energy.Model, error) {
	base := energy.Config{InputDim: Features, OutputDim: Labels, Hidden: []int{c.Hidden}, Seed: c.Seed}
	if c.Method != FeedForward {
		return energy.NewSPEN(g, energy.SPENConfig{Config: base, Interaction: c.Interaction})
	}
	interaction := c.Interaction*(Labels+2) + 1
	base.Hidden = []int{c.Hidden + (interaction+(Features+Labels+1)/2)/(Features+Labels+1)}
	return energy.NewFeedForward(g, base)
}

func input(g *G.ExprGraph, name string, data []float32, shape ...int) *G.Node {
	return G.NodeFromAny(g, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data)), G.WithName(name))
}

// crossEntropy is the mean of -y log p - (1-y) log(1-p) with p drawn into [0.01, 0.99]: a search's answer may be a
// bound, and then be wrong.
func crossEntropy(p, y *G.Node) (*G.Node, error) {
	var err error
	two := func(f func(a, b *G.Node) (*G.Node, error)) func(a, b *G.Node) *G.Node {
		return func(a, b *G.Node) (n *G.Node) {
			if err == nil {
				n, err = f(a, b)
			}
			return n
		}
	}
	add, sub := two(G.Add), two(G.Sub)
	mul := two(func(a, b *G.Node) (*G.Node, error) { return G.HadamardProd(a, b) })
	log := func(a *G.Node) (n *G.Node) {
		if err == nil {
			n, err = G.Log(a)
		}
		return n
	}
	number := func(v float32) *G.Node { return G.NewConstant(v) }
	p = add(mul(p, number(0.98)), number(0.01))
	likelihood := add(mul(y, log(p)), mul(sub(number(1), y), log(sub(number(1), p))))
	if err != nil {
		return nil, err
	}
	mean, err := G.Mean(likelihood)
	if err != nil {
		return nil, err
	}
	return G.Neg(mean)
}

// Task is the training of one net. Use [NewTask].
type Task struct {
	c                       Config
	train, validation, test Dataset

	p       *predictor
	stepper train.Stepper[float32]
	lost    int64 // gradients lost before the state was loaded

	judge *judge // of validations
}

var _ run.Validator = (*Task)(nil)

// NewTask builds the graphs for a valid configuration whose method is not All. Call Close when done.
func NewTask(c Config) (t *Task, err error) {
	t = &Task{c: c}
	t.train, t.validation, t.test = Data(c)
	if t.p, err = c.newPredictor(c.Batch, nil); err != nil {
		return nil, err
	}
	t.train.batch(t.p.x, t.p.y, c.Seed, 1)
	if t.stepper, err = train.New[float32](c.Machine, c.optimizer(), t.p.loss, t.Params().Nodes()...); err != nil {
		return nil, err
	}
	if t.judge, err = t.newJudge(c.ValidationRows, false); err != nil {
		return nil, errors.Join(err, t.stepper.Close())
	}
	return t, nil
}

// Close frees the machines.
func (t *Task) Close() error { return errors.Join(t.stepper.Close(), t.judge.vm.Close()) }

// Params are the net's. Their values are up to date after Validate, Predict and Save.
func (t *Task) Params() nn.Params { return t.p.model.Params() }

// A judge predicts the labels of many rows.
type judge struct {
	*predictor
	vm G.VM
}

func (t *Task) newJudge(rows int, trace bool) (*judge, error) {
	p, err := t.c.newPredictor(rows, t.p.model)
	if err != nil {
		return nil, err
	}
	if !trace {
		p.tried = nil
	}
	keep := append([]**G.Node{&p.answer}, pointers(p.tried)...)
	var outputs G.Nodes
	for _, n := range keep {
		if *n, err = dcem.Keep(*n); err != nil {
			return nil, err
		}
		outputs = append(outputs, *n)
	}
	vm, err := train.NewVM(t.c.Machine, p.answer.Graph(), outputs...)
	return &judge{p, vm}, err
}

func pointers(nodes []*G.Node) (all []**G.Node) {
	for i := range nodes {
		all = append(all, &nodes[i])
	}
	return all
}

// fixedNoise is the run number of validations. Updates have those from 1.
const fixedNoise = 0

// predict runs the judge on rows; the last ones may be fewer than it takes.
func (t *Task) predict(j *judge, d Dataset) (p []float32, err error) {
	if err := t.stepper.Sync(); err != nil {
		return nil, err
	}
	rows := len(j.x) / Features
	for from := 0; from < d.Rows(); from += rows {
		n := min(rows, d.Rows()-from)
		copy(j.x, d.X[from*Features:(from+n)*Features])
		if j.run != nil {
			if err := G.Let(j.run, int64(fixedNoise)); err != nil {
				return nil, err
			}
		}
		if err := j.vm.RunAll(); err != nil {
			return nil, err
		}
		answer, err := nn.Slice[float32](j.answer.Value())
		if err != nil {
			return nil, err
		}
		p = append(p, answer[:n*Labels]...)
		j.vm.Reset()
	}
	return p, nil
}

// Kind implements run.Task.
func (t *Task) Kind() string { return Kind }

// Columns implements run.Task.
func (t *Task) Columns() []string { return []string{"rate", "subset", "hamming", "lawful"} }

// Step implements run.Task.
func (t *Task) Step(ctx context.Context, step int) (run.StepMetrics, error) {
	if err := ctx.Err(); err != nil {
		return run.StepMetrics{}, err
	}
	t.train.batch(t.p.x, t.p.y, t.c.Seed, step)
	if t.p.run != nil {
		if err := G.Let(t.p.run, int64(step)); err != nil {
			return run.StepMetrics{}, err
		}
	}
	rate := t.c.rateAt(step)
	loss, info, err := t.stepper.Step(rate)
	if err != nil {
		return run.StepMetrics{}, err
	}
	return run.StepMetrics{Loss: loss, GradNorm: info.GradNorm, Skipped: info.Skipped,
		Values: map[string]float64{"rate": rate}}, nil
}

// Validate implements run.Validator: the score is the share of rows with a wrong label.
func (t *Task) Validate(int) (score float64, values map[string]float64, err error) {
	p, err := t.predict(t.judge, t.validation)
	if err != nil {
		return 0, nil, err
	}
	s := Score(p, t.validation.Y)
	return 1 - s.Subset, map[string]float64{"subset": s.Subset, "hamming": s.Hamming, "lawful": s.Lawful}, nil
}

func (t *Task) lostGradients() int64 { return t.lost + t.p.lost() }

// saved is the state that is not in arrays.
type saved struct {
	Method string `json:"method"`
	Lost   int64  `json:"lost_gradients"`
}

// Save implements run.Task.
func (t *Task) Save(c *run.Checkpoint) error {
	return errors.Join(train.Save(c, t.stepper, t.Params()), c.Put("training", saved{t.c.Method, t.lostGradients()}))
}

// Load implements run.Task.
func (t *Task) Load(c *run.Checkpoint) error {
	var s saved
	if err := c.Get("training", &s); err != nil {
		return err
	}
	if s.Method != t.c.Method {
		return fmt.Errorf("is of method %s, want %s", s.Method, t.c.Method)
	}
	if err := train.Load(c, t.stepper, t.Params()); err != nil {
		return err
	}
	t.lost = s.Lost - t.p.lost()
	return nil
}

// StepGraph builds the training step of a configuration: the loss of the first update, the parameters that it moves,
// and the update rule.
func StepGraph(c Config) (loss *G.Node, params G.Nodes, o kernels.Optimizer, err error) {
	if err := c.Validate(); err != nil {
		return nil, nil, o, err
	}
	if c.Method == All {
		return nil, nil, o, fmt.Errorf("method is %q, want one of the others: all has a step for each", All)
	}
	p, err := c.newPredictor(c.Batch, nil)
	if err != nil {
		return nil, nil, o, err
	}
	return p.loss, p.model.Params().Nodes(), c.optimizer(), nil
}
