package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// rowFamilies are the shapes of rows on which the selection and the soft top-k are tried; scores of order 1 unless said
// otherwise.
var rowFamilies = []struct {
	name string
	fill func(r *rand.Rand, x []float64)
}{
	{"normal", func(r *rand.Rand, x []float64) { each(x, func(int) float64 { return r.NormFloat64() }) }},
	{"wide", func(r *rand.Rand, x []float64) { each(x, func(int) float64 { return 60 * r.NormFloat64() }) }},
	{"equal", func(r *rand.Rand, x []float64) { v := r.NormFloat64(); each(x, func(int) float64 { return v }) }},
	{"zero", func(_ *rand.Rand, x []float64) { each(x, func(int) float64 { return 0 }) }},
	{"ties", func(r *rand.Rand, x []float64) { each(x, func(int) float64 { return float64(r.IntN(4)) }) }},
	{"cauchy", func(r *rand.Rand, x []float64) {
		each(x, func(int) float64 { return math.Tan(math.Pi * (r.Float64() - 0.5)) })
	}},
	{"lognormal", func(r *rand.Rand, x []float64) { each(x, func(int) float64 { return math.Exp(5 * r.NormFloat64()) }) }},
	{"clusters", func(r *rand.Rand, x []float64) {
		gap := 30 * r.Float64()
		each(x, func(int) float64 { return gap * float64(r.IntN(2)) })
	}},
	{"one above", func(r *rand.Rand, x []float64) {
		gap := 30 * r.Float64()
		each(x, func(i int) float64 { return gap * float64(min(i, 1)-1) * -1 })
	}},
	{"one below", func(r *rand.Rand, x []float64) {
		gap := 30 * r.Float64()
		each(x, func(i int) float64 { return gap * float64(min(i, 1)) })
	}},
	{"geometric", func(r *rand.Rand, x []float64) { each(x, func(i int) float64 { return math.Exp2(-float64(i % 200)) }) }},
	{"ramp up", func(r *rand.Rand, x []float64) {
		step := r.Float64()
		each(x, func(i int) float64 { return step * float64(i) })
	}},
	{"ramp down", func(r *rand.Rand, x []float64) {
		step := r.Float64()
		each(x, func(i int) float64 { return -step * float64(i) })
	}},
	{"organ pipe", func(_ *rand.Rand, x []float64) {
		each(x, func(i int) float64 { return float64(min(i, len(x)-i)) / float64(len(x)) })
	}},
	{"offset", func(r *rand.Rand, x []float64) { each(x, func(int) float64 { return 1e8 + 10*r.NormFloat64() }) }},
	{"last bits", func(r *rand.Rand, x []float64) { each(x, func(int) float64 { return 1 + float64(r.IntN(3))*0x1p-52 }) }},
}

func each(x []float64, f func(i int) float64) {
	for i := range x {
		x[i] = f(i)
	}
}

// rowScales multiply the rows of a family.
var rowScales = []float64{1e-30, 1e-8, 1e-3, 1, 30, 1e4, 1e30}

// rowSizes are the n and k of a family's rows.
var rowSizes = [][2]int{
	{1, 1}, {2, 1}, {3, 1}, {3, 2}, {5, 5}, {10, 1}, {10, 9}, {33, 7}, {100, 10}, {100, 50}, {257, 256}, {513, 3},
}

// eachRow calls f with rows of every family, scale and size, as T represents them.
func eachRow[T Float](t *testing.T, f func(t *testing.T, x []T, k int)) {
	for _, fam := range rowFamilies {
		t.Run(fam.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			for _, scale := range rowScales {
				for _, nk := range rowSizes {
					x := make([]float64, nk[0])
					fam.fill(r, x)
					row := make([]T, len(x))
					for i, v := range x {
						row[i] = T(math.Min(v*scale, math.MaxFloat32))
					}
					f(t, row, nk[1])
					if t.Failed() {
						t.Fatalf("at scale %g, n = %d, k = %d", scale, nk[0], nk[1])
					}
				}
			}
		})
	}
}

// sumBudget is what |sum y - k| may be, relative to k: float32 weights are rounded to 6e-8 each, float64 ones to
// 1.1e-16.
func sumBudget[T Float](k int) float64 {
	if isSingle[T]() {
		return 5e-7 * float64(k)
	}
	return 1e-15 * float64(k)
}

// softRow is one row through all four kernels with scale 1.
type softRow[T Float] struct {
	y, dx, dx2 []T
	p, delta   float64
	status     RowStatus
	left       float64 // |sum y - k|
}

func runRow[T Float](x, g, v []T, r Relaxation, scale float64, k int) softRow[T] {
	n := len(x)
	o := softRow[T]{y: make([]T, n), dx: make([]T, n), dx2: make([]T, n)}
	thresh, status, left := make([]float64, 2), make([]RowStatus, 1), make([]float64, 1)
	SoftTopKSolve(thresh, status, x, r, scale, 1, n, k)
	SoftTopKForward(o.y, x, thresh, r, scale, 1, n, k)
	SoftTopKResidual(left, o.y, 1, n, k)
	if g != nil {
		SoftTopKBackward(o.dx, x, thresh, g, r, scale, 1, n, k)
	}
	if v != nil {
		SoftTopKBackward2(o.dx2, x, thresh, g, v, r, scale, 1, n, k)
	}
	o.p, o.delta, o.status, o.left = thresh[0], thresh[1], status[0], left[0]
	return o
}

// allFinite returns an error naming the first NaN or infinity.
func allFinite[T Float](name string, s []T) error {
	for i, v := range s {
		if !(math.Abs(float64(v)) <= math.MaxFloat64) {
			return fmt.Errorf("%s[%d] = %v, want a finite number", name, i, v)
		}
	}
	return nil
}

var relaxations = []Relaxation{LML, ConstrainedSoftmax, ConstrainedSparsemax}

// bothTypes runs a test in both element types.
func bothTypes(t *testing.T, single, double func(t *testing.T)) {
	t.Run("float32", single)
	t.Run("float64", double)
}
