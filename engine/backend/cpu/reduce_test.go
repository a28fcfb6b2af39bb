package cpu

import (
	"fmt"
	"math"
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
	for _, dims := range [][]int{
		{120000}, {4000, 30}, {30, 4000}, {2, 60000}, {60000, 2}, {37, 21, 70}, {200, 3, 100}, {3, 20000, 2},
		{10, 20, 21, 16},
	} {
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
					l := plan.Loop{Type: typ, Dims: dims, Loads: []plan.Load{loadOf(m.buffer(plan.Input, typ, shape...), strides...)}}
					store := func(how plan.Combine, keep ...int) {
						strides, shape := stridesOf(dims, keep...)
						if len(keep) == n {
							how = plan.Set
						}
						l.Stores = append(l.Stores, reduceTo(how, 0, m.buffer(plan.Output, typ, shape...), strides...))
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
					// log2(n) roundings of partial sums of size up to sqrt(n), which may be 20 times the result.
					tol := 2e-6
					if typ == ir.F64 {
						tol = 4e-14
					}
					x := compare(t, m, uint64(set), tol)
					sameForThreads(t, x)
				})
			}
		}
	}
}

// TestProducts has every way of a reduction for ir.ReduceProd: direct, by groups, by columns, of chunks and mixed.
func TestProducts(t *testing.T) {
	dims := []int{3, 4, 2, 1100}
	for _, keep := range [][]int{{0, 1, 2}, {0, 1}, {3}, {0, 3}, {0, 2, 3}, {1, 3}, {}, {1}} {
		for _, typ := range []ir.DType{ir.F32, ir.F64} {
			m := &maker{}
			strides, shape := stridesOf(dims, 0, 1, 2, 3)
			l := plan.Loop{Type: typ, Dims: dims, Loads: []plan.Load{loadOf(m.buffer(plan.Input, typ, shape...), strides...)},
				Body: []plan.Instr{{Op: ir.Const, Imm: 0.01}, instrOf(ir.Mul, 0, 1), instrOf(ir.Exp, 2)}}
			for _, keep := range [][]int{keep, {0, 2}} {
				strides, shape = stridesOf(dims, keep...)
				l.Stores = append(l.Stores, reduceTo(plan.ProdOf, 3, m.buffer(plan.Output, typ, shape...), strides...))
			}
			m.loop(l)
			// A product of n roundings, of 26400 at most: it may be off by n/2 of them, seen are about sqrt(n).
			tol := 1e-4
			if typ == ir.F64 {
				tol = 1e-12
			}
			sameForThreads(t, compare(t, m, 1, tol))
		}
	}
}

// TestNaN: extremes and sums of what holds a NaN are NaN, on every way; of infinities they are what arithmetic says.
func TestNaN(t *testing.T) {
	dims := []int{40, 30, 50}
	for _, keep := range [][]int{{}, {0}, {0, 1}, {2}, {0, 2}, {1, 2}, {1}} {
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			m := &maker{}
			strides, shape := stridesOf(dims, 0, 1, 2)
			l := plan.Loop{Type: ir.F32, Dims: dims, Loads: []plan.Load{loadOf(m.buffer(plan.Input, ir.F32, shape...), strides...)},
				Body: []plan.Instr{{Op: ir.Const, Imm: bad}, {Op: ir.Const, Imm: 2.5}, instrOf(ir.Gt, 0, 2), instrOf(ir.Where, 3, 1, 0)}}
			strides, shape = stridesOf(dims, keep...)
			for how := plan.Sum; how <= plan.ProdOf; how++ {
				if how == plan.ProdOf && bad == bad {
					continue // infinity times what has become 0: the order tells
				}
				l.Stores = append(l.Stores, reduceTo(how, 4, m.buffer(plan.Output, ir.F32, shape...), strides...))
			}
			m.loop(l)
			l.Stores = []plan.Store{reduceTo(plan.MaxOf, 4, m.buffer(plan.Output, ir.F32), 0, 0, 0)}
			m.loop(l)
			compare(t, m, 1, 1e-6)
		}
	}
}

// TestCompensated: what a tile's sum is too small to move another's is not lost between tiles and chunks.
func TestCompensated(t *testing.T) {
	const tile, tiles = 1024, 1000
	for _, dims := range [][]int{{tile * tiles}, {tiles, tile}, {50, 20, tile}} {
		m := &maker{}
		in, out := m.buffer(plan.Input, ir.F64, tile*tiles), m.buffer(plan.Output, ir.F64)
		var all []int
		for d := range dims {
			all = append(all, d)
		}
		strides, _ := stridesOf(dims, all...)
		m.loop(plan.Loop{Type: ir.F64, Dims: dims, Loads: []plan.Load{loadOf(in, strides...)},
			Stores: []plan.Store{reduceTo(plan.Sum, 0, out, make([]int, len(dims))...)}})
		x := compileFor(t, m).(*executable)
		s := x.slices[in].([]float64)
		for i := range s {
			switch i / tile {
			case 0:
				s[i] = 0x1p70
			case tiles - 1:
				s[i] = -0x1p70
			default:
				s[i] = 1
			}
		}
		if err := x.Run(nil); err != nil {
			t.Fatal(err)
		}
		if got := x.slices[out].([]float64)[0]; got != tile*(tiles-2) {
			t.Errorf("%v: %v, want %v", dims, got, tile*(tiles-2))
		}
	}
}
