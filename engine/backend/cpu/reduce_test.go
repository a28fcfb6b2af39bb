package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// strides of an array of some axes of dims.
func stridesOf(dims []int, keep ...int) (strides, shape []int) {
	strides = make([]int, len(dims))
	stride := 1
	for i := len(keep) - 1; i >= 0; i-- {
		strides[keep[i]] = stride
		stride *= dims[keep[i]]
		shape = append([]int{dims[keep[i]]}, shape...)
	}
	return strides, shape
}

// TestReductions has large ones over every choice of dimensions, several of them at once too: of many chunks, of long
// cascades, of long rows.
func TestReductions(t *testing.T) {
	for _, dims := range [][]int{{300000}, {5000, 60}, {60, 5000}, {2, 150000}, {150000, 2}, {37, 41, 130}, {400, 3, 200}, {3, 70000, 2}, {20, 30, 21, 16}} {
		n := len(dims)
		for set := range 1 << n {
			var keep []int
			for d := range n {
				if set>>d&1 == 1 {
					keep = append(keep, d)
				}
			}
			for _, typ := range []ir.DType{ir.F32, ir.F64} {
				t.Run(fmt.Sprint(typ, dims, keep), func(t *testing.T) {
					r := rand.New(rand.NewPCG(uint64(set), 3))
					m := &maker{}
					var all []int
					for d := range dims {
						all = append(all, d)
					}
					strides, shape := stridesOf(dims, all...)
					l := plan.Loop{Type: typ, Dims: dims, Loads: []plan.Load{{Buf: m.buffer(plan.Input, typ, shape...), Strides: strides}}}
					store := func(how plan.Combine, keep ...int) {
						strides, shape := stridesOf(dims, keep...)
						if len(keep) == n {
							how = plan.Set
						}
						l.Stores = append(l.Stores, plan.Store{Buf: m.buffer(plan.Output, typ, shape...), Strides: strides, Combine: how})
					}
					store(plan.Sum, keep...)
					store(plan.Combine(2+r.IntN(2)), keep...)
					if r.IntN(2) == 0 { // in conflict with the first
						store(plan.Sum, r.IntN(n))
					}
					if r.IntN(2) == 0 {
						store(plan.Set, all...)
					}
					m.loop(l)
					// Of sums of n normal numbers, of size sqrt n: float32 adds at most log2(n) roundings of partial
					// sums, float64 is as exact as the reference; here per the largest result.
					tol := 2e-6
					if typ == ir.F64 {
						tol = 4e-15
					}
					x := compare(t, m, uint64(set), tol)
					sameForThreads(t, x)
				})
			}
		}
	}
}
