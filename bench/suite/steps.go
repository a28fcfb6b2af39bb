package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/bench/step"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A stepCase is one training step.
type stepCase struct {
	step.Case
	scaling bool // one of many sizes
	known   bool // the answers of the same case in float64 were found right
}

// Flops are those of the products of forward and backward pass, which are nearly all.
func (c stepCase) Flops() float64 {
	s := c.Size()
	rows := float64(s.Batch * s.Samples * s.Iterations)
	weights := 2*128 + 2*128*128 + 128.
	if s.Model == step.Cartpole {
		rows += float64(s.Batch)
		weights = float64(256*s.Dim + 2*256*256 + 256*s.Horizon)
	}
	return 6 * rows * weights
}

// numbers are the case's own, for the peers.
func (c stepCase) numbers() []int {
	s := c.Size()
	numbers := []int{s.Samples, step.Elites, s.Iterations}
	if s.Model == step.Cartpole {
		numbers = append(numbers, s.Horizon)
	}
	return numbers
}

// write writes what the peers start from: the inputs, noise (T, B, N, D), and parameters p0, p1, ...
func (c stepCase) write(dir string) (string, error) {
	s, err := c.Build(nil)
	if err != nil {
		return "", err
	}
	var noise []float64
	for _, v := range c.Noise() {
		noise = append(noise, v...)
	}
	size := c.Size()
	all := append(slices.Clone(s.Data), step.Array(G.NewGraph(), "noise", c.Dtype, noise, size.Iterations, c.Batch,
		size.Samples, size.Dim))
	for i, q := range s.Params {
		all = append(all, nn.Param{Name: fmt.Sprintf("p%d", i), Node: q.Node})
	}
	path := filepath.Join(dir, strings.ReplaceAll(c.String(), " ", "-")+".npz")
	return path, nn.SaveNPZ(path, all)
}

// An outcome is what one training step, the first, came to.
type outcome struct {
	loss, norm float64     // before the update; of the gradient before it is clipped
	grads      [][]float64 // before clipping
	moved      [][]float64 // the parameters after the update, less what they were
}

// reference is the float64 engine's answer to the case's rounded inputs.
func (c stepCase) reference() (*outcome, error) {
	single, err := c.Build(nil)
	if err != nil {
		return nil, err
	}
	wide := c
	wide.Dtype = tensor.Float64
	s, err := wide.Build(c.Noise())
	if err != nil {
		return nil, err
	}
	for i, p := range s.Data { // those of wide are not rounded
		copy(p.Node.Value().Data().([]float64), wideOf(single.Data[i].Node.Value().Data()))
	}
	for i, p := range s.Params {
		copy(p.Node.Value().Data().([]float64), wideOf(single.Params[i].Node.Value().Data()))
	}
	r, err := newEngine(wide, s)
	if err != nil {
		return nil, err
	}
	defer r.close()
	return r.first()
}

// engineStep is godcem's contestant: a training step as one compiled graph.
type engineStep struct {
	*step.Graph
	vm *engine.VM
}

func newEngine(c stepCase, s *step.Graph, opts ...engine.Option) (*engineStep, error) {
	vm, err := engine.NewVM(s.G, append(opts, engine.WithUpdate(c.Adam(), s.Loss, s.Params.Nodes()...))...)
	return &engineStep{s, vm}, err
}

// first does the first step and takes apart what it left in the VM: Adam's first moment is a tenth of the gradient.
func (e *engineStep) first() (*outcome, error) {
	before := make([][]float64, len(e.Params))
	for i, p := range e.Params {
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
		return step.Widen(a.F32)
	}
	return a.F64
}

// outcomeOf takes Adam's first moments after one step, and the parameters before and after it.
func outcomeOf(loss, norm float64, m, before, after [][]float64) *outcome {
	o := &outcome{loss: loss, norm: norm}
	factor := 0.1 * min(1, step.Adam.ClipNorm/(norm+1e-6))
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
	s, err := c.Build(nil)
	if err != nil {
		return nil, err
	}
	g := G.NewGraph()
	into := nn.Params{step.Array(g, "loss", c.Dtype, nil, 1), step.Array(g, "norm", c.Dtype, nil, 1)}
	for i, q := range s.Params {
		into = append(into, step.Array(g, fmt.Sprintf("p%d", i), c.Dtype, nil, q.Node.Shape()...),
			step.Array(g, fmt.Sprintf("m%d", i), c.Dtype, nil, q.Node.Shape()...))
	}
	if err := p.check(into); err != nil {
		return nil, err
	}
	get := func(name string) []float64 { return wideOf(into.Get(name).Node.Value().Data()) }
	var m, before, after [][]float64
	for i, q := range s.Params {
		m, after = append(m, get(fmt.Sprintf("m%d", i))), append(after, get(fmt.Sprintf("p%d", i)))
		before = append(before, wideOf(q.Node.Value().Data()))
	}
	return outcomeOf(get("loss")[0], get("norm")[0], m, before, after), nil
}

// tapeStep is Gorgonia's own machine on the same graph, with the gradients as nodes and the update on the host.
type tapeStep[T kernels.Float] struct {
	*step.Graph
	rule  kernels.Optimizer
	vm    G.VM
	grads G.Nodes
	state kernels.OptimizerState[T]
	step  int64
}

func newTape[T kernels.Float](c stepCase, s *step.Graph) (*tapeStep[T], error) {
	grads, err := autodiff.Gradients(s.Loss, s.Params.Nodes()...)
	if err != nil {
		return nil, err
	}
	return &tapeStep[T]{Graph: s, rule: c.Adam(), vm: G.NewTapeMachine(s.G), grads: grads}, nil
}

func (e *tapeStep[T]) one() (loss float64, info kernels.StepInfo, err error) {
	if err := G.Let(e.Graph.Run, e.step); err != nil {
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
	info = kernels.OptimizerStep(e.rule, &e.state, nn.Values[T](e.Params), grads)
	return wideOf(e.Loss.Value().Data())[0], info, nil
}

func (e *tapeStep[T]) first() (*outcome, error) {
	before := make([][]float64, len(e.Params))
	for i, p := range e.Params {
		before[i] = append([]float64(nil), wideOf(p.Node.Value().Data())...)
	}
	loss, info, err := e.one()
	if err != nil {
		return nil, err
	}
	var m, after [][]float64
	for i, p := range e.Params {
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
	return deviation{math.Abs(o.loss-want.loss) / math.Abs(want.loss), apart(o.grads, want.grads),
		apart(o.moved, want.moved)}
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

// wideOf is the float64 of a value's data: []T or T.
func wideOf(data any) []float64 {
	switch d := data.(type) {
	case []float32:
		return step.Widen(d)
	case []float64:
		return append([]float64(nil), d...)
	case float32:
		return []float64{float64(d)}
	case float64:
		return []float64{d}
	}
	panic(fmt.Sprintf("suite: a value of type %T", data))
}
