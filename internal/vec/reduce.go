package vec

import (
	"fmt"
	"math"
	"unsafe"
)

// reduceKernels is what an instruction set has for an element type.
type reduceKernels[T Float] struct {
	total, greatest, least func(src *T, n int) T
	lanes                  int // that greatest and least need, at least
}

// wideKernels is what an instruction set has for both element types at once.
type wideKernels struct {
	total  func(src *float32, n int) float64
	widen  func(dst *float64, src *float32, n int)
	narrow func(dst *float32, src *float64, n int)
}

func reduce[T Float]() *reduceKernels[T] {
	return of[T](&reduceSets32[current], &reduceSets64[current]).(*reduceKernels[T])
}

// sumBlock is the number of elements that a kernel sums; its lanes take every 64th (float64: 32nd) of them in turn.
const sumBlock = 4096

// Sum is the sum of x, in T: a tree of partial sums that depends on nothing but len(x), so that the bits are the same
// with any instruction set. Of no elements, and of zeros of either sign, it is +0.
func Sum[T Float](x []T) T { return tree(reduce[T]().total, x) }

// SumWide is Sum(x) in float64.
func SumWide[T Float](x []T) float64 {
	switch x := any(x).(type) {
	case []float32:
		return tree(wideSets[current].total, x)
	case []float64:
		return Sum(x)
	}
	panic("unreachable")
}

func tree[T, S Float](total func(src *T, n int) S, x []T) S {
	switch blocks := (len(x) + sumBlock - 1) / sumBlock; blocks {
	case 0:
		return 0
	case 1:
		return total(&x[0], len(x))
	default:
		half := (blocks + 1) / 2 * sumBlock
		return tree(total, x[:half]) + tree(total, x[half:])
	}
}

