package engine

import (
	"sync"

	"github.com/godcem/godcem/internal/vec"
	G "gorgonia.org/gorgonia"
)

// copyGrain is the least number of bytes that is worth another thread.
const copyGrain = 1 << 18

// A stridedCopy is a vec.Job on the rows of the outermost dimension.
type stridedCopy struct {
	dst, src       []byte
	size           int // of an element
	shape, strides []int
}

var stridedCopies = sync.Pool{New: func() any { return new(stridedCopy) }}

// copyStrided writes the elements of src at sum(strides*i), counted in elements of the given size, one after the
// other into dst.
func copyStrided(dst, src []byte, size int, shape, strides []int) {
	if len(dst) < 4*copyGrain {
		copyRows(dst, src, size, shape, strides)
		return
	}
	c := stridedCopies.Get().(*stridedCopy)
	*c = stridedCopy{dst, src, size, shape, strides}
	vec.Parallel(shape[0], copyGrain*shape[0]/len(dst)+1, c)
	*c = stridedCopy{}
	stridedCopies.Put(c)
}

// Run implements vec.Job.
func (c *stridedCopy) Run(lo, hi int) {
	row := len(c.dst) / c.shape[0]
	if len(c.shape) == 1 {
		n := hi - lo
		copyRows(c.dst[lo*row:], c.src[lo*c.strides[0]*c.size:], c.size, []int{n}, c.strides)
		return
	}
	for i := lo; i < hi; i++ {
		copyRows(c.dst[i*row:], c.src[i*c.strides[0]*c.size:], c.size, c.shape[1:], c.strides[1:])
	}
}

// copyRows is copyStrided on this thread; it returns how many bytes it has written.
func copyRows(dst, src []byte, size int, shape, strides []int) int {
	if len(shape) == 1 {
		copyRow(dst, src, size, shape[0], strides[0])
		return shape[0] * size
	}
	n := 0
	for i := range shape[0] {
		n += copyRows(dst[n:], src[i*strides[0]*size:], size, shape[1:], strides[1:])
	}
	return n
}

// copyRow writes n elements that are stride elements apart.
func copyRow(dst, src []byte, size, n, stride int) {
	dst, src = dst[:n*size], src[:((n-1)*stride+1)*size]
	switch {
	case stride == 1:
		copy(dst, src)
	case size == 8:
		gather(elements[uint64](dst), elements[uint64](src), stride)
	case size == 4:
		gather(elements[uint32](dst), elements[uint32](src), stride)
	default:
		for i := range n {
			copy(dst[i*size:], src[i*stride*size:][:size])
		}
	}
}

func gather[T any](dst, src []T, stride int) {
	at := 0
	for i := range dst {
		dst[i] = src[at]
		at += stride
	}
}

// inPlace is the memory of v's elements if v is a tensor like the input and they lie one after the other in row-major
// order, else nil.
func (in *input) inPlace(v G.Value) []byte {
	d, ok := dense(v)
	if !ok || !d.IsNativelyAccessible() || d.Dtype() != in.node.Dtype() || !in.fits(d.Shape()) || len(d.Raw) < in.layout.bytes() ||
		in.count != 1 && !rowMajor(d) {
		return nil
	}
	return d.Raw[:in.layout.bytes()]
}
