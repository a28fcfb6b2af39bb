package dcem

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Config configures the method. The zero value of every field but Batch and Dim is the paper's setting.
type Config struct {
	Batch int // number of independent problems B; 0 means 1
	Dim   int // dimensions D of one candidate; required

	Samples    int // candidates per iteration N; 0 means 100
	Elites     int // elite budget k, 1 <= k <= N; 0 means 10. At k = 1 the weights are the softmax of -v/tau
	Iterations int // T; 0 means 10

	// Temperature is tau in eq. (3), above 0; 0 means 1. It divides the normalised costs: the smaller, the closer to
	// vanilla CEM.
	Temperature float64
	// Hard replaces the soft top-k by the exact one: vanilla CEM, the limit tau -> 0. Gradients then flow through the
	// samples alone.
	Hard bool
	// Relaxation chooses the soft top-k; the zero value is LML.
	Relaxation kernels.Relaxation
	// RawCosts leaves the costs unnormalised in eq. (2).
	RawCosts bool

	// Lower and Upper bound each dimension: D values, or one for all; nil, -Inf and +Inf mean none.
	Lower, Upper []float64
	// Mu and Sigma start the search: B*D values, or D for every problem alike, or one; nil means 0 and 1. Sigma is at
	// least 0.
	Mu, Sigma []float64
	// SigmaMin is the floor of sigma after each refit, at least 0.
	SigmaMin float64

	// Seed and Draw select the noise: iteration t uses draw number Draw + t. Solves with equal Seed, Draw and run number
	// share their noise.
	Seed, Draw uint64

	// The fields below are for graphs, and for Unroll alone.

	// Dtype is the element type: tensor.Float32 (the zero value means this) or tensor.Float64.
	Dtype tensor.Dtype
	// MuNode and SigmaNode, of shape (B, D), take the place of Mu and Sigma; gradients flow into them.
	MuNode, SigmaNode *G.Node
	// Run is the run number that the noise depends on (see RunNode); nil adds one to the graph.
	Run *G.Node
	// Noise supplies eps for each iteration, T nodes of shape (B, N, D), in place of draws: common random numbers.
	Noise G.Nodes
	// Project maps the candidates of shape (B, N, D) into the feasible set, after the bounds; nil means none.
	Project func(x *G.Node) (*G.Node, error)
	// Backprop is the number of last iterations that gradients flow through; 0 means all. The values are the same; the
	// gradient is that with mu and sigma before those iterations held fixed.
	Backprop int
}