// MaxOf is the greatest element, as Go's max: NaN if one is, and -0 < +0. Of no elements it is -Inf.
func MaxOf[T Float](x []T) T {
	if r := reduce[T](); len(x) > 0 && len(x) >= r.lanes {
		return r.greatest(&x[0], len(x))
	}
	m := T(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

// MinOf is the least element, as Go's min: NaN if one is, and -0 < +0. Of no elements it is +Inf.
func MinOf[T Float](x []T) T {
	if r := reduce[T](); len(x) > 0 && len(x) >= r.lanes {
		return r.least(&x[0], len(x))
	}
	m := T(math.Inf(1))
	for _, v := range x {
		m = min(m, v)
	}
	return m
}

// Widen is dst[i] = src[i]. It panics if the lengths differ.
func Widen(dst []float64, src []float32) {
	checkLengths("Widen", len(dst), len(src))
	if len(src) > 0 {
		wideSets[current].widen(&dst[0], &src[0], len(src))
	}
}

// Narrow is dst[i] = src[i] rounded, beyond float32's range ±Inf. It panics if the lengths differ.
func Narrow(dst []float32, src []float64) {
	checkLengths("Narrow", len(dst), len(src))
	if len(src) > 0 {
		wideSets[current].narrow(&dst[0], &src[0], len(src))
	}
}

func checkLengths(name string, dst, src int) {
	if dst != src {
		panic(fmt.Sprintf("vec: %s: len(dst) = %d, want len(src) = %d", name, dst, src))
	}
}

// Gather is dst[i] = src[i*stride]. dst is apart from src. It panics if stride < 0 or src is too short.
func Gather[T Float](dst, src []T, stride int) {
	n := len(dst)
	checkStride("Gather", n, stride, len(src))
	switch {
	case n == 0:
	case stride == 0:
		Fill(dst, src[0])
	case stride == 1:
		copy(dst, src)
	default:
		// The compiler would check each index.
		p, size := unsafe.Pointer(&src[0]), stride*int(unsafe.Sizeof(src[0]))
		i := 0
		for ; i+4 <= n; i += 4 {
			d := dst[i : i+4 : i+4]
			d[0] = *(*T)(unsafe.Add(p, i*size))
			d[1] = *(*T)(unsafe.Add(p, (i+1)*size))
			d[2] = *(*T)(unsafe.Add(p, (i+2)*size))
			d[3] = *(*T)(unsafe.Add(p, (i+3)*size))
		}
		for ; i < n; i++ {
			dst[i] = src[i*stride]
		}
	}
}

// Scatter is dst[i*stride] = src[i]; the elements between are left alone. dst is apart from src. It panics if
// stride < 1 or dst is too short.
func Scatter[T Float](dst []T, stride int, src []T) {
	n := len(src)
	checkStride("Scatter", n, stride, len(dst))
	switch {
	case stride == 0:
		panic("vec: Scatter: stride = 0, want at least 1")
	case n == 0:
	case stride == 1:
		copy(dst, src)
	default:
		p, size := unsafe.Pointer(&dst[0]), stride*int(unsafe.Sizeof(dst[0]))
		i := 0
		for ; i+4 <= n; i += 4 {
			s := src[i : i+4 : i+4]
			*(*T)(unsafe.Add(p, i*size)) = s[0]
			*(*T)(unsafe.Add(p, (i+1)*size)) = s[1]
			*(*T)(unsafe.Add(p, (i+2)*size)) = s[2]
			*(*T)(unsafe.Add(p, (i+3)*size)) = s[3]
		}
		for ; i < n; i++ {
			dst[i*stride] = src[i]
		}
	}
}

// checkStride panics unless n elements a stride apart are within length.
func checkStride(name string, n, stride, length int) {
	if stride < 0 {
		panic(fmt.Sprintf("vec: %s: stride = %d, want at least 0", name, stride))
	}
	if n > 0 && (length == 0 || stride > 0 && n-1 > (length-1)/stride) {
		panic(fmt.Sprintf("vec: %s: %d elements, %d apart, in a slice of %d", name, n, stride, length))
	}
}

var (
	reduceGo32 = reduceKernels[float32]{total: totalGo[float32, float32], greatest: greatestGo[float32], least: leastGo[float32]}
	reduceGo64 = reduceKernels[float64]{total: totalGo[float64, float64], greatest: greatestGo[float64], least: leastGo[float64]}
	wideGo     = wideKernels{
		total: totalGo[float32, float64],
		widen: func(dst *float64, src *float32, n int) {
			d := from(dst, n)
			for i, v := range from(src, n) {
				d[i] = float64(v)
			}
		},
		narrow: func(dst *float32, src *float64, n int) {
			d := from(dst, n)
			for i, v := range from(src, n) {
				d[i] = float32(v)
			}
		},
	}
)

// totalGo adds as many sums as there are of S in 256 bytes, as the assembly does.
func totalGo[T, S Float](src *T, n int) S {
	var sums [64]S
	lanes := 256 / int(unsafe.Sizeof(sums[0]))
	x := from(src, n)
	for len(x) > 0 {
		part := x[:min(lanes, len(x))]
		x = x[len(part):]
		s := sums[:len(part)]
		for i, v := range part {
			s[i] += S(v)
		}
	}
	// (0 + 1) + (2 + 3) of the 64 bytes, then halves onto halves, and neighbours at last.
	quarter := lanes / 4
	s := sums[:quarter]
	for i := range s {
		s[i] = (s[i] + sums[quarter+i]) + (sums[2*quarter+i] + sums[3*quarter+i])
	}
	for n := quarter / 2; n*int(unsafe.Sizeof(sums[0])) >= 16; n /= 2 {
		for i := range n {
			s[i] += s[n+i]
		}
	}
	if lanes == 32 {
		return s[0] + s[1]
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func greatestGo[T Float](src *T, n int) T {
	m := *src
	for _, v := range from(src, n) {
		m = max(m, v)
	}
	return m
}

func leastGo[T Float](src *T, n int) T {
	m := *src
	for _, v := range from(src, n) {
		m = min(m, v)
	}
	return m
}
