package kernels

import (
	"encoding/binary"
	"math"
	"testing"
)

// FuzzSoftTopK takes rows of any bit patterns: whatever they hold, finite scores give weights within the budget and
// finite gradients.
func FuzzSoftTopK(f *testing.F) {
	pack := func(v ...float64) (raw []byte) {
		for _, x := range v {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(x))
		}
		return raw
	}
	f.Add(pack(1, 2, 3, 4, 5), byte(2), 1.0)
	f.Add(pack(1e308, -1e308, 1e308, 0), byte(2), -1.0)
	f.Add(pack(math.Inf(-1), 5e-324, -5e-324, 0, 0), byte(1), 1e300)
	f.Add(pack(1e30, 1e30, math.Inf(1), 1), byte(3), -1e-30)
	f.Fuzz(func(t *testing.T, raw []byte, kByte byte, scale float64) {
		n := len(raw) / 8
		if n == 0 || !(math.Abs(scale) <= math.MaxFloat64) {
			t.Skip("no row")
		}
		k := 1 + int(kByte)%n
		x, x32 := make([]float64, n), make([]float32, n)
		for i := range x {
			x[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
			x32[i] = float32(x[i])
		}
		for _, r := range relaxations {
			checkAnyRow(t, x, r, scale, k)
			checkAnyRow(t, x32, r, scale, k)
		}
	})
}

func checkAnyRow[T Float](t *testing.T, x []T, r Relaxation, scale float64, k int) {
	t.Helper()
	g := make([]T, len(x))
	for i := range g {
		g[i] = T(math.MaxFloat32) * T(1-i%3)
	}
	want, used := RowOK, 0
	for _, v := range x {
		a := scale * float64(v)
		if !(a <= math.MaxFloat64) {
			want = RowNonFinite
		}
		if a >= -math.MaxFloat64 {
			used++
		}
	}
	if want == RowOK && used < k {
		want = RowTooFew
	}
	o := runRow(x, g, g, r, scale, k)
	if o.status != want {
		t.Fatalf("%v x %v scale %v k %d: status %v, want %v", r, x, scale, k, o.status, want)
	}
	for _, err := range []error{allFinite("y", o.y), allFinite("dx", o.dx), allFinite("dx2", o.dx2)} {
		if err != nil {
			t.Fatalf("%v x %v scale %v k %d: %v", r, x, scale, k, err)
		}
	}
	if want == RowOK && !(o.left <= sumBudget[T](k)) {
		t.Fatalf("%v x %v scale %v k %d: |sum y - k| = %g", r, x, scale, k, o.left)
	}
}
