package plan

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/godcem/godcem/engine/ir"
)

// at evaluates a view at a point: the element's row-major number, and whether its guards hold.
func (v *view) at(point []int) (int, bool) {
	n := 0
	for i := range v.digits {
		d := &v.digits[i]
		x := d.off
		for k, c := range d.coef {
			x += c * point[k]
		}
		n = n*d.size + x
	}
	for i := range v.guards {
		g := &v.guards[i]
		x := g.Start
		for k, c := range g.Strides {
			x += c * point[k]
		}
		if x < 0 || x >= g.Count {
			return 0, false
		}
	}
	return n, true
}

// A chain of random movements over an array, followed backwards by views, reads for every point of the loop the
// element that following the movements forwards puts there.
func TestViewsFollowMovements(t *testing.T) {
	fitted, split, refused := 0, 0, 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := ir.NewBuilder()
		dim := func() int { return []int{1, 2, 2, 3, 4, 6}[r.IntN(6)] }
		x := b.Input(ir.F64, []int{dim(), dim(), dim()}, ir.InputAttr{Name: "x"})
		ids := []ir.ID{x}
		numbers := make([]int, ir.Count(b.Shape(x))) // element numbers of x; -1: padding
		for i := range numbers {
			numbers[i] = i
		}
		for range 1 + r.IntN(5) {
			y, next := step(r, b, ids[len(ids)-1], numbers)
			if numbers = next; y != ids[len(ids)-1] {
				ids = append(ids, y)
			}
		}
		if b.Err() != nil {
			t.Fatal(b.Err())
		}
		dims := []int{len(numbers)}
	attempt:
		for {
			v := identity(dims)
			for i := len(ids) - 1; i > 0; i-- {
				var m move
				m.set(b.G, b.Node(ids[i]))
				w, want, ok := m.apply(&v, dims)
				if !ok && want.dim < 0 {
					refused++
					break attempt
				}
				if !ok {
					split++
					dims = slices.Insert(slices.Clone(dims), want.dim+1, want.inner)
					dims[want.dim] /= want.inner
					if ir.Count(dims) != len(numbers) {
						t.Fatalf("seed %d: dims %v for %d points", seed, dims, len(numbers))
					}
					continue attempt
				}
				v = w
			}
			fitted++
			off, strides := v.linear(len(dims))
			for p, want := range numbers {
				point := make([]int, len(dims))
				addr := off
				for k, rest := len(dims)-1, p; k >= 0; k-- {
					point[k], rest = rest%dims[k], rest/dims[k]
					addr += strides[k] * point[k]
				}
				got, ok := v.at(point)
				if ok != (want >= 0) || ok && (got != want || addr != want) {
					t.Fatalf("seed %d: point %v of %v: element %d (%v), address %d, want %d\n%v",
						seed, point, dims, got, ok, addr, want, b.G)
				}
			}
			break
		}
	}
	t.Logf("%d chains followed after %d splits, %d refused", fitted, split, refused)
	if fitted < 5*refused || split == 0 {
		t.Errorf("%d chains followed after %d splits, %d refused", fitted, split, refused)
	}
}

// step appends a random movement and says which elements its result holds.
func step(r *rand.Rand, b *ir.Builder, x ir.ID, numbers []int) (ir.ID, []int) {
	s := slices.Clone(b.Shape(x))
	var y ir.ID
	from := func(at []int) int { // the operand's element
		n := 0
		for i, d := range s {
			if at[i] < 0 || at[i] >= d {
				return -1
			}
			n = n*d + at[i]
		}
		return n
	}
	var source func(at []int) int
	switch k := r.IntN(5); k {
	case 0:
		axes := r.Perm(len(s))
		y = b.Transpose(x, axes...)
		source = func(at []int) int {
			in := make([]int, len(at))
			for i, a := range axes {
				in[a] = at[i]
			}
			return from(in)
		}
	case 1:
		to := slices.Clone(s)
		for i := range to {
			if to[i] == 1 {
				to[i] = 1 + r.IntN(3)
			}
		}
		y = b.BroadcastTo(x, to)
		source = func(at []int) int {
			in := slices.Clone(at)
			for i := range in {
				in[i] %= s[i]
			}
			return from(in)
		}
	case 2:
		var to []int
		for _, d := range s {
			if d%2 == 0 && r.IntN(2) == 0 {
				to = append(to, 2, d/2)
			} else if n := len(to); n > 0 && r.IntN(2) == 0 {
				to[n-1] *= d
			} else {
				to = append(to, d)
			}
		}
		return b.Reshape(x, to), numbers
	default:
		start, step, to := make([]int, len(s)), make([]int, len(s)), make([]int, len(s))
		for i, d := range s {
			start[i], step[i] = r.IntN(2), 1
			if k == 3 {
				step[i] = 1 + r.IntN(2)
				start[i] = min(start[i], d-1)
				to[i] = 1 + (d-1-start[i])/step[i]
				to[i] -= r.IntN(2) * min(1, to[i]-1)
			} else {
				to[i] = start[i] + d + r.IntN(2)
			}
		}
		if k == 3 {
			y = b.Slice(x, start, step, to)
		} else {
			y = b.Pad(x, start, step, to)
		}
		source = func(at []int) int {
			in := slices.Clone(at)
			for i := range in {
				if in[i] -= start[i]; k == 3 {
					in[i] = start[i] + step[i]*at[i]
				}
			}
			return from(in)
		}
	}
	out := make([]int, b.Node(y).Count())
	shape := b.Shape(y)
	for p := range out {
		at := make([]int, len(shape))
		for k, rest := len(shape)-1, p; k >= 0; k-- {
			at[k], rest = rest%shape[k], rest/shape[k]
		}
		if out[p] = source(at); out[p] >= 0 {
			out[p] = numbers[out[p]]
		}
	}
	return y, out
}
