package main

import (
	"fmt"
	"math"
	"path/filepath"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/energy"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// The regression of the method's paper, as bench/engine has it.
const (
	samples    = 100
	elites     = 10
	iterations = 10
	sigma0     = 7
	noiseSeed  = 1
)

var adam = kernels.Optimizer{Rate: 1e-3, ClipNorm: 1}

// A stepCase is one training step of the regression.
type stepCase struct {
	batch int
	dtype tensor.Dtype
}

// A graph is the case's in Gorgonia's words.
type graph struct {
	g         *G.ExprGraph
	loss, run *G.Node
	params    nn.Params
}

// build makes the case's graph. With noise, T arrays, it takes that instead of drawing.
func (c stepCase) build(noise [][]float64) (*graph, error) {
	s := &graph{g: G.NewGraph()}
	x, truth := c.points()
	m, err := energy.NewMLP(s.g, energy.Config{InputDim: 1, OutputDim: 1, Seed: 1, Dtype: c.dtype})
	if err != nil {
		return nil, err
	}
	s.params = m.Params()
	config := dcem.Config{Batch: c.batch, Dim: 1, Samples: samples, Elites: elites, Iterations: iterations,
		Sigma: []float64{sigma0}, Dtype: c.dtype, Seed: noiseSeed}
	for t, v := range noise {
		config.Noise = append(config.Noise, array(s.g, fmt.Sprintf("noise%d", t), c.dtype, v, c.batch, samples, 1).Node)
	}
	u, err := dcem.Unroll(s.g, energy.Objective(m, array(s.g, "x", c.dtype, x, c.batch, 1).Node), config)
	if err != nil {
		return nil, err
	}
	s.run = u.Run
	off, err := G.Sub(u.Answer, array(s.g, "truth", c.dtype, truth, c.batch, 1).Node)
	if err != nil {
		return nil, err
	}
	square, err := G.HadamardProd(off, off)
	if err != nil {
		return nil, err
	}
	s.loss, err = G.Mean(square)
	return s, err
}

// points are x and x sin x, rounded to the case's type.
func (c stepCase) points() (x, truth []float64) {
	x, truth = make([]float64, c.batch), make([]float64, c.batch)
	for i := range x {
		v := 2 * math.Pi * (float64(i) + 0.5) / float64(c.batch)
		x[i], truth[i] = c.round(v), c.round(v*math.Sin(v))
	}
	return x, truth
}

func (c stepCase) round(v float64) float64 {
	if c.dtype == tensor.Float32 {
		return float64(float32(v))
	}
	return v
}

// noise is what run 0 of the case draws.
func (c stepCase) noise() [][]float64 {
	noise := make([][]float64, iterations)
	for t := range noise {
		noise[t] = make([]float64, c.batch*samples)
		if c.dtype == tensor.Float64 {
			kernels.Normal(noise[t], noiseSeed, uint64(t), 0, 0)
			continue
		}
		single := make([]float32, len(noise[t]))
		kernels.Normal(single, noiseSeed, uint64(t), 0, 0)
		copy(noise[t], widen(single))
	}
	return noise
}

// write writes what the peers start from: x, truth, noise (T, B, N, 1), and parameters p0, p1, ...
func (c stepCase) write(dir string) (string, error) {
	s, err := c.build(nil)
	if err != nil {
		return "", err
	}
	g := G.NewGraph()
	x, truth := c.points()
	noise := make([]float64, 0, iterations*c.batch*samples)
	for _, v := range c.noise() {
		noise = append(noise, v...)
	}
	p := nn.Params{array(g, "x", c.dtype, x, c.batch, 1), array(g, "truth", c.dtype, truth, c.batch, 1),
		array(g, "noise", c.dtype, noise, iterations, c.batch, samples, 1)}
	for i, q := range s.params {
		p = append(p, nn.Param{Name: fmt.Sprintf("p%d", i), Node: q.Node})
	}
	path := filepath.Join(dir, fmt.Sprintf("regression-%d-%v.npz", c.batch, c.dtype))
	return path, nn.SaveNPZ(path, p)
}

// An outcome is what one training step, the first, came to.
type outcome struct {
	loss, norm float64     // before the update; of the gradient before it is clipped
	grads      [][]float64 // before clipping
	moved      [][]float64 // the parameters after the update, less what they were
}

// reference is the float64 engine's answer to the case's rounded inputs.
func (c stepCase) reference() (*outcome, error) {
	single, err := c.build(nil)
	if err != nil {
		return nil, err
	}
	wide := stepCase{c.batch, tensor.Float64}
	s, err := wide.build(c.noise())
	if err != nil {
		return nil, err
	}
	x, truth := c.points() // those of wide are not rounded
	for _, n := range s.g.Inputs() {
		switch n.Name() {
		case "x":
			copy(n.Value().Data().([]float64), x)
		case "truth":
			copy(n.Value().Data().([]float64), truth)
		}
	}
	for i, p := range s.params {
		copy(p.Node.Value().Data().([]float64), wideOf(single.params[i].Node.Value().Data()))
	}
	r, err := newEngine(s)
	if err != nil {
		return nil, err
	}
	defer r.close()
	return r.first()
}

// engineStep is godcem's contestant: a training step as one compiled graph.
type engineStep struct {
	*graph
	vm *engine.VM
}

func newEngine(s *graph) (*engineStep, error) {
	vm, err := engine.NewVM(s.g, engine.WithUpdate(adam, s.loss, s.params.Nodes()...))
	return &engineStep{s, vm}, err
}

// first does the first step and takes apart what it left in the VM: Adam's first moment is a tenth of the gradient.
func (e *engineStep) first() (*outcome, error) {
	before := make([][]float64, len(e.params))
	for i, p := range e.params {
		before[i] = append([]float64(nil), wideOf(p.Node.Value().Data())...)
	}
	if err := e.vm.RunAll(); err != nil {
		return nil, err
	}
	loss, err := e.vm.Loss()
	if err != nil {
		return nil, err
	}
	info, err := e.vm.Info()
	if err != nil {
		return nil, err
	}
	state, err := e.vm.State()
	if err != nil {
		return nil, err
	}
	var m, after [][]float64
	for i := range state.Params {
		m, after = append(m, elements(state.M[i])), append(after, elements(state.Params[i]))
	}
	return outcomeOf(loss, info.GradNorm, m, before, after), nil
}

func (e *engineStep) run(n int) error {
	for range n {
		if err := e.vm.RunAll(); err != nil {
			return err
		}
	}
	_, err := e.vm.Loss() // waits
	return err
}

func (e *engineStep) close() error { return e.vm.Close() }

func elements(a engine.Array) []float64 {
	if a.F32 != nil {
		return widen(a.F32)
	}
	return a.F64
}

// outcomeOf takes Adam's first moments after one step, and the parameters before and after it.
func outcomeOf(loss, norm float64, m, before, after [][]float64) *outcome {
	o := &outcome{loss: loss, norm: norm}
	factor := 0.1 * min(1, adam.ClipNorm/(norm+1e-6))
	for i := range m {
		g, d := make([]float64, len(m[i])), make([]float64, len(m[i]))
		for j := range g {
			g[j], d[j] = m[i][j]/factor, after[i][j]-before[i][j]
		}
		o.grads, o.moved = append(o.grads, g), append(o.moved, d)
	}
	return o
}

// peerFirst is the first step of a Python peer.
func (c stepCase) peerFirst(p *peer) (*outcome, error) {
	s, err := c.build(nil)
	if err != nil {
		return nil, err
	}
	g := G.NewGraph()
	into := nn.Params{array(g, "loss", c.dtype, nil, 1), array(g, "norm", c.dtype, nil, 1)}
	for i, q := range s.params {
		into = append(into, array(g, fmt.Sprintf("p%d", i), c.dtype, nil, q.Node.Shape()...),
			array(g, fmt.Sprintf("m%d", i), c.dtype, nil, q.Node.Shape()...))
	}
	if err := p.check(into); err != nil {
		return nil, err
	}
	get := func(name string) []float64 { return wideOf(into.Get(name).Node.Value().Data()) }
	var m, before, after [][]float64
	for i, q := range s.params {
		m, after = append(m, get(fmt.Sprintf("m%d", i))), append(after, get(fmt.Sprintf("p%d", i)))
		before = append(before, wideOf(q.Node.Value().Data()))
	}
	return outcomeOf(get("loss")[0], get("norm")[0], m, before, after), nil
}

// tapeStep is Gorgonia's own machine on the same graph, with the gradients as nodes and the update on the host.
type tapeStep[T kernels.Float] struct {
	*graph
	vm    G.VM
	grads G.Nodes
	state kernels.OptimizerState[T]
	step  int64
}

func newTape[T kernels.Float](s *graph) (*tapeStep[T], error) {
	grads, err := autodiff.Gradients(s.loss, s.params.Nodes()...)
	if err != nil {
		return nil, err
	}
	return &tapeStep[T]{graph: s, vm: G.NewTapeMachine(s.g), grads: grads}, nil
}

func (e *tapeStep[T]) one() (loss float64, info kernels.StepInfo, err error) {
	if err := G.Let(e.graph.run, e.step); err != nil {
		return 0, info, err
	}
	e.step++
	defer e.vm.Reset()
	if err := e.vm.RunAll(); err != nil {
		return 0, info, err
	}
	grads := make([][]T, len(e.grads))
	for i, n := range e.grads {
		grads[i] = n.Value().Data().([]T)
	}
	info = kernels.OptimizerStep(adam, &e.state, nn.Values[T](e.params), grads)
	return wideOf(e.loss.Value().Data())[0], info, nil
}

func (e *tapeStep[T]) first() (*outcome, error) {
	before := make([][]float64, len(e.params))
	for i, p := range e.params {
		before[i] = append([]float64(nil), wideOf(p.Node.Value().Data())...)
	}
	loss, info, err := e.one()
	if err != nil {
		return nil, err
	}
	var m, after [][]float64
	for i, p := range e.params {
		m, after = append(m, wideOf(any(e.state.M[i]))), append(after, wideOf(p.Node.Value().Data()))
	}
	return outcomeOf(loss, info.GradNorm, m, before, after), nil
}

func (e *tapeStep[T]) run(n int) error {
	for range n {
		if _, _, err := e.one(); err != nil {
			return err
		}
	}
	return nil
}

func (e *tapeStep[T]) close() error { return e.vm.Close() }

// A deviation is how far an outcome is from another: relative, in the 2-norm over all parameters.
type deviation struct {
	Loss, Grad, Move float64
}

func (o *outcome) against(want *outcome) deviation {
	return deviation{math.Abs(o.loss-want.loss) / math.Abs(want.loss), apart(o.grads, want.grads), apart(o.moved, want.moved)}
}

// apart is |a - b| / |b|; NaN if lengths differ.
func apart(a, b [][]float64) float64 {
	var d, s float64
	if len(a) != len(b) {
		return math.NaN()
	}
	for i := range a {
		if len(a[i]) != len(b[i]) {
			return math.NaN()
		}
		for j, v := range a[i] {
			d, s = d+(v-b[i][j])*(v-b[i][j]), s+b[i][j]*b[i][j]
		}
	}
	return math.Sqrt(d / s)
}

// array adds a named input; without values it holds zeros.
func array(g *G.ExprGraph, name string, dt tensor.Dtype, v []float64, shape ...int) nn.Param {
	if v == nil {
		v = make([]float64, tensor.Shape(shape).TotalSize())
	}
	var backing any = append([]float64(nil), v...)
	if dt == tensor.Float32 {
		single := make([]float32, len(v))
		for i := range v {
			single[i] = float32(v[i])
		}
		backing = single
	}
	t := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(backing))
	return nn.Param{Name: name, Node: G.NewTensor(g, dt, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(t))}
}

func widen(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

// wideOf is the float64 of a value's data: []T or T.
func wideOf(data any) []float64 {
	switch d := data.(type) {
	case []float32:
		return widen(d)
	case []float64:
		return append([]float64(nil), d...)
	case float32:
		return []float64{float64(d)}
	case float64:
		return []float64{d}
	}
	panic(fmt.Sprintf("suite: a value of type %T", data))
}

func (c stepCase) String() string { return fmt.Sprintf("regression B=%d %v", c.batch, c.dtype) }
