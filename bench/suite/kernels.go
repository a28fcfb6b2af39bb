package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/godcem/godcem/bench/step"
	"github.com/godcem/godcem/internal/vec"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A kernelCase is one kernel by itself, float32: arrays in, arrays out.
type kernelCase struct {
	kind      string // of the peers' case
	numbers   []int
	in        []matrix
	out       []matrix // float32, where own writes
	want      [][]float64
	tolerance float64
	moments   bool // out are random numbers: their moments are checked, not their values
	own       func(n int) error
	read      func()   // brings the results of own to out; nil: they are there
	peers     []string // that have it
	flops     float64
	bytes     float64
}

type matrix struct {
	name       string
	rows, cols int // rows = 0: it has one dimension
	data       []float32
}

func newMatrix(name string, rows, cols int) matrix {
	return matrix{name, rows, cols, make([]float32, rows*cols)}
}

// random is a matrix of standard normal numbers, of the given draw.
func random(name string, rows, cols int, draw uint64) matrix {
	m := newMatrix(name, rows, cols)
	kernels.Normal(m.data, step.NoiseSeed, draw, 0, 0)
	return m
}

func sgemm(m, k, n int) *kernelCase {
	a, b, c := random("a", m, k, 0), random("b", k, n, 1), newMatrix("c", m, n)
	want := make([]float64, m*n)
	vec.Gemm(false, false, m, n, k, 1, step.Widen(a.data), k, step.Widen(b.data), n, 0, want, n)
	return &kernelCase{kind: "sgemm", in: []matrix{a, b}, out: []matrix{c},
		want: [][]float64{want}, tolerance: 1e-6, // sums of up to 256 products, in any order
		peers: []string{"torch", "jax", "numpy"}, flops: 2 * float64(m) * float64(k) * float64(n),
		bytes: 4 * float64(m*k+k*n+m*n),
		own: func(times int) error {
			for range times {
				vec.Gemm(false, false, m, n, k, 1, a.data, k, b.data, n, 0, c.data, n)
			}
			return nil
		}}
}

// lml is the projection of rows of standardised scores and its derivative.
func lml(rows, n, k int) *kernelCase {
	x, g, y, dx := random("x", rows, n, 0), random("g", rows, n, 1), newMatrix("y", rows, n), newMatrix("dx", rows, n)
	c := &kernelCase{kind: "lml", numbers: []int{k}, in: []matrix{x, g}, out: []matrix{y, dx},
		peers: []string{"torch", "compile", "jax"}, bytes: 16 * float64(rows*n),
		// The peers' root is that of a float32 sum, k to some units of the last place: more of them in long rows.
		tolerance: 3e-6 * math.Max(1, math.Sqrt(float64(n)/100))}
	thresh := make([]float64, 2*rows)
	c.own = func(times int) error {
		for range times {
			project(y.data, dx.data, x.data, g.data, thresh, rows, n, k)
		}
		return nil
	}
	c.want = [][]float64{make([]float64, rows*n), make([]float64, rows*n)}
	project(c.want[0], c.want[1], step.Widen(x.data), step.Widen(g.data), thresh, rows, n, k)
	return c
}

func project[T kernels.Float](y, dx, x, g []T, thresh []float64, rows, n, k int) {
	kernels.SoftTopK(y, thresh, nil, x, kernels.LML, 1, rows, n, k)
	kernels.SoftTopKBackward(dx, x, thresh, g, kernels.LML, 1, rows, n, k)
}

// params are matrices as nodes, to be written and read.
func params(list []matrix) (p nn.Params) {
	g := G.NewGraph()
	for _, m := range list {
		shape := []int{m.rows, m.cols}
		if m.rows == 0 {
			shape = shape[1:]
		}
		p = append(p, step.Array(g, m.name, tensor.Float32, step.Widen(m.data), shape...))
	}
	return p
}

// kernel measures a kernel.
func (b *bench) kernel(about result, c *kernelCase) error {
	about.Flops, about.Bytes, about.Absent = c.flops, c.bytes, map[string]string{}
	names := b.racing(append([]string{"godcem"}, c.peers...))
	if b.log.recent(about, names, b.resume) {
		return nil
	}
	began := time.Now()
	file := filepath.Join(b.dir, strings.ReplaceAll(about.Case, " ", "-")+".npz")
	if err := nn.SaveNPZ(file, params(c.in)); err != nil {
		return err
	}
	var all []*contestant
	add := func(x *contestant, out nn.Params) error {
		got := make([][]float64, len(out))
		for i := range out {
			got[i] = wideOf(out[i].Node.Value().Data())
			// Each by itself: one may be much the larger.
			if c.moments {
				x.errors.Grad = max(x.errors.Grad, momentError(got[i]))
			} else {
				x.errors.Grad = max(x.errors.Grad, apart(got[i:i+1], c.want[i:i+1]))
			}
		}
		x.ready, began = time.Since(began), time.Now()
		all = append(all, x)
		if !(x.errors.Grad <= c.tolerance) {
			return fmt.Errorf("%s: relative error %.2g, want at most %g", x.name, x.errors.Grad, c.tolerance)
		}
		x.sound = true
		return nil
	}
	if contains(b.only, "godcem") {
		if err := c.own(1); err != nil {
			return err
		}
		if c.read != nil {
			c.read()
		}
		if err := add(&contestant{name: "godcem", run: timed(c.own), rounds: b.rounds}, params(c.out)); err != nil {
			return err
		}
	}
	for _, p := range b.peers {
		if !contains(c.peers, p.name) {
			continue
		}
		began = time.Now()
		if err := b.enter(p, about, &all, func() error {
			return b.ready(p, about, c.kind, "float32", file, c.numbers...)
		}, func() error {
			into := params(c.out)
			for i := range into {
				clear(into[i].Node.Value().Data().([]float32))
			}
			if err := p.check(into); err != nil {
				return err
			}
			return add(&contestant{name: p.name, run: p.run, rounds: b.roundsOf(about, p.name)}, into)
		}); err != nil {
			return err
		}
	}
	return b.raceAndNote(about, all)
}
