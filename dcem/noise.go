package dcem

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// noiseOp draws standard normals, or uniforms, as a pure function of (seed, draw, run, element).
type noiseOp[T kernels.Float] struct {
	seed, draw uint64
	uniform    bool
	shape      tensor.Shape
}

func (k noiseOp[T]) String() string {
	name := "Normal"
	if k.uniform {
		name = "Uniform"
	}
	return fmt.Sprintf("dcem.%s{seed=%d, draw=%d, shape=%v}", name, k.seed, k.draw, k.shape)
}

func (k noiseOp[T]) Run(out any, in []any) { k.from(0, out, in) }

// from draws the elements from the first on.
func (k noiseOp[T]) from(first int, out any, in []any) {
	run := uint64(in[0].([]int64)[0])
	if k.uniform {
		kernels.Uniform(out.([]T), k.seed, k.draw, run, first)
	} else {
		kernels.Normal(out.([]T), k.seed, k.draw, run, first)
	}
}

func (k noiseOp[T]) Rules() []*graphop.Rule { return []*graphop.Rule{nil} }

// laterNoiseOp draws the rows of noise from the first on.
type laterNoiseOp[T kernels.Float] struct {
	noise noiseOp[T]
	first int
}

func (k laterNoiseOp[T]) String() string         { return fmt.Sprintf("%v[%d:]", k.noise, k.first) }
func (k laterNoiseOp[T]) Rules() []*graphop.Rule { return []*graphop.Rule{nil} }
func (k laterNoiseOp[T]) Run(out any, in []any) {
	k.noise.from(k.first*(k.noise.shape.TotalSize()/k.noise.shape[0]), out, in)
}

// Lower implements graphop.Lowerer: a slice of the whole draw. Plans that draw within a loop draw no more than that;
// where noise is stored, as coloured noise is, so are the rows before.
func (k laterNoiseOp[T]) Lower(b *ir.Builder, dt ir.DType, shape []int, in []ir.ID) ir.ID {
	all, start := slices.Clone(shape), make([]int, len(shape))
	all[0] += k.first
	start[0] = k.first
	return b.Slice(k.noise.Lower(b, dt, all, in), start, slices.Repeat([]int{1}, len(shape)), shape)
}

// RunNode adds the run number to a graph: an int64 scalar input, 0 at first. Every draw of [Normal] and [Uniform]
// depends on it, so setting it with gorgonia.Let(run, int64(n)) gives fresh noise, and setting it back gives the same
// noise again.
func RunNode(g *G.ExprGraph, name string) *G.Node {
	return G.NewScalar(g, tensor.Int64, G.WithName(name), G.WithValue(int64(0)))
}

// Normal adds standard normal noise of the given shape and element type to the graph of run, an int64 scalar node
// (see [RunNode]). The noise is a pure function of seed, draw, run and element (Philox4x32-10, see doc/equations.md):
// the same bits on every machine, for any number of threads. Give different draws different draw numbers: nodes of
// equal seed, draw and shape are one node.
func Normal(run *G.Node, dt tensor.Dtype, seed, draw uint64, shape ...int) (*G.Node, error) {
	return noise("Normal", run, dt, seed, draw, false, shape)
}

// Uniform adds uniform noise on [0, 1) to the graph; else it is as [Normal].
func Uniform(run *G.Node, dt tensor.Dtype, seed, draw uint64, shape ...int) (*G.Node, error) {
	return noise("Uniform", run, dt, seed, draw, true, shape)
}

func noise(fn string, run *G.Node, dt tensor.Dtype, seed, draw uint64, uniform bool, shape []int) (*G.Node, error) {
	if run == nil || run.Dtype() != tensor.Int64 || !run.Shape().IsScalar() {
		return nil, fmt.Errorf("dcem: %s: run = %v, want an int64 scalar node (see RunNode)", fn, run)
	}
	if len(shape) == 0 || slices.Min(shape) < 1 {
		return nil, fmt.Errorf("dcem: %s: shape = %v, want one or more positive sizes", fn, shape)
	}
	s := tensor.Shape(slices.Clone(shape))
	return typed(dt, noiseOp[float32]{seed, draw, uniform, s}, noiseOp[float64]{seed, draw, uniform, s}, s, run)
}
