package dcem

import (
	"fmt"
	"math"
	"sync/atomic"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A Residual builds g(y, theta) of shape (B, D) for y of shape (B, D): 0 at the solutions. Row b may depend on row b of
// y alone. For the minimum of an energy it is the energy's gradient with respect to y (see [EnergyResidual]).
type Residual func(y *G.Node) (*G.Node, error)

// EnergyResidual is the residual of the argmin of an energy over y (B, D): energy gives (B) or (B, 1).
func EnergyResidual(energy func(y *G.Node) (*G.Node, error)) Residual {
	return func(y *G.Node) (*G.Node, error) {
		e, err := energy(y)
		if err != nil {
			return nil, err
		}
		if e == nil || e.Shape().TotalSize() != y.Shape()[0] {
			return nil, fmt.Errorf("the energy is %v, want one number for each of the %d problems", e, y.Shape()[0])
		}
		total, err := G.Sum(e)
		if err != nil {
			return nil, err
		}
		grads, err := autodiff.Gradients(total, y)
		if err != nil {
			return nil, err
		}
		return grads[0], nil
	}
}

// A LinearSolver says how the linear systems of [Implicit] are solved.
type LinearSolver uint8

const (
	// AutoSolver is DenseSolver up to 256 dimensions, else ConjugateGradients.
	AutoSolver LinearSolver = iota
	// DenseSolver builds the Jacobian, a row per backward pass through the residual, and factorises it (LU with partial
	// pivoting in float64). It takes any Jacobian that is not singular, and tells its condition.
	DenseSolver
	// ConjugateGradients needs a symmetric, positive definite Jacobian, as that of an energy at a strict minimum, and
	// two backward passes through the residual per iteration: one for the gradient, one for Newton's step, which says
	// whether y is a solution.
	ConjugateGradients
)

// ImplicitConfig configures [Implicit].
type ImplicitConfig struct {
	Solver LinearSolver
	// Iterations of the conjugate gradients; 0 means min(D, 50). A problem stops by itself at Tolerance.
	Iterations int
	// Tolerance is the size of the linear system's residual, relative to the right-hand side, beyond which the status
	// is [ImplicitUnsolved]; 0 means 1e-4 in float32, 1e-8 in float64. Conjugate gradients do not see what lies below
	// it, as a coordinate whose share in the residual g is smaller.
	Tolerance float64
	// Stationary is how far y may be from a solution, as the largest coordinate of Newton's step relative to
	// max(1, |y|), before the status is [ImplicitNotStationary]; 0 means 0.01.
	Stationary float64
	// Lower and Upper are the bounds of a minimisation: D values, or one for all; nil means none. A coordinate at a
	// bound whose residual points outwards is held there: its gradient is 0, and the others' are those of the problem
	// without it.
	Lower, Upper []float64
}

// An ImplicitGradient is a solution with a gradient.
type ImplicitGradient struct {
	// Answer is y, shape (B, D), with the gradient of doc/equations.md (20) with respect to theta, and none to how y
	// was found.
	Answer *G.Node

	id       uint64
	c        ImplicitConfig
	b, d     int
	residual Residual
	y, g     *G.Node // copies to read after a run
	figures  *G.Node // (B, 3): reciprocal condition, Newton's step, linear residual; nil before a gradient is asked for
	free     *G.Node // (B, D)
}

var implicits atomic.Uint64

// Implicit gives y, which solves residual(y, theta) = 0 however it was found, the gradient of the implicit function
// theorem, doc/equations.md (20), with respect to theta, nodes that the residual depends on. It has first derivatives
// on the TapeMachine and the engine.
//
// The theorem asks for a solution at which the residual's Jacobian is not singular. [ImplicitGradient.Diagnose] says
// after a run for which problems that holds; where the linear system cannot be solved the gradient is 0.
func Implicit(y *G.Node, residual Residual, theta []*G.Node, c ImplicitConfig) (_ *ImplicitGradient, err error) {
	const fn = "Implicit"
	defer recovered(&err, fn)
	if err := wantShape(fn, "y", y, -1, -1); err != nil {
		return nil, err
	}
	if residual == nil || len(theta) == 0 {
		return nil, fmt.Errorf("dcem: %s: the residual must not be nil, and theta not empty", fn)
	}
	for i, n := range theta {
		if n == nil {
			return nil, fmt.Errorf("dcem: %s: theta[%d] is nil", fn, i)
		}
	}
	if err := sameType(fn, append([]*G.Node{y}, theta...)...); err != nil {
		return nil, err
	}
	s := &ImplicitGradient{id: implicits.Add(1), b: y.Shape()[0], d: y.Shape()[1], residual: residual}
	if s.c, err = c.withDefaults(fn, y); err != nil {
		return nil, err
	}
	at, err := Detach(y)
	if err != nil {
		return nil, err
	}
	g, err := s.residualAt(at)
	if err != nil {
		return nil, err
	}
	if s.y, err = Keep(at); err != nil {
		return nil, err
	}
	if s.g, err = Keep(g); err != nil {
		return nil, err
	}
	s.Answer, err = typed(y.Dtype(), implicitOp[float32]{s: s, theta: len(theta)}, implicitOp[float64]{s: s, theta: len(theta)},
		y.Shape(), append([]*G.Node{at}, theta...)...)
	return s, err
}

func (c ImplicitConfig) withDefaults(fn string, y *G.Node) (ImplicitConfig, error) {
	fail := func(format string, args ...any) (ImplicitConfig, error) {
		return c, fmt.Errorf("dcem: %s: %s", fn, fmt.Sprintf(format, args...))
	}
	d := y.Shape()[1]
	switch {
	case c.Solver > ConjugateGradients:
		return fail("Solver = %d, want AutoSolver, DenseSolver or ConjugateGradients", c.Solver)
	case c.Iterations < 0:
		return fail("Iterations = %d, want at least 0", c.Iterations)
	case !(c.Tolerance >= 0) || math.IsInf(c.Tolerance, 1):
		return fail("Tolerance = %v, want a finite number of at least 0", c.Tolerance)
	case !(c.Stationary >= 0) || math.IsInf(c.Stationary, 1):
		return fail("Stationary = %v, want a finite number of at least 0", c.Stationary)
	}
	if c.Solver == AutoSolver {
		c.Solver = DenseSolver
		if d > 256 {
			c.Solver = ConjugateGradients
		}
	}
	if c.Iterations == 0 {
		c.Iterations = min(d, 50)
	}
	if c.Tolerance == 0 {
		c.Tolerance = 1e-8
		if y.Dtype() == tensor.Float32 {
			c.Tolerance = 1e-4
		}
	}
	if c.Stationary == 0 {
		c.Stationary = 0.01
	}
	var err error
	c.Lower, c.Upper, err = spreadBounds(fn, c.Lower, c.Upper, d)
	return c, err
}

// residualAt builds the residual and looks at it.
func (s *ImplicitGradient) residualAt(y *G.Node) (*G.Node, error) {
	g, err := s.residual(y)
	if err != nil {
		return nil, fmt.Errorf("dcem: Implicit: the residual: %w", err)
	}
	if g == nil || g.Graph() != y.Graph() {
		return nil, fmt.Errorf("dcem: Implicit: the residual is %v, a node of another graph or none", g)
	}
	if g.Dtype() != y.Dtype() || !g.Shape().Eq(y.Shape()) {
		return nil, fmt.Errorf("dcem: Implicit: the residual is %v of shape %v, want %v of shape %v like y",
			g.Dtype(), g.Shape(), y.Dtype(), y.Shape())
	}
	return g, nil
}

// implicitOp copies y; its gradient is built by [ImplicitGradient.gradients].
type implicitOp[T kernels.Float] struct {
	identityOp[T]
	s     *ImplicitGradient
	theta int
}

var _ graphop.Differ = implicitOp[float32]{}

// Each has a name of its own: residuals cannot be compared.
func (k implicitOp[T]) String() string         { return fmt.Sprintf("dcem.Implicit{%d}", k.s.id) }
func (k implicitOp[T]) Rules() []*graphop.Rule { return make([]*graphop.Rule, 1+k.theta) }

// Diff implements graphop.Differ.
func (k implicitOp[T]) Diff(want []bool, inputs G.Nodes, grad *G.Node) (G.Nodes, error) {
	grads := make(G.Nodes, len(inputs))
	var theta G.Nodes
	var at []int
	for i := 1; i < len(inputs); i++ {
		if want[i] {
			theta, at = append(theta, inputs[i]), append(at, i)
		}
	}
	if len(theta) == 0 {
		return grads, nil
	}
	found, err := k.s.gradients(inputs[0], grad, theta)
	if err != nil {
		return nil, err
	}
	for j, i := range at {
		grads[i] = found[j]
	}
	return grads, nil
}

// gradients are those of <v, y> with respect to theta: with J = dg/dy and w from J'w = v, -(dg/dtheta)'w.
func (s *ImplicitGradient) gradients(y, v *G.Node, theta G.Nodes) (G.Nodes, error) {
	at, err := Detach(y)
	if err != nil {
		return nil, err
	}
	g, err := s.residualAt(at)
	if err != nil {
		return nil, err
	}
	if s.free, err = typed(y.Dtype(), freeOp[float32]{boundsOf[float32](s.c.Lower, s.c.Upper)},
		freeOp[float64]{boundsOf[float64](s.c.Lower, s.c.Upper)}, y.Shape(), at, g); err != nil {
		return nil, err
	}
	solve := s.dense
	if s.c.Solver == ConjugateGradients {
		solve = s.conjugate
	}
	w, figures, err := solve(at, g, v)
	if err != nil {
		return nil, err
	}
	if s.figures, err = Keep(figures); err != nil {
		return nil, err
	}
	if s.free, err = Keep(s.free); err != nil {
		return nil, err
	}
	minus, err := G.Neg(w)
	if err != nil {
		return nil, err
	}
	return autodiff.VJP(G.Nodes{g}, G.Nodes{minus}, theta...)
}
