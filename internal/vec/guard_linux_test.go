package vec

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"syscall"
	"testing"
	"unsafe"
)

// fenced returns n elements that end, or start, where the memory does: a read or write beyond faults.
func fenced[T Float](t *testing.T, n int, atEnd bool) []T {
	t.Helper()
	page := syscall.Getpagesize()
	var v T
	size := n * int(unsafe.Sizeof(v))
	pages := (size + page - 1) / page * page
	mem, err := syscall.Mmap(-1, 0, pages+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(mem); err != nil {
			t.Error(err)
		}
	})
	for _, fence := range [][]byte{mem[:page], mem[page+pages:]} {
		if err := syscall.Mprotect(fence, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		return nil
	}
	at := page
	if atEnd {
		at += pages - size
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&mem[at])), n)
}

// faults runs f and returns the fault it met, if any.
func faults(f func()) (fault any) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { fault = recover() }()
	f()
	return nil
}

func TestFenceStops(t *testing.T) {
	for _, atEnd := range []bool{false, true} {
		s := fenced[float32](t, 5, atEnd)
		at := -1
		if atEnd {
			at = 5
		}
		beyond := (*float32)(unsafe.Add(unsafe.Pointer(&s[0]), 4*at))
		if faults(func() { s[0] = *beyond }) == nil {
			t.Errorf("element %d could be read", at)
		}
	}
}

// No operand is read or written beyond its ends, not even by an instruction whose extra lanes do not count.
func TestGemmStaysInside(t *testing.T) { both(t, testStaysInside[float32], testStaysInside[float64]) }

func testStaysInside[T Float](t *testing.T) {
	withThreads(t, 1)
	r := rand.New(rand.NewPCG(3, 4))
	for _, s := range [][3]int{
		{1, 1, 1}, {3, 5, 7}, {13, 17, 3}, {15, 33, 20}, {20, 1, 31}, {1, 37, 70}, {29, 30, 50}, {40, 70, 12}, {130, 33, 40},
		{37, 3, 300}, {33, 35, 300}, {130, 129, 65}, {3, 130, 2100}, {31, 31, 2070},
	} {
		for how := range 8 {
			p := product{how&1 != 0, how&2 != 0, s[0], s[1], s[2], 1, float64(how & 1), how % 3}
			a, b, c := inputs[T](p, r.Uint64())
			for _, m := range []*matrix[T]{&a, &b, &c} {
				f := fenced[T](t, len(m.s), how&4 == 0)
				copy(f, m.s)
				m.s = f
			}
			if fault := faults(func() { p.gemm(a, b, c) }); fault != nil {
				t.Fatalf("%v: %v", p, fmt.Sprint(fault))
			}
		}
	}
}

func TestArithStaysInside(t *testing.T) {
	both(t, testArithStaysInside[float32], testArithStaysInside[float64])
}

func testArithStaysInside[T Float](t *testing.T) {
	for _, n := range []int{1, 3, 7, 15, 17, 33, 65, 130} {
		for _, atEnd := range []bool{false, true} {
			dst := fenced[T](t, n, atEnd)
			var x [5][]T
			for i := range x {
				x[i] = fenced[T](t, n, atEnd)
			}
			for _, c := range arithCases[T]() {
				if fault := faults(func() { c.run(dst, x, 1) }); fault != nil {
					t.Fatalf("%s of %d: %v", c.name, n, fault)
				}
			}
			for _, f := range functions {
				if fault := faults(func() { f.apply(dst, x[0]) }); fault != nil {
					t.Fatalf("%s of %d: %v", f.name, n, fault)
				}
			}
			for _, p := range pairCases {
				if fault := faults(func() { p.apply(dst, x[0], x[1]) }); fault != nil {
					t.Fatalf("%s of %d: %v", p.name, n, fault)
				}
			}
			single, double := fenced[float32](t, n, atEnd), fenced[float64](t, n, atEnd)
			fault := faults(func() {
				dst[0] = Sum(x[0]) + MaxOf(x[1]) + MinOf(x[2]) + T(SumWide(x[0]))
				Widen(double, single)
				Narrow(single, double)
				Gather(dst[:(n+1)/2], x[0], 2)
				Scatter(x[0], 2, dst[:(n+1)/2])
			})
			if fault != nil {
				t.Fatalf("reductions of %d: %v", n, fault)
			}
		}
	}
}
