package kernels

import (
	"fmt"
	"slices"
)

// A Pattern says over which of the axes problem (b), sample (n), dimension (d) an array extends.
type Pattern uint8

// The three kinds of array that a DCEM iteration handles.
const (
	BD  Pattern = iota // mu, sigma
	BN                 // costs, weights
	BND                // candidates, noise
)

// String returns the pattern's axes, as in "bnd".
func (p Pattern) String() string { return [...]string{"bd", "bn", "bnd"}[p] }

// Size returns the number of elements of an array of that pattern.
func (p Pattern) Size(b, n, d int) int {
	s := p.strides(n, d)
	switch {
	case s.d == 0:
		return b * n
	case s.n == 0:
		return b * d
	}
	return b * n * d
}

type strides struct{ b, n, d int }

func (p Pattern) strides(n, d int) strides {
	switch p {
	case BD:
		return strides{b: d, d: 1}
	case BN:
		return strides{b: n, n: 1}
	}
	return strides{b: n * d, n: d, d: 1}
}

// Contract multiplies arrays elementwise over the axes b, n, d, each repeated along the axes it lacks, and sums over
// the axes that the output lacks: out[.] = scale * sum prod_i operands[i][.]. It is closed under differentiation (the
// gradient of an operand is the contraction of the output's gradient with the other operands), which makes it the
// building block for derivatives of any order. Sums are in float64.
//
//	for b, n, d { out[b,n,d restricted to outPattern] += scale * prod_i operands[i][b,n,d restricted to patterns[i]] }
func Contract[T Float](out []T, outPattern Pattern, operands [][]T, patterns []Pattern, scale float64, b, n, d int) {
	if len(operands) == 0 || len(operands) != len(patterns) {
		panic(fmt.Sprintf("kernels: Contract: %d operands with %d patterns, want at least one and as many", len(operands), len(patterns)))
	}
	if len(out) != outPattern.Size(b, n, d) {
		panic(fmt.Sprintf("kernels: Contract: output has %d elements, want %v = %d", len(out), outPattern, outPattern.Size(b, n, d)))
	}
	for i, o := range operands {
		if want := patterns[i].Size(b, n, d); len(o) != want {
			panic(fmt.Sprintf("kernels: Contract: operand %d has %d elements, want %v = %d", i, len(o), patterns[i], want))
		}
	}
	// Leading factors that are constant along d times one that is not: no product needs to be kept.
	last := len(patterns) - 1
	direct := patterns[last] != BN && !slices.ContainsFunc(patterns[:last], func(p Pattern) bool { return p != BN })
	job := contractJob[T]{out, outPattern, operands, patterns, scale, direct, n, d}
	if outPattern == BD {
		tiles := (d + contractTile - 1) / contractTile
		runPooled[T](&contractJobs, job, b*tiles, 1+contractGrain/max(1, n*min(d, contractTile)))
		return
	}
	runPooled[T](&contractJobs, job, b*n, 1+contractGrain/max(1, d))
}

const (
	contractTile  = 256  // dimensions handled at a time, so that their products stay in the first-level cache
	contractGrain = 8192 // products worth a thread
)

// contractJob is one call. Its items are samples of all problems, or tiles of a problem's dimensions where the samples
// are summed.
type contractJob[T Float] struct {
	out        []T
	outPattern Pattern
	operands   [][]T
	patterns   []Pattern
	scale      float64
	direct     bool
	n, d       int
}

var contractJobs poolPair

// Run implements vec.Job.
func (j *contractJob[T]) Run(lo, hi int) {
	switch j.outPattern {
	case BD:
		j.sumSamples(lo, hi)
	case BN:
		j.sumDimensions(lo, hi)
	case BND:
		j.products(lo, hi)
	}
}

// vector returns operand i, one that extends over d, for a sample (counted over all problems) and w dimensions.
func (j *contractJob[T]) vector(i, problem, row, from, w int) []T {
	if j.patterns[i] == BD {
		row = problem
	}
	return j.operands[i][row*j.d+from:][:w]
}

// factors returns, where the job is direct, the product of scale and the leading factors, and the last one.
func (j *contractJob[T]) factors(problem, row, from, w int) (c float64, v []T) {
	last := len(j.operands) - 1
	c = j.scale
	for _, o := range j.operands[:last] {
		c *= float64(o[row])
	}
	return c, j.vector(last, problem, row, from, w)
}

// product writes the product of scale and all operands, from left to right.
func (j *contractJob[T]) product(dst []float64, problem, row, from int) {
	c, filled := j.scale, false
	for i, o := range j.operands {
		switch {
		case j.patterns[i] != BN && filled:
			for k, x := range j.vector(i, problem, row, from, len(dst)) {
				dst[k] *= float64(x)
			}
		case j.patterns[i] != BN:
			for k, x := range j.vector(i, problem, row, from, len(dst)) {
				dst[k] = c * float64(x)
			}
			filled = true
		case filled:
			x := float64(o[row])
			for k := range dst {
				dst[k] *= x
			}
		default:
			c *= float64(o[row])
		}
	}
	if !filled {
		for k := range dst {
			dst[k] = c
		}
	}
}

// products writes rows of a (b,n,d) output.
func (j *contractJob[T]) products(lo, hi int) {
	var buf [contractTile]float64
	for row := lo; row < hi; row++ {
		problem, out := row/j.n, j.out[row*j.d:][:j.d]
		if j.direct {
			if c, v := j.factors(problem, row, 0, j.d); c == 1 {
				copy(out, v)
			} else {
				for k, x := range v {
					out[k] = T(c * float64(x))
				}
			}
			continue
		}
		for from := 0; from < j.d; from += contractTile {
			p := buf[:min(contractTile, j.d-from)]
			j.product(p, problem, row, from)
			for k, x := range p {
				out[from+k] = T(x)
			}
		}
	}
}

// sumDimensions writes entries of a (b,n) output.
func (j *contractJob[T]) sumDimensions(lo, hi int) {
	var buf [contractTile]float64
	for row := lo; row < hi; row++ {
		problem, sum := row/j.n, 0.0
		if j.direct {
			c, v := j.factors(problem, row, 0, j.d)
			for _, x := range v {
				sum += float64(c * float64(x)) // no fused multiply-add
			}
		} else {
			for from := 0; from < j.d; from += contractTile {
				p := buf[:min(contractTile, j.d-from)]
				j.product(p, problem, row, from)
				for _, x := range p {
					sum += x
				}
			}
		}
		j.out[row] = T(sum)
	}
}

// sumSamples writes tiles of the rows of a (b,d) output.
func (j *contractJob[T]) sumSamples(lo, hi int) {
	var buf, sums [contractTile]float64
	tiles := (j.d + contractTile - 1) / contractTile
	for ; lo < hi; lo++ {
		problem, from := lo/tiles, lo%tiles*contractTile
		w := min(contractTile, j.d-from)
		sum, p := sums[:w], buf[:w]
		clear(sum)
		for row := problem * j.n; row < (problem+1)*j.n; row++ {
			if j.direct {
				c, v := j.factors(problem, row, from, w)
				for k, x := range v {
					sum[k] += float64(c * float64(x)) // no fused multiply-add
				}
				continue
			}
			j.product(p, problem, row, from)
			for k, x := range p {
				sum[k] += x
			}
		}
		for k, x := range sum {
			j.out[problem*j.d+from+k] = T(x)
		}
	}
}
