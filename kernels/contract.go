package kernels

import (
	"fmt"
	"sync"

	"github.com/godcem/godcem/internal/vec"
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
	j := newContractJob[T]()
	*j = contractJob[T]{out, outPattern, operands, patterns, scale, n, d}
	vec.Parallel(b, 1+8192/max(1, n*d), j)
	*j = contractJob[T]{}
	putContractJob(j)
}

type contractJob[T Float] struct {
	out        []T
	outPattern Pattern
	operands   [][]T
	patterns   []Pattern
	scale      float64
	n, d       int
}

var contractJobs32, contractJobs64 sync.Pool

func newContractJob[T Float]() *contractJob[T] {
	if j, ok := contractPool[T]().Get().(*contractJob[T]); ok {
		return j
	}
	return new(contractJob[T])
}

func putContractJob[T Float](j *contractJob[T]) { contractPool[T]().Put(j) }

func contractPool[T Float]() *sync.Pool {
	if _, ok := any(T(0)).(float32); ok {
		return &contractJobs32
	}
	return &contractJobs64
}

func (j *contractJob[T]) Run(lo, hi int) {
	at := func(b, n, d int) float64 {
		v := j.scale
		for i, o := range j.operands {
			s := j.patterns[i].strides(j.n, j.d)
			v *= float64(o[b*s.b+n*s.n+d*s.d])
		}
		return v
	}
	s := j.outPattern.strides(j.n, j.d)
	for b := lo; b < hi; b++ {
		switch j.outPattern {
		case BND:
			for n := range j.n {
				for d := range j.d {
					j.out[b*s.b+n*s.n+d] = T(at(b, n, d))
				}
			}
		case BN:
			for n := range j.n {
				sum := 0.0
				for d := range j.d {
					sum += float64(at(b, n, d)) // no fused multiply-add
				}
				j.out[b*s.b+n] = T(sum)
			}
		case BD:
			for d := range j.d {
				sum := 0.0
				for n := range j.n {
					sum += float64(at(b, n, d)) // no fused multiply-add
				}
				j.out[b*s.b+d] = T(sum)
			}
		}
	}
}
