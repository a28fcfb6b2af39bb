package vec

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/godcem/godcem/internal/check/exact"
)

// worstOf is the worst error in ulp by instruction set, and where.
type worstOf struct {
	ulp [isaAVX512 + 1]float64
	at  [isaAVX512 + 1]string
}

func (w *worstOf) add(set isa, ulp float64, at func() string) {
	if !(ulp <= w.ulp[set]) {
		w.ulp[set], w.at[set] = ulp, at()
	}
}

func (w *worstOf) merge(v *worstOf) {
	for set, u := range v.ulp {
		w.add(isa(set), u, func() string { return v.at[set] })
	}
}

// check compares with what is asserted, and hands on to the table.
func (w *worstOf) check(t *testing.T, name, elem string, limit, limitGo float64) {
	t.Helper()
	for set := isaGo; set <= best; set++ {
		limit := limit
		if set == isaGo {
			limit = limitGo
		}
		t.Logf("%s, %s: at most %.3f ulp, at %s", name, isaNames[set], w.ulp[set], w.at[set])
		if !(w.ulp[set] <= limit) {
			t.Errorf("%s, %s: %.3f ulp at %s, want at most %v", name, isaNames[set], w.ulp[set], w.at[set], limit)
		}
	}
	documented(t, name, elem, *w)
}

// ulps32 is the error of got in units in the last place of float32 at want.
func ulps32(got float32, want float64) float64 {
	g := float64(got)
	if g == want || got != got && want != want || got == float32(want) && math.IsInf(g, 0) {
		return 0
	}
	_, e := math.Frexp(want)
	if d := math.Abs(g-want) / math.Ldexp(1, max(e-24, -149)); d < inf {
		return d
	}
	return inf
}

// near32 is ulps32 at the least, and of normal numbers just that.
func near32(got float32, want float64) float64 {
	size := math.Float64bits(want) & (2047 << 52)
	if size < 897<<52 || size >= 1151<<52 || got-got != 0 {
		return inf
	}
	return math.Abs(float64(got)-want) / math.Float64frombits(size-23<<52)
}

// chosen reports whether a function is to be tested: GODCEM_EXHAUSTIVE may name one, or all.
func chosen(name string) (test, exhaustive bool) {
	only := os.Getenv("GODCEM_EXHAUSTIVE")
	return only == "" || only == "all" || only == name, only != ""
}

// exhaustiveStep is the distance of the float32 that are looked at then: every one, or what GODCEM_STEP says.
func exhaustiveStep() uint64 {
	if step, err := strconv.ParseUint(os.Getenv("GODCEM_STEP"), 10, 32); err == nil && step > 0 {
		return step
	}
	return 1
}

// runAll applies f with every instruction set from first on, and fails unless those of assembly agree.
func runAll[T Float](t *testing.T, f function, first isa, src []T, dst *[isaAVX512 + 1][]T) {
	defer func(old isa) { current = old }(current)
	for current = first; current <= best; current++ {
		dst[current] = dst[current][:0]
		for range src {
			dst[current] = append(dst[current], T(nan))
		}
		f.apply(dst[current], src)
	}
	if best < isaAVX512 {
		return
	}
	for i, v := range dst[isaAVX512] {
		if w := dst[isaAVX2][i]; v != w && (v == v || w == w) {
			t.Errorf("%s(%v) = %v with AVX-512, %v with AVX2", f.name, src[i], v, w)
			return
		}
	}
}

// Errors over all of float32: every 4999th number, with GODCEM_EXHAUSTIVE every one, compared with the float64 function,
// whose own errors TestFuncErrors64 has. Plain Go's, which rounds what float64 gives, are of every 499th then.
func TestFuncErrors32(t *testing.T) {
	const n = 1 << 16
	for _, f := range functions {
		test, exhaustive := chosen(f.name)
		if !test {
			continue
		}
		var worst worstOf
		sweep := func(first isa, step uint64) {
			var threads sync.WaitGroup
			workers := uint64(runtime.GOMAXPROCS(0))
			found := make([]worstOf, workers)
			// An instruction set is for all threads: they run its code one after the other, and compare side by side.
			var turn sync.Mutex
			for w := range workers {
				threads.Add(1)
				go func() {
					defer threads.Done()
					var dst [isaAVX512 + 1][]float32
					src, wants := make([]float32, n), make([]float64, n)
					for start := w * n * step; start < 1<<32; start += workers * n * step {
						for i := range src {
							src[i] = math.Float32frombits(uint32(start + uint64(i)*step))
						}
						turn.Lock()
						runAll(t, f, first, src, &dst)
						Widen(wants, src)
						if first > isaGo {
							f.double(wants, wants)
						}
						turn.Unlock()
						for i, x := range src {
							if first == isaGo {
								wants[i] = f.ref(wants[i])
							}
							want := wants[i]
							rounded := float32(want)
							for set := first; set <= best; set++ {
								if set == isaAVX512 && dst[set][i] == dst[isaAVX2][i] {
									continue
								}
								if got := dst[set][i]; got != rounded && near32(got, want) > found[w].ulp[set] || found[w].ulp[set] < 0.5 {
									found[w].add(set, ulps32(got, want), func() string { return fmt.Sprint(x) })
								}
							}
						}
					}
				}()
			}
			threads.Wait()
			for i := range found {
				worst.merge(&found[i])
			}
		}
		if exhaustive {
			sweep(isaGo, 499)
			if best > isaGo {
				sweep(isaAVX2, exhaustiveStep())
			}
		} else {
			sweep(isaGo, 4999) // a prime: it meets every lane and every low bit
		}
		worst.ulp[isaAVX512] = max(worst.ulp[isaAVX512], worst.ulp[isaAVX2]) // their bits agree
		worst.check(t, f.name, "float32", f.ulp, 0.501)
	}
}

