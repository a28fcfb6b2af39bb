package dcem

import (
	"fmt"
	"math"
	"runtime/debug"

	"github.com/godcem/godcem/internal/vec"
	"github.com/godcem/godcem/kernels"
)

// A BatchObjective gives a [Solver] the costs of candidates, to be minimised. x has shape (B, N, D) and costs (B, N),
// row-major: candidate n of problem b is x[(b*N+n)*D:][:D], its cost costs[b*N+n]. Costs must write every cost, must
// not change x, and must keep neither slice. A cost that is NaN or infinite excludes its candidate, as does one left
// unwritten. An error ends the solve.
//
// [CostFunc] makes one of a Go function on the batch, [PerCandidate] of a Go function of one candidate,
// [NewGraphObjective] of a Gorgonia graph.
type BatchObjective[T kernels.Float] interface {
	Costs(costs, x []T) error
}

// An ActiveObjective can leave out the problems that have stopped early: a solver calls ActiveCosts in place of Costs
// while some have. The costs of a problem b with active[b] false are not looked at.
type ActiveObjective[T kernels.Float] interface {
	BatchObjective[T]
	ActiveCosts(costs, x []T, active []bool) error
}

// shapedObjective is an objective that a solver tells its sizes: b problems, n samples, d dimensions. It returns the
// one to use, or why it cannot.
type shapedObjective[T kernels.Float] interface {
	shaped(b, n, d int) (BatchObjective[T], error)
}

// CostFunc is a Go function as a [BatchObjective].
type CostFunc[T kernels.Float] func(costs, x []T) error

// Costs calls f.
func (f CostFunc[T]) Costs(costs, x []T) error { return f(costs, x) }

func (f CostFunc[T]) shaped(_, _, _ int) (BatchObjective[T], error) {
	if f == nil {
		return nil, fmt.Errorf("the objective is a nil CostFunc")
	}
	return f, nil
}

// PerCandidate makes an objective of a function of one candidate x, D values, of the problem of that number in the
// batch (from 0). Candidates are shared out over the threads: f is called from several goroutines at once, and must
// neither change nor keep x. Problems that have stopped early are left out. The result works as the objective of a
// [Solver], from which it takes the sizes of the batch.
func PerCandidate[T kernels.Float](f func(problem int, x []T) T) BatchObjective[T] {
	return &perCandidate[T]{f: f}
}

// perCandidate is a function of one candidate, called for each on all threads.
type perCandidate[T kernels.Float] struct {
	f        func(problem int, x []T) T
	n, d     int
	costs, x []T
	active   []bool // nil: all
}

func (o *perCandidate[T]) shaped(_, n, d int) (BatchObjective[T], error) {
	if o.f == nil {
		return nil, fmt.Errorf("the function given to PerCandidate is nil")
	}
	return &perCandidate[T]{f: o.f, n: n, d: d}, nil
}

func (o *perCandidate[T]) Costs(costs, x []T) error { return o.ActiveCosts(costs, x, nil) }

func (o *perCandidate[T]) ActiveCosts(costs, x []T, active []bool) error {
	if o.n == 0 {
		return fmt.Errorf("dcem: PerCandidate: called outside a Solver, so the sizes of the batch are not known")
	}
	// A call is worth some microseconds at least; eight of them outweigh the handing out.
	const grain = 8
	o.costs, o.x, o.active = costs, x, active
	defer func() { o.costs, o.x, o.active = nil, nil, nil }()
	vec.Parallel(len(costs), grain, o)
	return nil
}

// Run implements vec.Job over candidates.
func (o *perCandidate[T]) Run(lo, hi int) {
	defer keepStack()
	for i := lo; i < hi; i++ {
		b := i / o.n
		if o.active == nil || o.active[b] {
			o.costs[i] = o.f(b, o.x[i*o.d:(i+1)*o.d:(i+1)*o.d])
		}
	}
}

// projection applies a function to each candidate of a range of problems, on all threads.
type projection[T kernels.Float] struct {
	f     func(problem int, x []T)
	first int // problem that x starts with
	n, d  int
	x     []T
}

// Run implements vec.Job over candidates.
func (p *projection[T]) Run(lo, hi int) {
	defer keepStack()
	for i := lo; i < hi; i++ {
		p.f(p.first+i/p.n, p.x[i*p.d:(i+1)*p.d:(i+1)*p.d])
	}
}

// A PanicError is a panic in a function given to a [Solver], or to what builds graphs ([Unroll], [Plan] and so on), as the
// error that it returns (errors.As finds it). So a Model may be written with gorgonia.Must.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // of the goroutine that panicked, as from debug.Stack
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the panic's value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// keepStack, deferred, keeps the stack of a panic that is about to change goroutines.
func keepStack() {
	if r := recover(); r != nil {
		panic(asPanicError(r))
	}
}

// recovered, deferred, turns a panic of what into an error.
func recovered(err *error, what string) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("dcem: %s: %w", what, asPanicError(r))
	}
}

func asPanicError(r any) *PanicError {
	if e, ok := r.(*PanicError); ok {
		return e
	}
	return &PanicError{r, debug.Stack()}
}

func finite[T kernels.Float](v T) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
