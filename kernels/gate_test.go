package kernels

import (
	"math"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

func TestGateBackward(t *testing.T) {
	t.Run("float32", testGateBackward[float32])
	t.Run("float64", testGateBackward[float64])
}

func testGateBackward[T Float](t *testing.T) {
	nan, inf := T(math.NaN()), T(math.Inf(1))
	f := []T{1, nan, inf, -inf, 0, nan}
	g := []T{1, 2, nan, 4, 5, 6, inf, 8, 9, nan, -inf, -inf}
	want := []T{1, 2, 0, 0, 0, 0, 0, 0, 9, nan, 0, 0}
	dx := check.Poison(make([]T, len(g)))
	// Stopped: samples 1, 3 and 5. Sample 2's gradient is finite, and sample 4's NaN comes with a finite cost and
	// passes.
	if got := GateBackward(dx, g, f, 2, 3, 2); got != 3 {
		t.Errorf("%d gradients stopped, want 3", got)
	}
	sameBits(t, "dx", dx, want)
	if got := GateBackward(g, g, f, 2, 3, 2); got != 3 {
		t.Errorf("in place: %d gradients stopped, want 3", got)
	}
	sameBits(t, "in place", g, want)
	if got := GateBackward[T](nil, nil, nil, 0, 3, 2); got != 0 {
		t.Errorf("no problem: %d gradients stopped, want 0", got)
	}
	if got := GateBackward(nil, nil, f, 2, 3, 0); got != 0 {
		t.Errorf("no dimension: %d gradients stopped, want 0", got)
	}
}

func TestGateThreadsAllocationsPanics(t *testing.T) {
	const b, n, d = 13, 501, 17
	g, f, dx := normals[float32](1, b*n*d), normals[float32](2, b*n), make([]float32, b*n*d)
	want := 0
	for i := range f {
		if i%3 == 0 {
			f[i] = float32(math.Inf(1))
		}
		if i%4 == 0 {
			g[i*d+i%d] = float32(math.NaN())
		}
		if i%12 == 0 {
			want++
		}
	}
	threadsAgree(t, func() []float32 {
		out := check.Poison(make([]float32, b*n*d))
		if got := GateBackward(out, g, f, b, n, d); got != want {
			t.Errorf("%d gradients stopped, want %d", got, want)
		}
		return out
	})
	allocatesNothing(t, func() { GateBackward(dx, g, f, b, n, d) })
	panicsWith(t, "GateBackward: len(dx) = 3, want b*n*d", func() { GateBackward(dx[:3], g, f, b, n, d) })
	panicsWith(t, "GateBackward: len(g) = 3, want b*n*d", func() { GateBackward(dx, g[:3], f, b, n, d) })
	panicsWith(t, "GateBackward: len(f) = 3, want b*n = 6513", func() { GateBackward(dx, g, f[:3], b, n, d) })
	panicsWith(t, "GateBackward: n = -1, want >= 0", func() { GateBackward(dx, g, f, b, -1, d) })
}

func BenchmarkGateBackward(b *testing.B) {
	const rows, n, d = 4, 1000, 128
	g, f, dx := normals[float32](1, rows*n*d), normals[float32](2, rows*n), make([]float32, rows*n*d)
	f[5] = float32(math.NaN())
	b.SetBytes(rows * n * d * 4)
	for b.Loop() {
		GateBackward(dx, g, f, rows, n, d)
	}
}
