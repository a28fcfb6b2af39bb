package vec

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// Every instruction set gives plain Go's bits, reads nothing beyond the samples, and leaves out those of weight 0.
func TestWeightedBits(t *testing.T) {
	t.Run("float32", testWeightedBits[float32])
	t.Run("float64", testWeightedBits[float64])
}

func testWeightedBits[T Float](t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for _, d := range []int{0, 1, 2, 3, 4, 7, 8, 9, 12, 13, 16, 17, 20, 31, 32, 33, 70} {
		for _, n := range []int{0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 29, 100} {
			x, w, mu := make([]T, n*d), make([]T, n), make([]T, d)
			for i := range x {
				x[i] = T(math.Exp(6*rng.NormFloat64()) * rng.NormFloat64())
			}
			for i := range w {
				w[i] = T(rng.Float64())
				if rng.IntN(4) == 0 {
					w[i] = T(math.Copysign(0, rng.NormFloat64()))
					for j := range d {
						x[i*d+j] = T([]float64{math.NaN(), math.Inf(1), math.Inf(-1)}[j%3])
					}
				}
			}
			if n > 3 && d > 2 && w[2] != 0 { // one dimension is not finite
				x[2*d+1] = T(math.Inf(1))
			}
			for j := range mu {
				mu[j] = T(rng.NormFloat64())
			}
			x, w, mu = slices.Clip(x), slices.Clip(w), slices.Clip(mu)
			run := func(squares bool) (hi, lo []float64) {
				hi, lo = make([]float64, max(d, MomentLanes)+1), make([]float64, max(d, MomentLanes)+1)
				for i := range hi {
					hi[i], lo[i] = 77, 77
				}
				if squares {
					WeightedSquares(hi, lo, x, w, mu)
				} else {
					WeightedSums(hi, lo, x, w, d)
				}
				if hi[len(hi)-1] != 77 || lo[len(lo)-1] != 77 {
					t.Fatalf("n %d, d %d: written beyond the room", n, d)
				}
				return hi[:d], lo[:d]
			}
			for _, squares := range []bool{false, true} {
				old := current
				current = isaGo
				hi, lo := run(squares)
				current = old
				for j := range hi {
					if math.IsInf(hi[j], 0) {
						continue
					}
					// A rounding of 1.1e-16 for each product, square and plain sum, of the sizes' sum.
					got := hi[j] + lo[j]
					want, size := exactWeighted(x, w, mu, d, j, squares)
					if !(math.Abs(got-want) <= 1.2e-16*float64(n+3)*size) {
						t.Fatalf("n %d, d %d, squares %v: sum %d is %v, want %v", n, d, squares, j, got, want)
					}
				}
				eachISA(t, func(t *testing.T) {
					gotHi, gotLo := run(squares)
					for j := range hi {
						for _, p := range [][2]float64{{gotHi[j], hi[j]}, {gotLo[j], lo[j]}} {
							if math.Float64bits(p[0]) != math.Float64bits(p[1]) && (p[0] == p[0] || p[1] == p[1]) {
								t.Fatalf("n %d, d %d, squares %v: sum %d is %v + %v, plain Go has %v + %v",
									n, d, squares, j, gotHi[j], gotLo[j], hi[j], lo[j])
							}
						}
					}
				})
			}
		}
	}
}

// exactWeighted is the sum of the finite samples, and that of its terms' sizes.
func exactWeighted[T Float](x, w, mu []T, d, j int, squares bool) (sum, size float64) {
	exact := new(big.Float).SetPrec(2000)
	for i, wi := range w {
		v := float64(x[i*d+j])
		if wi == 0 || math.IsInf(v, 0) {
			continue
		}
		p := new(big.Float).SetPrec(2000).SetFloat64(v)
		if squares {
			p.Sub(p, big.NewFloat(float64(mu[j])))
			p.Mul(p, p)
		}
		exact.Add(exact, p.Mul(p, big.NewFloat(float64(wi))))
		term, _ := p.Float64()
		size += math.Abs(term)
	}
	sum, _ = exact.Float64()
	return sum, size
}

// In float64 the sums keep what their additions lose.
func TestWeightedCompensated(t *testing.T) {
	for _, d := range []int{1, 5} {
		const n = 100
		x, w := make([]float64, n*d), slices.Repeat([]float64{1}, n)
		for i := range n {
			for j := range d {
				x[i*d+j] = []float64{1e16, 1, -1e16, 1}[i%4]
			}
		}
		hi, lo := make([]float64, MomentLanes), make([]float64, MomentLanes)
		eachISA(t, func(t *testing.T) {
			WeightedSums(hi, lo, x, w, d)
			for j := range d {
				if got := hi[j] + lo[j]; got != n/2 {
					t.Errorf("d %d: sum %d is %v, want %v", d, j, got, n/2)
				}
			}
		})
	}
}

func BenchmarkWeighted(b *testing.B) {
	old := current
	defer func() { current = old }()
	for i, name := range isaNames {
		if isa(i) > best {
			continue
		}
		for _, s := range [][2]int{{100, 1}, {1000, 20}} {
			title := fmt.Sprintf("%s/%dx%d/", name, s[0], s[1])
			b.Run(title+"float32", func(b *testing.B) { benchWeighted[float32](b, isa(i), s[0], s[1]) })
			b.Run(title+"float64", func(b *testing.B) { benchWeighted[float64](b, isa(i), s[0], s[1]) })
		}
	}
}

func benchWeighted[T Float](b *testing.B, set isa, n, d int) {
	current = set
	x, w, mu := slices.Repeat([]T{1.5}, n*d), slices.Repeat([]T{0.1}, n), make([]T, d)
	hi, lo := make([]float64, max(d, MomentLanes)), make([]float64, max(d, MomentLanes))
	for b.Loop() {
		WeightedSums(hi, lo, x, w, d)
		WeightedSquares(hi, lo, x, w, mu)
	}
}
