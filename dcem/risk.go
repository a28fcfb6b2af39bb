package dcem

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
)

// A Risk makes one cost of those of P particles, J_1 >= J_2 >= ... in the order of size.
type Risk uint8

const (
	// RiskMean is their mean.
	RiskMean Risk = iota
	// RiskWorst is the largest, J_1.
	RiskWorst
	// RiskCVaR is the conditional value at risk of level a (Rockafellar and Uryasev, Optimization of conditional
	// value-at-risk, 2000): the mean of the worst share a,
	//
	//	( sum_(i <= m) J_i + (aP - m) J_(m+1) ) / (aP),   m = floor(aP)
	//
	// a = 1 is the mean, a <= 1/P the worst.
	RiskCVaR
)

var risks = [...]string{"mean", "worst", "CVaR"}

// String returns the name, as in "worst".
func (r Risk) String() string {
	if int(r) < len(risks) {
		return risks[r]
	}
	return fmt.Sprintf("Risk(%d)", uint8(r))
}

// riskOp is the risk of each row of particles: (M, P) -> (M). It is sum_i w_i J_(i) with weights by rank. Ties go to
// the lower number. A row with a cost that is not finite comes out NaN, and so excludes its candidate.
type riskOp[T kernels.Float] struct {
	p int
	w []float64 // by rank, the worst first, those of weight 0 left out
}

// riskWeights are the weights by rank.
func riskWeights(r Risk, level float64, p int) []float64 {
	share := level * float64(p)
	switch r {
	case RiskMean:
		share = float64(p)
	case RiskWorst:
		share = 1
	}
	share = math.Max(share, 1)
	var w []float64
	for i := range p {
		if v := math.Min(share-float64(i), 1); v > 0 {
			w = append(w, v/share)
		}
	}
	return w
}

func (k riskOp[T]) String() string { return fmt.Sprintf("dcem.Risk{p=%d, %v}", k.p, k.w) }
func (k riskOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(riskGradOp[T](k), 0, graphop.Gradient)}
}
func (k riskOp[T]) Run(out any, in []any) {
	o, f := out.([]T), in[0].([]T)
	for r := range o {
		row := f[r*k.p : (r+1)*k.p]
		sum, last := 0.0, -1
		for _, w := range k.w {
			last = nextWorst(row, last)
			sum += w * float64(row[last])
		}
		for _, v := range row {
			if !finite(v) {
				sum = math.NaN()
			}
		}
		o[r] = T(sum)
	}
}

// riskGradOp is riskOp's gradient, the order held fixed: inputs f (M, P), g (M) -> (M, P).
type riskGradOp[T kernels.Float] riskOp[T]

func (k riskGradOp[T]) String() string { return fmt.Sprintf("dcem.RiskGrad{p=%d, %v}", k.p, k.w) }
func (k riskGradOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{nil, graphop.By(riskTangentOp[T](k), 0, graphop.Gradient)}
}
func (k riskGradOp[T]) Run(out any, in []any) {
	o, f, g := out.([]T), in[0].([]T), in[1].([]T)
	clear(o)
	for r := range g {
		row, last := f[r*k.p:(r+1)*k.p], -1
		for _, w := range k.w {
			last = nextWorst(row, last)
			o[r*k.p+last] = T(w * float64(g[r]))
		}
	}
}

// riskTangentOp is riskGradOp's gradient: inputs f, v (M, P) -> (M), v weighed in the order of f.
type riskTangentOp[T kernels.Float] riskOp[T]

func (k riskTangentOp[T]) String() string { return fmt.Sprintf("dcem.RiskTangent{p=%d, %v}", k.p, k.w) }
func (k riskTangentOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{nil, graphop.By(riskGradOp[T](k), 0, graphop.Gradient)}
}
func (k riskTangentOp[T]) Run(out any, in []any) {
	o, f, v := out.([]T), in[0].([]T), in[1].([]T)
	for r := range o {
		row, last, sum := f[r*k.p:(r+1)*k.p], -1, 0.0
		for _, w := range k.w {
			last = nextWorst(row, last)
			sum += w * float64(v[r*k.p+last])
		}
		o[r] = T(sum)
	}
}

// nextWorst is the number of the cost that comes after that of number last from the worst on; NaN counts as worst.
func nextWorst[T kernels.Float](f []T, last int) int {
	worse := func(a T, i int, b T, j int) bool {
		x, y := a != a, b != b
		if x != y {
			return x
		}
		if !x && a != b {
			return a > b
		}
		return i < j
	}
	best := -1
	for i, v := range f {
		if (last < 0 || worse(f[last], last, v, i)) && (best < 0 || worse(v, i, f[best], best)) {
			best = i
		}
	}
	return best
}
