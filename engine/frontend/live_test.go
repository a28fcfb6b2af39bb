package frontend

import (
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TestMovingSlices: minibatches by UnsafeLet.
func TestMovingSlices(t *testing.T) {
	for _, interior := range []bool{false, true} {
		g := G.NewGraph()
		x := bound(g, tensor.Float64, sh(6, 2), []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, "x")
		from := x
		if interior {
			from = G.Must(G.Neg(x))
		}
		s := G.Must(G.Slice(from, G.S(0, 2)))
		y := G.Must(G.Square(s))
		grads, err := G.Grad(G.Must(G.Sum(y)), x)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Import(g, Options{All: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(hosts(m)) != 0 {
			t.Errorf("interior %v: on the host at first: %v", interior, hosts(m))
		}
		check := func(first float64) {
			t.Helper()
			want := make([]float64, 12)
			var squares []float64
			for i := range 4 {
				v := 2*first + float64(i)
				want[int(v)] = 2 * v
				squares = append(squares, v*v)
			}
			if got := valueOf(t, m, y); !equal(got, squares) {
				t.Errorf("interior %v: rows from %v: %v, want %v", interior, first, got, squares)
			}
			if got := valueOf(t, m, grads[0]); !equal(got, want) {
				t.Errorf("interior %v: rows from %v: gradient %v, want %v", interior, first, got, want)
			}
		}
		check(0)
		if m.Stale() {
			t.Fatalf("interior %v: stale at once", interior)
		}
		if err := G.UnsafeLet(s, G.S(2, 4)); err != nil {
			t.Fatal(err)
		}
		if !m.Stale() {
			t.Fatalf("interior %v: not stale though the slice has moved", interior)
		}
		if m, err = Import(g, Options{All: true, Stale: m}); err != nil {
			t.Fatal(err)
		}
		check(2)
		G.UnsafeLet(s, G.S(4, 6))
		if m.Stale() {
			t.Errorf("interior %v: stale again", interior)
		}
		check(4)
		if n := testing.AllocsPerRun(10, func() { m.Stale() }); n != 0 {
			t.Errorf("interior %v: Stale allocates %v times", interior, n)
		}
		if interior == (m.Inputs[0].Src == m.Number(s) || m.Inputs[len(m.Inputs)-1].Src == m.Number(s)) {
			t.Errorf("interior %v: inputs %v", interior, m.Inputs)
		}
		// A slice keeps its shape.
		G.UnsafeLet(s, G.S(0, 3))
		if _, err := devices[0].run(m); err == nil || !strings.Contains(err.Error(), "T[") ||
			!strings.Contains(err.Error(), "(3, 2)") {
			t.Errorf("interior %v: a slice of another shape: error %v", interior, err)
		}
		// The module after that one goes on from it.
		G.UnsafeLet(s, G.S(0, 2))
		if m, err = Import(g, Options{All: true, Stale: m}); err != nil {
			t.Fatal(err)
		}
		if m, err = Import(g, Options{All: true, Stale: m}); err != nil { // and again, though nothing has moved
			t.Fatal(err)
		}
		G.UnsafeLet(s, G.S(1, 3))
		if m.Stale() {
			t.Errorf("interior %v: stale after other imports", interior)
		}
		check(1)
		// The values of a resident input are on the device: its slices are taken there.
		m, err = Import(g, Options{All: true, Stale: m, Resident: G.Nodes{x}})
		if err != nil {
			t.Fatal(err)
		}
		if got := hosts(m); !slices.Equal(got, []string{"sliceIncrOp", "sliceOp"}) {
			t.Errorf("interior %v, resident: on the host: %v", interior, got)
		}
	}
}

// TestLiveSlicesDoNotAllocate: the value of a slice that stays, moves, or is taken of something else.
func TestLiveSlicesDoNotAllocate(t *testing.T) {
	for _, columns := range []bool{false, true} {
		g := G.NewGraph()
		x := bound(g, tensor.Float64, sh(6, 6), ramp(tensor.Float64, 6, 6).Data().([]float64), "x")
		along := []tensor.Slice{G.S(0, 2)}
		if columns {
			along = []tensor.Slice{nil, G.S(0, 2)}
		}
		s := G.Must(G.Slice(x, along...))
		G.Must(G.Square(s))
		m, err := Import(g, Options{All: true})
		if err != nil {
			t.Fatal(err)
		}
		move := func(at int) {
			t.Helper()
			if err := G.UnsafeLet(s, G.S(at, at+2)); err != nil {
				t.Fatal(err)
			}
		}
		move(1)
		if m, err = Import(g, Options{All: true, Stale: m}); err != nil {
			t.Fatal(err)
		}
		src := m.Number(s)
		check := func(at int) {
			t.Helper()
			v, err := m.Value(src)
			if err != nil {
				t.Fatal(err)
			}
			flat, err := Flat(v)
			if err != nil {
				t.Fatal(err)
			}
			var want []float64
			data := x.Value().Data().([]float64)
			for i := range 36 {
				where := i / 6
				if columns {
					where = i % 6
				}
				if where == at || where == at+1 {
					want = append(want, data[i])
				}
			}
			if got := floats(flat); !equal(got, want) {
				t.Errorf("columns %v, at %d: %v, want %v", columns, at, got, want)
			}
		}
		check(1)
		for _, at := range []int{4, 0, 3} {
			move(at)
			check(at)
		}
		x.Value().Data().([]float64)[20] = 77 // in place
		check(3)
		if n := testing.AllocsPerRun(10, func() { m.Value(src) }); n != 0 {
			t.Errorf("columns %v: a slice that stays allocates %v times", columns, n)
		}
		a, b := G.S(2, 4), G.S(3, 5)
		if n := testing.AllocsPerRun(10, func() {
			a, b = b, a
			G.UnsafeLet(s, a)
			if _, err := m.Value(src); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("columns %v: a slice that moves allocates %v times", columns, n)
		}
		if err := G.UnsafeLet(s, G.S(5, 7)); err == nil {
			if _, err := m.Value(src); err == nil {
				t.Errorf("columns %v: a slice beyond the end is taken", columns)
			}
		}
		move(2)
		other := ramp(tensor.Float64, 6, 6)
		for i, d := 0, other.Data().([]float64); i < len(d); i++ {
			d[i] *= -3
		}
		if err := G.Let(x, other); err != nil {
			t.Fatal(err)
		}
		check(2)
	}
}
