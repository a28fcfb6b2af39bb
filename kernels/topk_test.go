package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/vec"
)

type goldenTopK struct {
	Batch, N, K    int
	F, Index, Mask check.Nested
}

func (c goldenTopK) Name() string { return fmt.Sprintf("n%dk%d", c.N, c.K) }

func TestGoldenTopK(t *testing.T) {
	check.Golden(t, "topk.json", func(t *testing.T, c goldenTopK) {
		if len(c.F) != c.Batch*c.N || len(c.Index) != c.Batch*c.K || len(c.Mask) != len(c.F) {
			t.Fatalf("%d values, %d places, %d marks for %d rows of %d", len(c.F), len(c.Index), len(c.Mask), c.Batch, c.N)
		}
		bothTypes(t, func(t *testing.T) { testGoldenTopK[float32](t, c) }, func(t *testing.T) { testGoldenTopK[float64](t, c) })
	})
}

// The values of the golden file with ties are multiples of 1/4; distinct values of the others stay distinct in float32.
func testGoldenTopK[T Float](t *testing.T, c goldenTopK) {
	mask, done := check.Guarded[T](t, "mask", len(c.F))
	index, status := make([]int32, c.Batch*c.K), make([]RowStatus, c.Batch)
	TopK(mask, index, status, check.Copy[T](c.F), c.Batch, c.N, c.K)
	done()
	check.Close(t, "mask", check.Copy[float64](mask), c.Mask, 0)
	for i, want := range c.Index {
		if index[i] != int32(want) {
			t.Errorf("index[%d] = %d, want %v", i, index[i], want)
		}
	}
}

func TestTopKReference(t *testing.T) {
	bothTypes(t, testTopK[float32], testTopK[float64])
}

func testTopK[T Float](t *testing.T) {
	defer vec.SetThreads(vec.SetThreads(1))
	rng := rand.New(rand.NewPCG(61, 62))
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), math.MaxFloat32, -math.MaxFloat32}
	for _, nk := range [][2]int{{1, 1}, {2, 1}, {2, 2}, {7, 7}, {40, 5}, {300, 299}, {300, 300}, {1000, 1}, {1000, 137}} {
		n, k := nk[0], nk[1]
		for _, oddShare := range []float64{0, 0.1, 0.7, 1} {
			const rows = 9
			f := make([]T, rows*n)
			for i := range f {
				if f[i] = T(math.Round(4*rng.NormFloat64()) / 4); rng.Float64() < oddShare {
					f[i] = T(odd[rng.IntN(len(odd))])
				}
			}
			for _, threads := range []int{1, 2, 8} {
				vec.SetThreads(threads)
				mask, done := check.Guarded[T](t, "mask", rows*n)
				index, status := make([]int32, rows*k), make([]RowStatus, rows)
				for i := range index {
					index[i] = -99
				}
				TopK(mask, index, status, f, rows, n, k)
				done()
				alone := make([]T, rows*n)
				TopK(alone, nil, nil, f, rows, n, k)
				if !slices.Equal(alone, mask) {
					t.Error("the mask depends on the other outputs")
				}
				TopK[T](nil, nil, nil, f, rows, n, k)
				for row := range rows {
					want, wantStatus := topkReference(check.Copy[float64](f[row*n:(row+1)*n]), k), RowOK
					wantMask := make([]T, n)
					for _, i := range want {
						wantMask[i] = 1
					}
					got := index[row*k : (row+1)*k]
					if want == nil {
						wantStatus = RowTooFew
						for range k {
							want = append(want, -1)
						}
					}
					for i := range got {
						if got[i] != int32(want[i]) {
							t.Fatalf("n %d k %d: place %d is %d, want %d", n, k, i, got[i], want[i])
						}
					}
					if !slices.Equal(mask[row*n:(row+1)*n], wantMask) || status[row] != wantStatus {
						t.Fatalf("n %d k %d: wrong mask or status %v", n, k, status[row])
					}
				}
			}
		}
	}
}
