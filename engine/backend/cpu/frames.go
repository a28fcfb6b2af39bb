package cpu

import (
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
	for range vec.Threads() {
		f.free = append(f.free, f.make())
	}
}

func (f *frames[T]) make() *frame[T] {
	mem := make([]T, f.mem+16)
	return &frame[T]{slots: make([][]T, f.slots), mem: aligned(mem)[:f.mem],
		idx: make([]int, f.dims), walk: make([]int, f.dims),
		sums: make([]total, f.sums), counts: make([]int, f.counts)}
}

func (f *frames[T]) get() *frame[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.free)
	if n == 0 {
		return f.make()
	}
	x := f.free[n-1]
	f.free = f.free[:n-1]
	return x
}

func (f *frames[T]) put(x *frame[T]) {
	x.acc = nil
	f.mu.Lock()
	f.free = append(f.free, x)
	f.mu.Unlock()
}
