package vec

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// lmlCase is what the loops of LML take and give, rows of n elements a stride apart.
type lmlCase struct {
	rows, n, stride         int
	x, g, ref, c, u, mean   []float32
	moments, odds, y, h, dx []float32
	sums                    []LMLSums
	slopes                  []LMLSlopeSums
	total                   []float64
	count                   []int32
	quick                   []LMLSums
	limit                   [4]float32
	centre, factor          []float32
	width, step             []float64
}

func (c *lmlCase) run() {
	pad := LMLPadded(c.n)
	nan := float32(math.NaN())
	poisoned := func(n int) []float32 { return slices.Repeat([]float32{nan}, n) }
	c.moments, c.odds, c.h = poisoned(4*c.rows), poisoned(c.rows*pad), poisoned(c.rows*pad)
	c.y, c.dx = poisoned(len(c.x)), poisoned(len(c.x))
	c.sums, c.slopes, c.total = make([]LMLSums, c.rows), make([]LMLSlopeSums, c.rows), make([]float64, c.rows)
	LMLMoments(c.x, c.stride, c.n, c.ref, c.moments)
	for i := range c.rows { // the rest is room
		c.moments[4*i+2], c.moments[4*i+3] = 0, 0
	}
	c.count = make([]int32, c.rows)
	c.limit[0] = LMLPowers(c.x, c.stride, c.n, 1.5, c.c, c.odds)
	LMLCounted(c.odds, c.n, c.sums, c.count)
	c.quick = make([]LMLSums, c.rows)
	again := poisoned(len(c.odds))
	c.limit[1] = LMLQuick(c.x, c.stride, c.n, 1.5, c.c, again, -0.3, c.quick)
	if !slices.Equal(again, c.odds) {
		panic("LMLQuick's odds are not LMLPowers'")
	}
	room := (c.rows + LMLFours - 1) &^ (LMLFours - 1)
	grown := func(v []float32, each int) []float32 {
		return append(slices.Clone(v), make([]float32, each*(room-c.rows))...)
	}
	c.centre, c.factor, c.width, c.step = make([]float32, room), make([]float32, room), make([]float64, room), make([]float64, room)
	LMLStart(c.rows, &[3]float64{1 / float64(c.n), 0.8, -0.9}, grown(c.moments, 4), grown(c.ref, 1), c.centre, c.width)
	LMLSteps(c.rows, &[3]float64{1, float64(c.n - 1), float64(c.n)}, append(slices.Clone(c.sums), make([]LMLSums, room-c.rows)...),
		append(slices.Clone(c.count), make([]int32, room-c.rows)...), c.width, c.step, c.factor)
	c.centre, c.factor, c.width, c.step = c.centre[:c.rows], c.factor[:c.rows], c.width[:c.rows], c.step[:c.rows]
	LMLWeights(c.y, c.stride, c.n, c.odds, c.u, c.total)
	c.limit[2], c.limit[3] = LMLSlopes(c.x, c.g, c.stride, c.n, 1.5, c.c, c.u, c.ref, c.h, c.slopes)
	for i := range c.slopes { // as in the moments
		c.slopes[i].room1, c.slopes[i].room2 = 0, 0
	}
	LMLGrad(c.dx, c.g, c.stride, c.n, c.h, c.ref, c.mean, 0.7)
}

// Every instruction set gives plain Go's bits, and writes nothing between rows.
func TestLMLBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 100, 255, LMLRow} {
		for _, rows := range []int{1, 3} {
			for _, scale := range []float64{1, 20, 1e-6} {
				fill := func(n int, scale float64) []float32 {
					v := make([]float32, n)
					for i := range v {
						v[i] = float32(scale * rng.NormFloat64())
					}
					return v
				}
				stride := n + rng.IntN(5)
				c := lmlCase{rows: rows, n: n, stride: stride, x: fill(rows*stride+3, scale), g: fill(rows*stride+3, 1), ref: fill(rows, 1),
					c: fill(rows, scale), u: fill(rows, 1), mean: fill(rows, 1)}
				for i, v := range c.u {
					c.u[i] = float32(math.Exp(float64(v)))
				}
				want := c
				old := current
				current = isaGo
				want.run()
				current = old
				eachISA(t, func(t *testing.T) {
					c.run()
					for _, a := range []struct {
						name      string
						got, want []float32
					}{{"moments", c.moments, want.moments}, {"odds", c.odds, want.odds}, {"y", c.y, want.y}, {"h", c.h, want.h}, {"dx", c.dx, want.dx}} {
						for i, v := range a.want {
							if math.Float32bits(v) != math.Float32bits(a.got[i]) && (v == v || a.got[i] == a.got[i]) {
								t.Fatalf("n %d, rows %d: %s[%d] = %v, plain Go has %v", n, rows, a.name, i, a.got[i], v)
							}
						}
					}
					if g, w := fmt.Sprint(c.sums, c.quick, c.slopes, c.total, c.count, c.limit, c.centre, c.factor, c.width, c.step), fmt.Sprint(want.sums, want.quick, want.slopes, want.total, want.count, want.limit, want.centre, want.factor, want.width, want.step); g != w {
						t.Fatalf("n %d, rows %d: sums\n%s, plain Go has\n%s", n, rows, g, w)
					}
				})
			}
		}
	}
}

