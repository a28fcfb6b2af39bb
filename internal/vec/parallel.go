// Package vec holds the loops under the kernels: the pool of threads, matrix products, and arithmetic, functions and
// reductions of slices.
package vec

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Float is an element type of godcem's arrays.
type Float interface{ float32 | float64 }

// A Job is a range of independent items. Run must handle any sub-range [lo, hi), and what it computes for an item must
// not depend on the range it came in: that is what makes results the same bits for any number of threads.
type Job interface{ Run(lo, hi int) }

// A ThreadJob is told which thread runs it: numbers from 0, the caller's, to Threads()-1, the same ones for the same threads in
// each call, so that what a thread has in its cache can be kept for it. They are hints: calls within calls have
// numbers of their own.
type ThreadJob interface {
	Job
	RunOn(thread, lo, hi int)
}

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

// batch is one call of Parallel. Its chunks are claimed one at a time by whoever is free, but everyone begins with a
// share of his own, the same one in each call: what he wrote in the last is in his cache.
type batch struct {
	job    Job
	on     ThreadJob // job, if it is one
	n      int
	chunk  int
	shares int
	share  [maxShares]counter // of each, the chunks that are claimed
	panic  atomic.Pointer[panicked]

	// state counts the workers inside, in its low bits, and from place on the places that are left for more. It is 0 while
	// the batch is not open; waits is set when the caller sleeps until the last worker has left.
	state atomic.Int64
	left  chan struct{} // tells the caller so
}

const (
	place = 1 << 20
	waits = 1 << 50

	maxShares = 16
)

// A counter has a cache line to itself.
type counter struct {
	atomic.Int64
	_ [56]byte
}

type panicked struct{ value any }

// work runs chunks until none is left, those of the share first that belongs to thread id, 0 for the caller.
func (b *batch) work(id int) {
	defer func() {
		if r := recover(); r != nil {
			b.panic.CompareAndSwap(nil, &panicked{r})
		}
	}()
	chunks := (b.n + b.chunk - 1) / b.chunk
	for i := range b.shares {
		s := (id + i) % b.shares
		lo, hi := s*chunks/b.shares, (s+1)*chunks/b.shares
		for b.panic.Load() == nil {
			c := lo + int(b.share[s].Add(1)) - 1
			if c >= hi {
				break
			}
			lo, hi := c*b.chunk, min((c+1)*b.chunk, b.n)
			if b.on != nil {
				b.on.RunOn(id%b.shares, lo, hi)
			} else {
				b.job.Run(lo, hi)
			}
		}
	}
}

// enter takes one of the places. A batch that has become another call's meanwhile is as good as the one that was meant.
func (b *batch) enter() bool {
	for {
		s := b.state.Load()
		if s < place || s >= waits {
			return false
		}
		if b.state.CompareAndSwap(s, s-place+1) {
			return true
		}
	}
}

// leave is the worker's last touch of the batch, unless the caller sleeps.
func (b *batch) leave() {
	if b.state.Add(-1) == waits {
		b.left <- struct{}{}
	}
}

// close lets nobody in any more, and waits for those inside.
func (b *batch) close() {
	for s := b.state.Load(); !b.state.CompareAndSwap(s, s%place); {
		s = b.state.Load()
	}
	for w := newWatch(); b.state.Load() != 0; {
		if w.over() {
			if b.state.Add(waits) != waits {
				<-b.left
			}
			b.state.Store(0)
			return
		}
	}
}

// A watch ends a spin: after longer than the serial parts of a training step take, or when the processor is not the
// spinner's alone. A sleeper on a busy machine is woken late: a whole millisecond was seen.
type watch struct {
	looks       int
	began, last time.Duration
}

const (
	spinTime = time.Millisecond
	lostTime = time.Millisecond / 2 // between two looks at the clock: somebody else ran
)

var epoch = time.Now()

func newWatch() watch {
	now := time.Since(epoch)
	return watch{began: now, last: now}
}

func (w *watch) over() bool {
	if w.looks++; w.looks%64 != 0 {
		return false
	}
	now := time.Since(epoch)
	lost := now-w.last > lostTime
	w.last = now
	return lost || now-w.began > spinTime
}

// The pool. Workers look for open batches; while there are none they spin for a little, as many as leave a processor
// free, and then sleep until they get a token, of which one is sent for each that is taken off the number of sleepers.
var (
	open     [8]atomic.Pointer[batch]
	_        [64]byte
	spinning atomic.Int32
	asleep   atomic.Int32
	tokens   = make(chan struct{}, 1<<16)

	batches  freeList[batch]
	startOne sync.Mutex
	workers  atomic.Int32
)

func startWorkers(n int) {
	if int(workers.Load()) >= n {
		return
	}
	startOne.Lock()
	defer startOne.Unlock()
	for int(workers.Load()) < n {
		id := int(workers.Add(1))
		go func() {
			for {
				b := look()
				b.work(id)
				b.leave()
			}
		}()
	}
}

// find enters an open batch.
func find() *batch {
	for i := range open {
		if b := open[i].Load(); b != nil && b.enter() {
			return b
		}
	}
	return nil
}

// look waits until it has entered a batch.
func look() *batch {
	for {
		if b := spin(); b != nil {
			return b
		}
		asleep.Add(1)
		// What was opened before that is seen here; who opens later sees a sleeper.
		b := find()
		if b == nil || !rouse() {
			<-tokens
		}
		if b != nil {
			return b
		}
	}
}

// rouse takes one off the sleepers.
func rouse() bool {
	for {
		n := asleep.Load()
		if n <= 0 {
			return false
		}
		if asleep.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

func spin() *batch {
	defer spinning.Add(-1)
	if int(spinning.Add(1)) >= runtime.GOMAXPROCS(0) {
		return find()
	}
	for w := newWatch(); !w.over(); {
		if b := find(); b != nil {
			return b
		}
	}
	return nil
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
	b := batches.get()
	if b.left == nil {
		b.left = make(chan struct{}, 1)
	}
	b.job, b.n = job, n
	b.on, _ = job.(ThreadJob)
	// Some chunks per thread even out rows of unequal cost, and threads that others disturb.
	b.chunk = max(grain, (n+chunksEach*t-1)/(chunksEach*t))
	b.shares = min(t, maxShares)
	for i := range b.shares {
		b.share[i].Store(0)
	}
	b.panic.Store(nil)
	b.state.Store(int64(t-1) * place)
	i := 0
	for ; i < len(open) && (open[i].Load() != nil || !open[i].CompareAndSwap(nil, b)); i++ {
	}
	if i < len(open) { // else as many calls are under way: there are no idle threads
		for k := int(spinning.Load()); k < t-1 && rouse(); k++ {
			tokens <- struct{}{}
		}
	}
	b.work(0)
	if i < len(open) {
		open[i].Store(nil)
	}
	b.close()
	p := b.panic.Load()
	b.job, b.on = nil, nil
	batches.put(b)
	if p != nil {
		panic(p.value)
	}
}

// chunksEach is the number of chunks per thread.
const chunksEach = 16
