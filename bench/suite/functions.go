package main

import (
	"math"

	"github.com/godcem/godcem/bench/step"
	"github.com/godcem/godcem/internal/vec"
	"github.com/godcem/godcem/kernels"
)

// functionSize fits the second-level caches: what is timed is arithmetic.
const functionSize = 1 << 16

// A function is elementwise; positive ones take |x|.
type function struct {
	name     string
	own      func(dst, src []float32)
	want     func(x float64) float64
	positive bool
}

var functions = []function{
	{"exp", vec.Exp[float32], math.Exp, false},
	{"log", vec.Log[float32], math.Log, true},
	{"log1p", vec.Log1p[float32], math.Log1p, true},
	{"expm1", vec.Expm1[float32], math.Expm1, false},
	{"tanh", vec.Tanh[float32], math.Tanh, false},
	{"sigmoid", vec.Sigmoid[float32], func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, false},
	{"softplus", vec.Softplus[float32], func(x float64) float64 {
		return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
	}, false},
	{"elu", vec.ELU[float32], func(x float64) float64 {
		if x > 0 {
			return x
		}
		return math.Expm1(x)
	}, false},
	{"sin", vec.Sin[float32], math.Sin, false},
	{"cos", vec.Cos[float32], math.Cos, false},
	{"sqrt", vec.Sqrt[float32], math.Sqrt, true},
}

// A functionJob shares a function's elements among the threads.
type functionJob struct {
	f        func(dst, src []float32)
	dst, src []float32
}

func (j *functionJob) Run(from, to int) { j.f(j.dst[from:to], j.src[from:to]) }

func (f function) kernel() *kernelCase {
	x, y := random("x", 1, functionSize, 0), newMatrix("y", 1, functionSize)
	want := make([]float64, functionSize)
	for i := range x.data {
		if f.positive {
			x.data[i] = float32(math.Abs(float64(x.data[i])))
		}
		want[i] = f.want(float64(x.data[i]))
	}
	job := &functionJob{f.own, y.data, x.data}
	return &kernelCase{kind: "map." + f.name, in: []matrix{x}, out: []matrix{y}, want: [][]float64{want},
		tolerance: 2e-7, // some units of the last place
		peers:     []string{"torch", "jax", "numpy"}, bytes: 8 * functionSize,
		own: func(times int) error {
			for range times {
				vec.Parallel(functionSize, functionGrain, job)
			}
			return nil
		}}
}

// functionGrain is that of the peers' own loops, about.
const functionGrain = 1 << 13

func atan2() *kernelCase {
	y, x, a := random("x", 1, functionSize, 0), random("x2", 1, functionSize, 1), newMatrix("y", 1, functionSize)
	want := make([]float64, functionSize)
	for i := range want {
		want[i] = math.Atan2(float64(y.data[i]), float64(x.data[i]))
	}
	c := function{name: "atan2", own: vec.Exp[float32], want: math.Exp}.kernel()
	c.in, c.out, c.want, c.bytes = []matrix{y, x}, []matrix{a}, [][]float64{want}, 12*functionSize
	job := &pairJob{a.data, y.data, x.data}
	c.own = func(times int) error {
		for range times {
			vec.Parallel(functionSize, functionGrain, job)
		}
		return nil
	}
	return c
}

type pairJob struct{ dst, y, x []float32 }

func (j *pairJob) Run(from, to int) { vec.Atan2(j.dst[from:to], j.y[from:to], j.x[from:to]) }

// normals is a million standard normal numbers; each contestant has its own generator.
func normals(n int) *kernelCase {
	y := newMatrix("y", 1, n)
	job := &noiseJob{dst: y.data}
	return &kernelCase{kind: "normal", numbers: []int{n}, in: []matrix{newMatrix("none", 1, 1)}, out: []matrix{y},
		moments: true, tolerance: 5 / math.Sqrt(float64(n)), // five standard errors
		peers: []string{"torch", "jax", "numpy"}, bytes: 4 * float64(n),
		own: func(times int) error {
			for range times {
				job.run++
				vec.Parallel(n/64, 64, job)
			}
			return nil
		}}
}

// A noiseJob draws in blocks of 64.
type noiseJob struct {
	dst []float32
	run uint64
}

func (j *noiseJob) Run(from, to int) {
	kernels.Normal(j.dst[64*from:64*to], step.NoiseSeed, 0, j.run, 64*from)
}

// momentError is the greatest of |mean|, |variance - 1| / sqrt 2 and |mean of cubes| / sqrt 15: each has the standard
// error 1 / sqrt n.
func momentError(v []float64) float64 {
	var m [3]float64
	for _, x := range v {
		m[0], m[1], m[2] = m[0]+x, m[1]+x*x, m[2]+x*x*x
	}
	n := float64(len(v))
	return max(math.Abs(m[0]/n), math.Abs(m[1]/n-1)/math.Sqrt2, math.Abs(m[2]/n)/math.Sqrt(15))
}

// topk marks the k least of each row.
func topk(rows, n, k int) *kernelCase {
	f, mask := random("x", rows, n, 0), newMatrix("y", rows, n)
	want := make([]float64, rows*n)
	kernels.TopK(want, nil, nil, step.Widen(f.data), rows, n, k)
	return &kernelCase{kind: "topk", numbers: []int{k}, in: []matrix{f}, out: []matrix{mask},
		want: [][]float64{want}, tolerance: 1e-6, // any other element is far more
		peers: []string{"torch", "jax", "numpy"}, bytes: 8 * float64(rows*n),
		own: func(times int) error {
			for range times {
				kernels.TopK(mask.data, nil, nil, f.data, rows, n, k)
			}
			return nil
		}}
}

// refit is eq. (4) for candidates (rows, n, d) with weights (rows, n) that sum to k.
func refit(rows, n, d, k int) *kernelCase {
	x, w, mu, sigma := random("x", rows*n, d, 0), random("w", rows, n, 1), newMatrix("mu", rows, d),
		newMatrix("sigma", rows, d)
	thresh := make([]float64, 2*rows)
	kernels.SoftTopKSolve(thresh, nil, w.data, kernels.LML, 1, rows, n, k)
	kernels.SoftTopKForward(w.data, append([]float32(nil), w.data...), thresh, kernels.LML, 1, rows, n, k)
	c := &kernelCase{kind: "refit", numbers: []int{rows, n, d, k}, in: []matrix{x, w},
		out: []matrix{mu, sigma}, want: [][]float64{make([]float64, rows*d), make([]float64, rows*d)},
		tolerance: 1e-6, // sums of n terms
		peers:     []string{"torch", "compile", "jax"}, bytes: 4 * float64(rows*n*(d+1)+2*rows*d)}
	previous := make([]float32, rows*d)
	kernels.RefitForward(c.want[0], c.want[1], step.Widen(x.data), step.Widen(w.data), step.Widen(previous),
		step.Widen(previous), 0, k, rows, n, d)
	c.own = func(times int) error {
		for range times {
			kernels.RefitForward(mu.data, sigma.data, x.data, w.data, previous, previous, 0, k, rows, n, d)
		}
		return nil
	}
	return c
}