// fma32 against math/big, sums halfway between two numbers among them.
func TestFMA32(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	halfway := 0
	for range 200_000 {
		x, y := float32(rng.NormFloat64()), float32(rng.NormFloat64())
		if rng.IntN(2) == 0 { // products with few bits are often halfway
			x, y = float32(1+rng.IntN(1<<13)), float32(1+rng.IntN(1<<13))
		}
		z := float32(math.Ldexp(rng.NormFloat64(), rng.IntN(60)-30))
		exact := new(big.Float).SetPrec(300).SetFloat64(float64(x) * float64(y))
		exact.Add(exact, big.NewFloat(float64(z)))
		want, _ := exact.Float32()
		if s := float64(x)*float64(y) + float64(z); math.Float64bits(s)&(1<<29-1) == 1<<28 {
			halfway++
		}
		if got := fma32(x, y, z); got != want {
			t.Fatalf("%v*%v + %v = %v, want %v", x, y, z, got, want)
		}
	}
	if halfway < 100 {
		t.Errorf("only %d sums were halfway", halfway)
	}
}

// The powers of two never fall where the exponent rises, next to multiples of an eighth and the middles between them among
// others, and are right to an ulp and the 7e-8 of the table and the polynomial.
func TestLMLPower(t *testing.T) {
	for _, slope := range []float32{1, 1.4426950, -0.37, 3e5} {
		for from := float32(-60); from <= 60; from += 1. / 16 {
			x := from / slope
			step := float32(math.Copysign(math.MaxFloat32, float64(slope)))
			last := float32(0)
			for range 300 {
				v := lmlPower(x, 8*slope)
				exact := math.Exp2(float64(x) * float64(slope))
				if !(v >= last) || !(math.Abs(float64(v)-exact) <= 1.3e-7*exact) {
					t.Fatalf("2^(%v*%v) = %v after %v, want %v", x, slope, v, last, exact)
				}
				last, x = v, math.Nextafter32(x, step)
			}
		}
	}
}

func BenchmarkLML(b *testing.B) {
	const rows, n = 100, 100
	rng := rand.New(rand.NewPCG(1, 2))
	fill := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64())
		}
		return v
	}
	x, g, ones := fill(rows*n), fill(rows*n), slices.Repeat([]float32{1}, rows)
	moments, odds, out := make([]float32, 4*rows), make([]float32, rows*LMLPadded(n)), make([]float32, rows*n)
	sums, slopes, total := make([]LMLSums, rows), make([]LMLSlopeSums, rows), make([]float64, rows)
	count := make([]int32, rows)
	old := current
	defer func() { current = old }()
	for i, name := range isaNames {
		if isa(i) > best {
			continue
		}
		for _, op := range []struct {
			name string
			run  func()
		}{
			{"moments", func() { LMLMoments(x, n, n, ones, moments) }},
			{"powers", func() { LMLPowers(x, n, n, 1.44, ones, odds) }},
			{"counted", func() { LMLCounted(odds, n, sums, count) }},
			{"quick", func() { LMLQuick(x, n, n, 1.44, ones, odds, -0.6, sums) }},
			{"weights", func() { LMLWeights(out, n, n, odds, ones, total) }},
			{"slopes", func() { LMLSlopes(x, g, n, n, 1.44, ones, ones, ones, odds, slopes) }},
			{"grad", func() { LMLGrad(out, g, n, n, odds, ones, ones, 1) }},
		} {
			b.Run(name+"/"+op.name, func(b *testing.B) {
				current = isa(i)
				for b.Loop() {
					op.run()
				}
			})
		}
	}
}
