package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// checkTop reports whether a[:k] holds the k largest of want, which is sorted upwards, and a the same values.
func checkTop(t *testing.T, a []float64, k int, want []float64) {
	t.Helper()
	top, rest := slices.Clone(a[:k]), slices.Clone(a[k:])
	slices.Sort(top)
	slices.Sort(rest)
	if !slices.Equal(slices.Concat(rest, top), want) {
		t.Errorf("n = %d, k = %d: not the %d largest", len(a), k, k)
	}
}

func TestSelectTop(t *testing.T) {
	for _, fam := range rowFamilies {
		t.Run(fam.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(51, 52))
			for _, n := range []int{0, 1, 2, 15, 16, 17, 18, 31, 40, 64, 100, 333, 1000} {
				x := make([]float64, n)
				fam.fill(rng, x)
				want := slices.Clone(x)
				slices.Sort(want)
				for k := 0; k <= n; k += 1 + n/40 {
					a := slices.Clone(x)
					selectTop(a, k)
					checkTop(t, a, k, want)
				}
			}
		})
	}
}

// With all the work spent, what is left is sorted: the guard against an adversary's order.
func TestSelectTopGuard(t *testing.T) {
	rng := rand.New(rand.NewPCG(53, 54))
	a := make([]float64, 500)
	for i := range a {
		a[i] = math.Round(100 * rng.NormFloat64())
	}
	want := slices.Clone(a)
	slices.Sort(want)
	for k := range len(a) + 1 {
		for _, work := range []int{0, 600} {
			b := slices.Clone(a)
			selectWithin(b, k, work)
			checkTop(t, b, k, want)
		}
	}
}