// Errors of float64, against 200 bits, where the function is neither constant nor infinite.
func TestFuncErrors64(t *testing.T) {
	for _, f := range functions {
		test, exhaustive := chosen(f.name)
		if !test {
			continue
		}
		n := 500
		if exhaustive {
			n = 20000
		}
		src := f.samples64(n)
		var dst [isaAVX512 + 1][]float64
		runAll(t, f, isaGo, src, &dst)
		var threads sync.WaitGroup
		workers := runtime.GOMAXPROCS(0)
		found := make([]worstOf, workers)
		for w := range workers {
			threads.Add(1)
			go func() {
				defer threads.Done()
				for i := w; i < len(src); i += workers {
					want := exact.Functions[f.name](src[i])
					for set := isaGo; set <= best; set++ {
						found[w].add(set, ulps64(dst[set][i], want), func() string { return fmt.Sprint(src[i]) })
					}
				}
			}()
		}
		threads.Wait()
		var worst worstOf
		for i := range found {
			worst.merge(&found[i])
		}
		worst.check(t, f.name, "float64", f.ulp, max(f.ulp, 1.6))
	}
}

// samples64 are numbers of all kinds in the function's domain; of sine and cosine also the numbers next to multiples of
// pi/2, and those of all sizes.
func (f function) samples64(n int) []float64 {
	r := rand.New(rand.NewPCG(1, 2))
	between := func(low, high float64) float64 { return low + (high-low)*r.Float64() }
	var src []float64
	for range n {
		for _, x := range []float64{
			math.Float64frombits(r.Uint64()),
			between(-2, 2), between(-50, 50), between(f.low/2, f.high/2) * 2,
			math.Copysign(math.Exp(between(-40, 7)), between(-1, 1)),
			1 + between(-1, 1)*math.Exp(between(-36, 0)),
			f.low + math.Exp(between(-36, 3)),
		} {
			if x >= f.low && x <= f.high && x != 0 {
				src = append(src, x)
			}
		}
	}
	if f.name != "Sin" && f.name != "Cos" {
		return src
	}
	src = append(src, 6381956970095103*0x1p797, 5.319372648326541e+255, 1e22, 1e30, math.MaxFloat64, -math.MaxFloat64,
		sineLimit, math.Nextafter(sineLimit, inf), -math.Nextafter(sineLimit, inf))
	for range n {
		multiple := exact.QuarterTurns(math.Floor(math.Exp(between(0, 36))))
		src = append(src, multiple, -multiple, math.Ldexp(between(-1, 1), r.IntN(1025)), between(-1e9, 1e9))
	}
	return src
}

// The sine of 1e30, and of the double that is the nearest of all to a multiple of pi/2, to all digits.
func TestSineOfLargeNumbers(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, c := range []struct{ x, sin, cos float64 }{
			{1e30, 0.009331468931175825, -0.9999564608959665},
			{6381956970095103 * 0x1p797, 1, -4.687165924254628e-19},
		} {
			var sin, cos [1]float64
			Sin(sin[:], []float64{c.x})
			Cos(cos[:], []float64{c.x})
			for _, v := range []struct{ got, want float64 }{{sin[0], c.sin}, {cos[0], c.cos}} {
				if !(ulps64(v.got, exact.Of(v.want)) <= 2) {
					t.Errorf("at %v: %v, want %v", c.x, v.got, v.want)
				}
			}
		}
	})
}

// ulps64 is the error of got in units in the last place of float64 at want.
func ulps64(got float64, want *big.Float) float64 { return exact.Ulps(got, want, 53) }
