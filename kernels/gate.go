package kernels

import (
	"sync/atomic"

	"github.com/godcem/godcem/internal/vec"
)

// GateBackward writes dx = g for the samples whose cost f is finite and dx = 0 for the others: a sample whose cost is
// NaN or infinite never counts, so neither may what its cost function's derivative makes of it (0*NaN is NaN). Forward
// the gate is the identity on x. g, dx: (b,n,d), dx may be g; f: (b,n). It returns how many samples' gradients it
// stopped that were not finite. A NaN in the gradient of a sample of finite cost passes: it is news.
//
//	for b, n, d { dx[b,n,d] = g[b,n,d] if f[b,n] is finite, else 0 }
func GateBackward[T Float](dx, g, f []T, b, n, d int) (nonFinite int) {
	needSize("GateBackward", "b", b)
	needSize("GateBackward", "n", n)
	needSize("GateBackward", "d", d)
	needLen("GateBackward", "dx", len(dx), b*n*d, "b*n*d")
	needLen("GateBackward", "g", len(g), b*n*d, "b*n*d")
	needLen("GateBackward", "f", len(f), b*n, "b*n")
	j := fromPool[T, gateJob[T]](&gateJobs)
	j.dx, j.g, j.f, j.d = dx, g, f, d
	j.stopped.Store(0)
	vec.Parallel(b*n, 1+32768/max(1, d), j)
	nonFinite = int(j.stopped.Load())
	j.dx, j.g, j.f = nil, nil, nil
	poolOf[T](&gateJobs).Put(j)
	return nonFinite
}

type gateJob[T Float] struct {
	dx, g, f []T
	d        int
	stopped  atomic.Int64
}

var gateJobs poolPair

func (j *gateJob[T]) Run(lo, hi int) {
	stopped := 0
	for i := lo; i < hi; i++ {
		dx, g := j.dx[i*j.d:(i+1)*j.d], j.g[i*j.d:(i+1)*j.d]
		if isFinite(j.f[i]) {
			copy(dx, g)
			continue
		}
		for _, v := range g {
			if !isFinite(v) {
				stopped++
				break
			}
		}
		clear(dx)
	}
	j.stopped.Add(int64(stopped))
}
