package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func BenchmarkSoftTopK(b *testing.B) {
	for _, r := range relaxations {
		for _, n := range []int{10, 100, 1000, 100_000} {
			name := fmt.Sprintf("%v/n=%d/", r, n)
			b.Run(name+"float32", func(b *testing.B) { benchSoftTopK[float32](b, r, n) })
			b.Run(name+"float64", func(b *testing.B) { benchSoftTopK[float64](b, r, n) })
		}
	}
}

// benchSoftTopK times about 2e5 scores in rows of n, k = n/10, at the spread of normalised costs over a temperature of
// 1/3.
func benchSoftTopK[T Float](b *testing.B, r Relaxation, n int) {
	rows, k := 200_000/n, n/10
	rng := rand.New(rand.NewPCG(81, 82))
	x, y, g := make([]T, rows*n), make([]T, rows*n), make([]T, rows*n)
	for i := range x {
		x[i], g[i] = T(3*rng.NormFloat64()), T(rng.NormFloat64())
	}
	thresh := make([]float64, 2*rows)
	index := make([]int32, rows*k)
	SoftTopKSolve(thresh, nil, x, r, 1, rows, n, k)
	for _, op := range []struct {
		name string
		run  func()
	}{
		{"solve", func() { SoftTopKSolve(thresh, nil, x, r, 1, rows, n, k) }},
		{"forward", func() { SoftTopKForward(y, x, thresh, r, 1, rows, n, k) }},
		{"backward", func() { SoftTopKBackward(y, x, thresh, g, r, 1, rows, n, k) }},
		{"backward2", func() { SoftTopKBackward2(y, x, thresh, g, g, r, 1, rows, n, k) }},
		{"topk", func() { TopK(y, index, nil, x, rows, n, k) }},
	} {
		if op.name == "topk" && r != LML {
			continue
		}
		b.Run(op.name, func(b *testing.B) {
			for b.Loop() {
				op.run()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows*n), "ns/element")
		})
	}
}

// BenchmarkLMLForwardBackward is what bench/suite times: 100 standardised rows of 100, k = 10.
func BenchmarkLMLForwardBackward(b *testing.B) {
	bothKinds(b, benchLML[float32], benchLML[float64])
}

func bothKinds(b *testing.B, single, double func(b *testing.B)) {
	b.Run("float32", single)
	b.Run("float64", double)
}

func benchLML[T Float](b *testing.B) {
	const rows, n, k = 100, 100, 10
	x, g, y := make([]T, rows*n), make([]T, rows*n), make([]T, rows*n)
	Normal(x, 1, 0, 0, 0)
	Normal(g, 1, 1, 0, 0)
	thresh := make([]float64, 2*rows)
	b.Run("forward", func(b *testing.B) {
		for b.Loop() {
			SoftTopK(y, thresh, nil, x, LML, 1, rows, n, k)
		}
	})
	b.Run("backward", func(b *testing.B) {
		for b.Loop() {
			SoftTopKBackward(y, x, thresh, g, LML, 1, rows, n, k)
		}
	})
	b.Run("both", func(b *testing.B) {
		for b.Loop() {
			SoftTopK(y, thresh, nil, x, LML, 1, rows, n, k)
			SoftTopKBackward(y, x, thresh, g, LML, 1, rows, n, k)
		}
	})
}
