package cpu

import (
	"slices"
	"sync"

	"github.com/godcem/godcem/internal/vec"
)

// frames are the threads' frames of an executable: as many as were ever needed at once.
type frames[T vec.Float] struct {
	mu                             sync.Mutex
	free                           []*frame[T]
	slots, mem, dims, sums, counts int // of each frame
}

func framesOf[T vec.Float](x *executable) *frames[T] {
	var f any = &x.frames64
	if _, ok := any(T(0)).(float32); ok {
		f = &x.frames32
	}
	return f.(*frames[T])
}

// need makes the frames large enough for a loop.
func (l *loop[T]) need() {
	f := framesOf[T](l.x)
	f.slots, f.mem, f.dims = max(f.slots, l.slots), max(f.mem, l.mem), max(f.dims, len(l.outer))
	f.sums, f.counts = max(f.sums, l.sums), max(f.counts, l.counts)
}

// prepare makes frames for the threads there are, so that no run has to.
func (f *frames[T]) prepare() {
	if f.mem == 0 {
		return
	}
	for i := range vec.Threads() {
		x := f.make()
		x.thread = i
		f.free = append(f.free, x)
	}
}

func (f *frames[T]) make() *frame[T] {
	mem := make([]T, f.mem+16)
	return &frame[T]{slots: make([][]T, f.slots), mem: aligned(mem)[:f.mem],
		idx: make([]int, f.dims), walk: make([]int, f.dims),
		sums: make([]total, f.sums), counts: make([]int, f.counts)}
}

// get returns a frame, that which the thread had last if it is free: the thread's cache holds it.
func (f *frames[T]) get(thread int) *frame[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := len(f.free) - 1
	for i, x := range f.free {
		if x.thread == thread {
			at = i
			break
		}
	}
	if at < 0 {
		x := f.make()
		x.thread = thread
		return x
	}
	x := f.free[at]
	f.free = slices.Delete(f.free, at, at+1)
	x.thread = thread
	return x
}

func (f *frames[T]) put(x *frame[T]) {
	x.acc = nil
	f.mu.Lock()
	f.free = append(f.free, x)
	f.mu.Unlock()
}
