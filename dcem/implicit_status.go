package dcem

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/internal/graphop"
	G "gorgonia.org/gorgonia"
)

// ImplicitStatus says whether the implicit function theorem holds for a problem.
type ImplicitStatus uint8

// The statuses. Where several hold, the first of this order is given: not finite, singular, not stationary, unsolved,
// at a bound.
const (
	// ImplicitOK: the gradient is right, to the accuracy of the solution.
	ImplicitOK ImplicitStatus = iota
	// ImplicitAtBound: coordinates are at bounds. Those whose residual points outwards are held; the gradient is that of
	// the others, with those held. One whose residual vanishes is free, and not counted as Held: the solution has a kink
	// there, and the gradient is that of one side.
	ImplicitAtBound
	// ImplicitUnsolved: the linear system was not solved to Tolerance; with conjugate gradients also that of Newton's
	// step, so that y may be far from a solution. They need a symmetric, positive definite Jacobian and enough
	// Iterations.
	ImplicitUnsolved
	// ImplicitNotStationary: y is further from a solution than Stationary; the theorem does not hold there.
	ImplicitNotStationary
	// ImplicitSingular: the Jacobian is singular to working precision: the solution is not a function of theta, as
	// where minima form a valley. The gradient is 0, or means nothing.
	ImplicitSingular
	// ImplicitNotFinite: y, the residual or its derivatives are not finite.
	ImplicitNotFinite
)

var implicitStatuses = [...]string{"ok", "at a bound", "linear system not solved", "not stationary", "singular", "not finite"}

// String returns the status in words.
func (s ImplicitStatus) String() string {
	if int(s) < len(implicitStatuses) {
		return implicitStatuses[s]
	}
	return fmt.Sprintf("ImplicitStatus(%d)", uint8(s))
}

// An ImplicitDiagnosis is the status of one problem and the figures behind it.
type ImplicitDiagnosis struct {
	Status         ImplicitStatus
	Residual       float64 // largest |g| over the free coordinates
	Step           float64 // largest coordinate of Newton's step s, J s = g, over max(1, |y|)
	RCond          float64 // reciprocal condition of the Jacobian; 1, unknown, with conjugate gradients
	LinearResidual float64 // largest |J'w - v| over the largest |v|; with conjugate gradients also of |J s - g| over |g|
	Held           int     // coordinates held at bounds
}

// Diagnose says of each problem, after a run, whether the gradient is what the theorem promises. It is an error if no
// gradient was built (package autodiff), or the graph was not run.
func (s *ImplicitGradient) Diagnose() ([]ImplicitDiagnosis, error) {
	if s.figures == nil {
		return nil, fmt.Errorf("dcem: Diagnose: no gradient of the answer was built")
	}
	var values [4][]float64
	for i, n := range []*G.Node{s.y, s.g, s.free, s.figures} {
		if n.Value() == nil {
			return nil, fmt.Errorf("dcem: Diagnose: %v has no value; run the graph first", n)
		}
		flat, err := graphop.Flat(n.Value())
		if err != nil {
			return nil, fmt.Errorf("dcem: Diagnose: %w", err)
		}
		switch f := flat.(type) {
		case []float32:
			for _, x := range f {
				values[i] = append(values[i], float64(x))
			}
		case []float64:
			values[i] = f
		}
	}
	all := make([]ImplicitDiagnosis, s.b)
	eps := epsilon[float64]()
	if s.y.Dtype().Size() == 4 {
		eps = epsilon[float32]()
	}
	for b := range all {
		q := &all[b]
		finite, atBound := true, false
		for i := b * s.d; i < (b+1)*s.d; i++ {
			finite = finite && isReal(values[0][i]) && isReal(values[1][i])
			atBound = atBound || s.atBound(values[0][i], i%s.d)
			if values[2][i] == 0 {
				q.Held++
				continue
			}
			q.Residual = math.Max(q.Residual, math.Abs(values[1][i]))
		}
		f := values[3][3*b:]
		q.RCond, q.Step, q.LinearResidual = f[0], f[1], f[2]
		switch {
		case !finite || math.IsNaN(q.RCond) || math.IsNaN(q.LinearResidual):
			q.Status = ImplicitNotFinite
		case !(q.RCond > eps*float64(s.d)):
			q.Status = ImplicitSingular
		case !(q.Step <= s.c.Stationary):
			q.Status = ImplicitNotStationary
		case !(q.LinearResidual <= s.c.Tolerance):
			q.Status = ImplicitUnsolved
		case atBound:
			q.Status = ImplicitAtBound
		}
	}
	return all, nil
}

// atBound says whether y, coordinate i, lies on a bound or beyond it, as y's type can hold the bound.
func (s *ImplicitGradient) atBound(y float64, i int) bool {
	held := func(bound float64) float64 {
		if s.y.Dtype().Size() == 4 {
			return float64(float32(bound))
		}
		return bound
	}
	return s.c.Lower != nil && y <= held(s.c.Lower[i]) || s.c.Upper != nil && y >= held(s.c.Upper[i])
}
