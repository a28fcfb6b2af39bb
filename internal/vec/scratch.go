package vec

import (
	"sync"
	"unsafe"
)

// freeList keeps what is used again, as many as were ever used at once.
type freeList[X any] struct {
	mu   sync.Mutex
	free []*X
}

func (f *freeList[X]) get() *X {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.free)
	if n == 0 {
		return new(X)
	}
	x := f.free[n-1]
	f.free = f.free[:n-1]
	return x
}

func (f *freeList[X]) put(x *X) {
	f.mu.Lock()
	f.free = append(f.free, x)
	f.mu.Unlock()
}

// buffer is a thread's room for packed blocks of A and B.
type buffer[T Float] struct{ a, b []T }

var (
	gemmJobs32 freeList[gemmJob[float32]]
	gemmJobs64 freeList[gemmJob[float64]]
	buffers32  freeList[buffer[float32]]
	buffers64  freeList[buffer[float64]]
)

func gemmJobs[T Float]() *freeList[gemmJob[T]] {
	return of[T](&gemmJobs32, &gemmJobs64).(*freeList[gemmJob[T]])
}

func buffers[T Float]() *freeList[buffer[T]] {
	return of[T](&buffers32, &buffers64).(*freeList[buffer[T]])
}

// release returns the job to its list, without what belongs to the caller.
func (g *gemmJob[T]) release() {
	*g = gemmJob[T]{scratch: g.scratch}
	gemmJobs[T]().put(g)
}

// of picks what belongs to the element type.
func of[T Float](single, double any) any {
	if _, ok := any(T(0)).(float32); ok {
		return single
	}
	return double
}

// aligned returns n elements that start on a cache line, of *buf if it is large enough.
func aligned[T Float](buf *[]T, n int) []T {
	const line = 64
	var t T
	size := int(unsafe.Sizeof(t))
	if len(*buf) < n+line/size {
		*buf = make([]T, n+line/size)
	}
	off := int(-uintptr(unsafe.Pointer(unsafe.SliceData(*buf)))%line) / size
	return (*buf)[off:][:n]
}