// withDefaults checks c on behalf of fn and returns it with zero values replaced and vectors spread to full size.
func (c Config) withDefaults(fn string) (Config, error) {
	fail := func(format string, a ...any) (Config, error) {
		return c, fmt.Errorf("dcem: %s: %s", fn, fmt.Sprintf(format, a...))
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&c.Batch, 1}, {&c.Samples, 100}, {&c.Elites, 10}, {&c.Iterations, 10}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.Temperature == 0 {
		c.Temperature = 1
	}
	if c.Dtype == (tensor.Dtype{}) {
		c.Dtype = tensor.Float32
	}
	switch {
	case c.Batch < 1:
		return fail("Batch = %d, want at least 1", c.Batch)
	case c.Dim < 1:
		return fail("Dim = %d, want at least 1", c.Dim)
	case c.Samples < 1:
		return fail("Samples = %d, want at least 1", c.Samples)
	case c.Elites < 1 || c.Elites > c.Samples:
		return fail("Elites = %d, want 1 <= Elites <= Samples = %d", c.Elites, c.Samples)
	case c.Iterations < 1:
		return fail("Iterations = %d, want at least 1", c.Iterations)
	case !(c.Temperature > 0) || math.IsInf(c.Temperature, 1) || math.IsInf(1/c.Temperature, 1):
		return fail("Temperature = %v, want a finite number above 0, its inverse finite too (Hard is the limit 0)", c.Temperature)
	case c.Relaxation > kernels.ConstrainedSparsemax:
		return fail("Relaxation = %v, want LML, ConstrainedSoftmax or ConstrainedSparsemax", c.Relaxation)
	case !(c.SigmaMin >= 0) || math.IsInf(c.SigmaMin, 1):
		return fail("SigmaMin = %v, want a finite number of at least 0", c.SigmaMin)
	case c.Dtype != tensor.Float32 && c.Dtype != tensor.Float64:
		return fail("Dtype = %v, want float32 or float64", c.Dtype)
	case c.Backprop < 0 || c.Backprop > c.Iterations:
		return fail("Backprop = %d, want 0 <= Backprop <= Iterations = %d", c.Backprop, c.Iterations)
	}
	if per := math.MaxInt / c.Samples / c.Dim; c.Batch > per {
		return fail("Batch*Samples*Dim = %d*%d*%d is beyond the range of int", c.Batch, c.Samples, c.Dim)
	}
	if c.Backprop == 0 {
		c.Backprop = c.Iterations
	}
	for i, v := range c.Sigma {
		if v < 0 {
			return fail("Sigma[%d] = %v, want at least 0", i, v)
		}
	}
	var err error
	if c.Lower, c.Upper, err = spreadBounds(fn, c.Lower, c.Upper, c.Dim); err != nil {
		return c, err
	}
	if c.Mu, err = spreadStart(fn, "Mu", c.Mu, 0, c.Batch, c.Dim, c.Dtype); err != nil {
		return c, err
	}
	if c.Sigma, err = spreadStart(fn, "Sigma", c.Sigma, 1, c.Batch, c.Dim, c.Dtype); err != nil {
		return c, err
	}
	if c.Dtype == tensor.Float32 {
		err = inRange[float32](fn, c)
	}
	return c, err
}

// inRange checks that the numbers of c are still what they should be as elements of type T.
func inRange[T kernels.Float](fn string, c Config) error {
	for _, v := range []struct {
		name   string
		values []float64
		ok     func(T) bool
	}{
		{"SigmaMin", []float64{c.SigmaMin}, finite[T]},
		{"Lower", c.Lower, func(x T) bool { return !math.IsInf(float64(x), 1) }},
		{"Upper", c.Upper, func(x T) bool { return !math.IsInf(float64(x), -1) }},
	} {
		for _, x := range v.values {
			if !v.ok(T(x)) {
				return fmt.Errorf("dcem: %s: %s = %v is beyond the range of %v", fn, v.name, x, dtypeOf[T]())
			}
		}
	}
	return nil
}

// spreadStart gives a starting vector B*D finite values.
func spreadStart(fn, name string, v []float64, zero float64, b, d int, dt tensor.Dtype) ([]float64, error) {
	switch len(v) {
	case 0:
		v = []float64{zero}
	case 1, d, b * d:
	default:
		return nil, fmt.Errorf("dcem: %s: %s has %d values, want 1, Dim = %d or Batch*Dim = %d", fn, name, len(v), d, b*d)
	}
	full := make([]float64, b*d)
	for i := range full {
		full[i] = v[i%len(v)]
		if math.IsNaN(full[i]) || math.IsInf(full[i], 0) {
			return nil, fmt.Errorf("dcem: %s: %s[%d] = %v, want a finite number", fn, name, i%len(v), full[i])
		}
		if dt == tensor.Float32 && math.IsInf(float64(float32(full[i])), 0) {
			return nil, fmt.Errorf("dcem: %s: %s = %v is beyond the range of float32", fn, name, full[i])
		}
	}
	return full, nil
}

// relaxation is the soft top-k in force: at k = 1 LML gives way to the softmax, as published.
func (c Config) relaxation() kernels.Relaxation {
	if c.Elites == 1 && c.Relaxation == kernels.LML {
		return kernels.ConstrainedSoftmax
	}
	return c.Relaxation
}
