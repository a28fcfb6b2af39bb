package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Adam's tiles have the bits of the loop over elements, whose every operation is rounded: at lengths on both sides of a
// tile, with and without decay, from either end of the mean, with gradients that vanish, overflow and are none.
func TestAdamTiles(t *testing.T) {
	t.Run("float32", testAdamTiles[float32])
	t.Run("float64", testAdamTiles[float64])
}

func testAdamTiles[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	for _, n := range []int{1, 15, updateTile - 1, updateTile, updateTile + 1, 3*updateTile + 70} {
		for _, o := range []Optimizer{{}, {WeightDecay: 0.01}, {Beta1: 0.3, Beta2: 0.9, Epsilon: 1e-3}} {
			var j updateJob[T]
			j.configure(o.WithDefaults(), 3, 0.7)
			of := func(scale float64) []T {
				x := make([]T, n)
				for i := range x {
					x[i] = T(r.NormFloat64() * scale * math.Exp(20*r.NormFloat64()))
				}
				return x
			}
			j.p, j.g, j.m, j.v = of(1), of(0.1), of(0.1), of(0.01)
			for i := range j.v {
				j.v[i] = T(math.Abs(float64(j.v[i])))
			}
			j.g[0], j.g[n/2] = 0, T(math.NaN())
			p, m, v := make([]T, n), make([]T, n), make([]T, n)
			for i, pi := range j.p {
				gi := decayed(j.g[i], pi, j.factor, j.decay)
				mi := j.m[i]
				if d := gi - mi; j.meanWeight < 0.5 {
					mi += T(j.meanWeight * d)
				} else {
					mi = gi - T(d*(1-j.meanWeight))
				}
				vi := T(j.v[i]*j.keep) + T(T(j.add*gi)*gi)
				p[i], m[i], v[i] = pi-T(j.rate*mi)/(root(vi)/j.correction+j.eps), mi, vi
			}
			j.adam(0, n)
			for i := range p {
				for k, x := range [][2]T{{j.p[i], p[i]}, {j.m[i], m[i]}, {j.v[i], v[i]}} {
					if got, want := x[0], x[1]; got != want && (got == got || want == want) {
						t.Fatalf("%d elements, %+v: %s[%d] is %v, want %v", n, o, []string{"p", "m", "v"}[k], i, got, want)
					}
				}
			}
		}
	}
}
