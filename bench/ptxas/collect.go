package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/godcem/godcem/bench/step"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/backendtest"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/pass"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/control/embed"
	"github.com/godcem/godcem/models/control/learn"
	"github.com/godcem/godcem/models/energy/bumps"
	"github.com/godcem/godcem/models/energy/regression"
	"github.com/godcem/godcem/models/energy/spen"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// sms is how many multiprocessors a common device of a compute capability has: emitted kernels depend on it.
var sms = map[int]int{75: 40 /* T4 */, 80: 108 /* A100 */, 86: 82 /* RTX 3090 */, 89: 128, /* RTX 4090 */
	90: 132 /* H200 */}

// A program is something that is emitted.
type program struct {
	name string
	// plans gives its plans.
	plans func() ([]*plan.Program, error)
	// main: for the oldest and the newest device; else for the newest alone.
	main bool
}

// sample are the main programs that are compiled for the devices between too: they have a kernel of nearly every
// kind. What differs between devices is the compiler's, not the program's.
var sample = []string{"regression", "regression B=100", "cartpole dcem", "spen dcem", "bumps"}

// on reports whether the program is compiled for the i-th of n devices, the oldest first.
func (p *program) on(i, n int) bool {
	switch i {
	case n - 1:
		return true
	case 0:
		return p.main
	}
	return slices.Contains(sample, p.name)
}

// programs are the training steps of the repository's programs, with what their flags change, in both types, and the
// backends' cases.
func programs() []program {
	var all []program
	graph := func(name string, main bool, build func() (*G.Node, G.Nodes, kernels.Optimizer, error)) {
		all = append(all, program{name, func() ([]*plan.Program, error) { return planned(build()) }, main})
	}
	for _, wide := range []bool{false, true} {
		for _, v := range []struct {
			name   string
			main   int // 1: in float32, 2: in float64 too
			change func(*regression.Config)
		}{
			{"", 2, func(c *regression.Config) {}},
			{" csoftmax", 1, func(c *regression.Config) { c.Relaxation = kernels.ConstrainedSoftmax.String() }},
			{" csparsemax", 1, func(c *regression.Config) { c.Relaxation = kernels.ConstrainedSparsemax.String() }},
			{" gd", 1, func(c *regression.Config) { c.Method = regression.GD }},
			{" cem-forward", 0, func(c *regression.Config) { c.Method = regression.CEMForward }},
			{" icnn", 0, func(c *regression.Config) { c.Model = regression.ModelICNN }},
			{" feedforward", 0, func(c *regression.Config) { c.Model = regression.ModelFeedForward }},
			{" bounded, k = N", 0, func(c *regression.Config) {
				c.Lower, c.Upper, c.Elites = []float64{-7}, []float64{7},
					c.Samples
			}},
			{" of 10,000 samples", 0, func(c *regression.Config) { c.Samples, c.Iterations = 10_000, 2 }},
		} {
			c := regression.Default()
			c.Float64 = wide
			v.change(&c)
			graph("regression"+v.name+width(wide), v.main == 2 || v.main == 1 && !wide,
				func() (*G.Node, G.Nodes, kernels.Optimizer, error) { return regression.StepGraph(c) })
		}
		t := tensor.Float32
		if wide {
			t = tensor.Float64
		}
		graph("regression B=100"+width(wide), !wide, func() (*G.Node, G.Nodes, kernels.Optimizer, error) {
			s, err := step.Case{Batch: 100, Dtype: t}.Build(nil)
			if err != nil {
				return nil, nil, kernels.Optimizer{}, err
			}
			return s.Loss, s.Params.Nodes(), step.Adam, nil
		})
		for _, method := range []string{embed.DCEM, embed.GD} {
			c := embed.Default()
			c.Float64, c.Method = wide, method
			graph("cartpole "+method+width(wide), !wide || method == embed.DCEM,
				func() (*G.Node, G.Nodes, kernels.Optimizer, error) { return embed.StepGraph(c) })
		}
	}
	for _, method := range []string{spen.DCEM, spen.GD, spen.FeedForward} {
		c := spen.Default()
		c.Method = method
		graph("spen "+method, true, func() (*G.Node, G.Nodes, kernels.Optimizer, error) { return spen.StepGraph(c) })
	}
	for _, kind := range []string{learn.Dynamics, learn.Cost} {
		graph(kind, true, func() (*G.Node, G.Nodes, kernels.Optimizer,
			error) {
			return learn.StepGraph(kind, learn.Default(kind))
		})
	}
	c := bumps.Default()
	graph("bumps", true, func() (*G.Node, G.Nodes, kernels.Optimizer, error) { return bumps.StepGraph(c) })
	return append(all, program{"the backends' cases", cases, false})
}

func width(wide bool) string {
	if wide {
		return " float64"
	}
	return ""
}

// A listener is a device that keeps the plans it is given.
type listener struct {
	plans []*plan.Program
}

func (l *listener) Info() backend.Info   { return backend.Info{Name: "listener"} }
func (l *listener) Close() error         { return nil }
func (l *listener) Tune(o *plan.Options) { o.Slack = emit.Slack }

var errHeard = errors.New("heard")

func (l *listener) Compile(p *plan.Program) (backend.Executable, error) {
	l.plans = append(l.plans, p)
	return nil, errHeard
}

// planned is what a training step compiles to.
func planned(loss *G.Node, params G.Nodes, o kernels.Optimizer, err error) ([]*plan.Program, error) {
	if err != nil {
		return nil, err
	}
	l := &listener{}
	vm, err := engine.NewVM(loss.Graph(), engine.On(l), engine.WithUpdate(o, loss, params...))
	if err == nil {
		vm.Close()
	}
	if !errors.Is(err, errHeard) {
		return nil, fmt.Errorf("compiled for a device that refuses all programs: %w", err)
	}
	return l.plans, nil
}

// cases are the plans of the backends' table.
func cases() (all []*plan.Program, err error) {
	for _, c := range backendtest.Cases() {
		if strings.HasPrefix(c.Name, "random") {
			continue // kernels like those of the others, and as many again
		}
		types := c.Types
		if types == nil {
			types = []ir.DType{ir.F32, ir.F64}
		}
		for _, t := range types {
			b := ir.NewBuilder()
			c.Build(b, t)
			if err := b.Err(); err != nil {
				return nil, fmt.Errorf("%s/%v: %w", c.Name, t, err)
			}
			g, _, err := pass.Run(b.G, pass.Options{})
			if err != nil {
				return nil, fmt.Errorf("%s/%v: %w", c.Name, t, err)
			}
			p, err := plan.New(g, plan.Options{Slack: emit.Slack})
			if err != nil {
				return nil, fmt.Errorf("%s/%v: %w", c.Name, t, err)
			}
			all = append(all, p)
		}
	}
	return all, nil
}

// generic are the files of package kernels that are no ops of DCEM.
var generic = []string{"common.cu", "math.cu", "philox.cu", "gemm.cu", "update.cu", "prims.cu", "reduce.cu",
	"loop.cu"}

// isDCEM reports whether a kernel has one of DCEM's ops in it.
func isDCEM(k *emit.Kernel) bool {
	for _, f := range k.Files {
		known := false
		for _, g := range generic {
			known = known || f == g
		}
		if !known && strings.HasSuffix(f, ".cu") {
			return true
		}
	}
	return false
}
