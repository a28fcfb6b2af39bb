// Package vec holds the loops under the kernels: the pool of threads, matrix products, and arithmetic, functions and
// reductions of slices.
package vec

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Float is an element type of godcem's arrays.
type Float interface{ float32 | float64 }

// A Job is a range of independent items. Run must handle any sub-range [lo, hi), and what it computes for an item must
// not depend on the range it came in: that is what makes results the same bits for any number of threads.
type Job interface{ Run(lo, hi int) }

var threads atomic.Int32

func init() { threads.Store(int32(runtime.GOMAXPROCS(0))) }

// Threads returns the number of threads that Parallel may use.
func Threads() int { return int(threads.Load()) }

// SetThreads sets the number of threads that Parallel may use (at least 1) and returns the old one.
func SetThreads(n int) int {
	if n < 1 {
		n = 1
	}
	return int(threads.Swap(int32(n)))
}

// batch is one call of Parallel: its chunks are claimed one at a time by whoever is free.
type batch struct {
	job   Job
	n     int
	chunk int
	next  atomic.Int64
	wg    sync.WaitGroup
	panic atomic.Pointer[panicked]
}

type panicked struct{ value any }

func (b *batch) work() {
	defer func() {
		if r := recover(); r != nil {
			b.panic.CompareAndSwap(nil, &panicked{r})
		}
	}()
	for b.panic.Load() == nil {
		lo := int(b.next.Add(1)-1) * b.chunk
		if lo >= b.n {
			return
		}
		b.job.Run(lo, min(lo+b.chunk, b.n))
	}
}

var (
	batches  = sync.Pool{New: func() any { return new(batch) }}
	queue    = make(chan *batch)
	startOne sync.Mutex
	workers  int
)

func startWorkers(n int) {
	startOne.Lock()
	defer startOne.Unlock()
	for ; workers < n; workers++ {
		go func() {
			for b := range queue {
				b.work()
				b.wg.Done()
			}
		}()
	}
}

// Parallel runs job over [0, n), in chunks of at least grain items, on up to Threads() threads, and returns when all
// of it is done. A panic in the job is raised again in the caller. It allocates nothing in the steady state, and may
// be called from several goroutines and from within a job (no caller ever waits for a free worker).
func Parallel(n, grain int, job Job) {
	if n <= 0 {
		return
	}
	grain = max(grain, 1)
	t := min(Threads(), (n+grain-1)/grain)
	if t <= 1 {
		job.Run(0, n)
		return
	}
	startWorkers(t - 1)
	b := batches.Get().(*batch)
	b.job, b.n = job, n
	// Four chunks per thread even out rows of unequal cost.
	b.chunk = max(grain, (n+4*t-1)/(4*t))
	b.next.Store(0)
	b.panic.Store(nil)
	for i := 1; i < t; i++ {
		b.wg.Add(1)
		select {
		case queue <- b:
		default: // every worker is busy: the caller does this share itself
			b.wg.Done()
		}
	}
	b.work()
	b.wg.Wait()
	p := b.panic.Load()
	b.job = nil
	batches.Put(b)
	if p != nil {
		panic(p.value)
	}
}
