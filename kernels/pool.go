package kernels

import (
	"sync"

	"github.com/godcem/godcem/internal/vec"
)

// poolPair keeps used jobs or scratch of both element types, so that kernels allocate nothing in the steady state.
type poolPair struct{ of32, of64 sync.Pool }

func poolOf[T Float](p *poolPair) *sync.Pool {
	if isSingle[T]() {
		return &p.of32
	}
	return &p.of64
}

// fromPool returns a used X of the element type T, or a zero one; poolOf[T](p).Put gives it back.
func fromPool[T Float, X any](p *poolPair) *X {
	if x, ok := poolOf[T](p).Get().(*X); ok {
		return x
	}
	return new(X)
}

// runPooled runs job over n items, from a pooled copy: Parallel's interface makes whatever it runs escape. J is the
// job's type for the element type T.
func runPooled[T Float, J any, P interface {
	*J
	vec.Job
}](p *poolPair, job J, n, grain int) {
	j := fromPool[T, J](p)
	*j = job
	vec.Parallel(n, grain, P(j))
	var none J
	*j = none // the pool keeps no slice of the caller's alive
	poolOf[T](p).Put(j)
}
