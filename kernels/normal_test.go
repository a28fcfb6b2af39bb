package kernels

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/big"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/godcem/godcem/internal/vec"
)

// The first elements of a draw, and a hash of the first 65536, for seed 1, draw 2, run 3: what any implementation on
// any machine must give.
func TestDrawGoldenBits(t *testing.T) {
	const n = 1 << 16
	bits32 := func(fill func([]float32, uint64, uint64, uint64, int)) (bits []uint64, hash uint64) {
		x, h := make([]float32, n), fnv.New64a()
		fill(x, 1, 2, 3, 0)
		for _, v := range x {
			bits = append(bits, uint64(math.Float32bits(v)))
			h.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
		}
		return bits, h.Sum64()
	}
	bits64 := func(fill func([]float64, uint64, uint64, uint64, int)) (bits []uint64, hash uint64) {
		x, h := make([]float64, n), fnv.New64a()
		fill(x, 1, 2, 3, 0)
		for _, v := range x {
			bits = append(bits, math.Float64bits(v))
			h.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
		}
		return bits, h.Sum64()
	}
	for _, c := range []struct {
		name  string
		bits  func() ([]uint64, uint64)
		first []uint64
		hash  uint64
	}{
		{
			"Uniform float32", func() ([]uint64, uint64) { return bits32(Uniform[float32]) },
			[]uint64{
				0x3ef4f322, 0x3d93e500, 0x3e38058c, 0x3e6eaf58,
				0x3f24356b, 0x3f23dd8a, 0x3f26e31c, 0x3e065338,
			}, 0x54deb41e5455f923,
		},
		{
			"Uniform float64", func() ([]uint64, uint64) { return bits64(Uniform[float64]) },
			[]uint64{
				0x3fb27ca03f7a7990, 0x3fcdd5eb591700b0, 0x3fe47bb14d3486ad, 0x3fc0ca673153718c,
				0x3feb8566128caf58, 0x3fed16e7a0e67af9, 0x3f1f7c82a3034000, 0x3feb9efd6ce8a633,
			}, 0x22bd1f5866e16a85,
		},
		{
			"Normal float32", func() ([]uint64, uint64) { return bits32(Normal[float32]) },
			[]uint64{
				0x3f8bb44a, 0x3f084253, 0x3e493151, 0x3febd1f1,
				0xbf19a980, 0xbf39fb40, 0x3f20d42b, 0x3f2dd2c1,
			}, 0x53ef7fe6f3845d3,
		},
		{
			"Normal float64", func() ([]uint64, uint64) { return bits64(Normal[float64]) },
			[]uint64{
				0x3fcf1e99e2a48aa0, 0x40023cdeb391a429, 0x3fe487447d2c580a, 0x3fe62fe087b6c8c4,
				0x3fdd8fa07e70c079, 0xbfd3026fc818cb07, 0x40062ecd4b3300ea, 0xc009c1a177812e24,
			}, 0x6be3b3650976fdfd,
		},
	} {
		bits, hash := c.bits()
		for i, want := range c.first {
			if bits[i] != want {
				t.Errorf("%s: element %d has bits %#x, want %#x", c.name, i, bits[i], want)
			}
		}
		if hash != c.hash {
			t.Errorf("%s: hash of %d elements is %#x, want %#x", c.name, n, hash, c.hash)
		}
	}
}

// u = 1 must give +-0, the smallest u the largest radius, and the angles at the quadrants' ends exact zeros.
func TestNormalExtremes(t *testing.T) {
	z32 := func(w0, w1 uint32) (float32, float32) {
		var z [2]float32
		vec.Normals(z[:], []uint32{w0, w1})
		return z[0], z[1]
	}
	if a, b := z32(math.MaxUint32, 0); math.Float32bits(a) != 0 || math.Float32bits(b) != 0 {
		t.Errorf("float32, u = 1, angle 0: %v, %v, want +0, +0", a, b)
	}
	for _, w1 := range []uint32{1 << 29, 3 << 29, 5 << 29, 7 << 29} {
		if a, b := z32(math.MaxUint32, w1); a != 0 || b != 0 {
			t.Errorf("float32, u = 1, angle %d/8 turns: %v, %v, want 0, 0", w1>>29, a, b)
		}
	}
	r := float32(math.Sqrt(66 * math.Ln2))
	for q, want := range [][2]float32{{r, 0}, {0, r}, {-r, 0}, {0, -r}} {
		if a, b := z32(0, uint32(q)<<30); a != want[0] || b != want[1] {
			t.Errorf("float32, u = 2^-33, angle %d/4 turns: %v, %v, want %v", q, a, b, want)
		}
	}
	r64 := math.Sqrt(106 * math.Ln2)
	for q, want := range [][2]float64{{r64, 0}, {0, r64}, {-r64, 0}, {0, -r64}} {
		var z [2]float64
		vec.Normals(z[:], []uint32{0, 0, 0, uint32(q) << 30})
		if z != want {
			t.Errorf("float64, u = 2^-53, angle %d/4 turns: %v, want %v", q, z, want)
		}
	}
	var z [2]float64
	vec.Normals(z[:], []uint32{math.MaxUint32, math.MaxUint32, 0, 0})
	if want := [2]float64{0x1p-26, 0}; z != want { // sqrt(-2 ln(1-2^-53))
		t.Errorf("float64, largest u: %v, want %v", z, want)
	}
}

// The normals of float32 against float64 functions of the same words. The radius was measured once over a third of the 79,691,777
// values of u and all of those above 0.99, normals over 110 million pairs of words; here over a part, all sizes of u
// and the neighbourhoods of u = 1 and of the eighths of a turn included.
func TestNormal32Error(t *testing.T) {
	const maxRadius, maxZ = 1.0, 4.5 // ulp; seen: 0.98 and 4.12
	worstRadius, worstZ := 0.0, 0.0
	for i := range uint32(1 << 19) {
		w0, w1 := i*0x9E3779B1, i*0x85EBCA77+i>>7
		switch i % 4 {
		case 1:
			w0 >>= i / 4 % 32 // small u
		case 2:
			w0 = ^(w0 >> (i / 4 % 32)) // u near 1
		case 3:
			w1 = i/64%8<<29 + uint32(int32(w1)>>(i/4%32)) // near an eighth of a turn
		}
		var z, r [2]float32
		vec.Normals(z[:], []uint32{w0, w1})
		vec.Normals(r[:], []uint32{w0, 0})
		u := float32(float32(w0)*0x1p-32) + 0x1p-33
		radius := math.Sqrt(-2 * math.Log(float64(u)))
		sin, cos := sincosTurn(w1)
		worstRadius = max(worstRadius, ulps32(r[0], radius))
		worstZ = max(worstZ, ulps32(z[0], radius*cos), ulps32(z[1], radius*sin))
	}
	t.Logf("largest error: radius %.3f ulp, normal %.3f ulp", worstRadius, worstZ)
	if !(worstRadius <= maxRadius) || !(worstZ <= maxZ) {
		t.Errorf("radius off by %v ulp, want at most %v; normal off by %v ulp, want at most %v", worstRadius, maxRadius, worstZ, maxZ)
	}
}

// sincosTurn returns the sine and cosine of w/2^32 turns, each within an ulp or two.
func sincosTurn(w uint32) (sin, cos float64) {
	q := (w + 1<<29) >> 30
	sin, cos = math.Sincos(float64(int32(w-q<<30)) * (2 * math.Pi * 0x1p-32))
	switch q {
	case 1:
		return cos, -sin
	case 2:
		return -sin, -cos
	case 3:
		return -cos, sin
	}
	return sin, cos
}

// ulps32 returns |got-want| in units of the last place of want (Inf if it is NaN).
func ulps32(got float32, want float64) float64 {
	if want == 0 {
		return math.Abs(float64(got)) / 0x1p-149
	}
	return orInf(math.Abs(float64(got)-want) / math.Ldexp(1, max(math.Ilogb(want), -126)-23))
}

// orInf returns x, or +Inf for NaN.
func orInf(x float64) float64 {
	if x != x {
		return math.Inf(1)
	}
	return x
}

// The normals of float64 against sums of series in 160 bits.
func TestNormal64Error(t *testing.T) {
	const maxRadius, maxZ = 1.0, 4.0 // ulp; seen over 400,000 pairs: 0.94 and 3.26
	const n = uint64(6000)
	worstRadius, worstZ := 0.0, 0.0
	for i := range n {
		w0, w1 := mix64(2*i), mix64(2*i+1)
		switch i % 4 {
		case 1:
			w0 >>= i / 4 % 64
		case 2:
			w0 = ^(w0 >> (i / 4 % 64))
		case 3:
			w1 = i/256%8<<61 + uint64(int64(w1)>>(i/4%64))
		}
		var z, r [2]float64
		vec.Normals(z[:], []uint32{uint32(w0), uint32(w0 >> 32), uint32(w1), uint32(w1 >> 32)})
		vec.Normals(r[:], []uint32{uint32(w0), uint32(w0 >> 32), 0, 0})
		radius := bigRadius(2*(w0>>12) + 1)
		sin, cos := bigSincosTurn(w1 >> 12)
		worstRadius = max(worstRadius, ulps64(r[0], radius))
		worstZ = max(worstZ, ulps64(z[0], wide(0).Mul(radius, cos)), ulps64(z[1], wide(0).Mul(radius, sin)))
	}
	t.Logf("largest error: radius %.3f ulp, normal %.3f ulp", worstRadius, worstZ)
	if !(worstRadius <= maxRadius) || !(worstZ <= maxZ) {
		t.Errorf("radius off by %v ulp, want at most %v; normal off by %v ulp, want at most %v", worstRadius, maxRadius, worstZ, maxZ)
	}
}

// wide returns x in 160 bits.
func wide(x float64) *big.Float { return new(big.Float).SetPrec(160).SetFloat64(x) }

var wideTurn, wideLn2 = bigConstant("6.283185307179586476925286766559005768394338798750211641949889"),
	bigConstant("0.693147180559945309417232121458176568075500134360255254120680")

func bigConstant(s string) *big.Float {
	x, ok := wide(0).SetString(s)
	if !ok {
		panic(s)
	}
	return x
}

// bigRadius returns sqrt(-2 ln(k 2^-53)), from ln m = 2 artanh((m-1)/(m+1)).
func bigRadius(k uint64) *big.Float {
	m := wide(0).SetUint64(k)
	e := m.MantExp(m) - 53 // m in [1/2, 1)
	if f, _ := m.Float64(); f < math.Sqrt2/2 {
		m.SetMantExp(m, 1)
		e--
	}
	s := wide(0).Quo(wide(0).Sub(m, wide(1)), wide(0).Add(m, wide(1)))
	s2, term, sum := wide(0).Mul(s, s), wide(0).Set(s), wide(0)
	for i := 1.0; i < 80; i += 2 { // |s| <= 0.1716: the last term is below 2^-200
		sum.Add(sum, wide(0).Quo(term, wide(i)))
		term.Mul(term, s2)
	}
	ln := wide(0).Add(wide(0).Mul(wide(2), sum), wide(0).Mul(wide(float64(e)), wideLn2))
	return wide(0).Sqrt(ln.Mul(ln, wide(-2)))
}

// bigSincosTurn returns the sine and cosine of a/2^52 turns, by Taylor series of the angle within its quadrant.
func bigSincosTurn(a uint64) (sin, cos *big.Float) {
	q := (a + 1<<49) >> 50
	x := wide(0).Mul(wideTurn, wide(float64(int64(a)-int64(q<<50))*0x1p-52))
	term, series := wide(1), [2]*big.Float{wide(0), wide(0)}
	for i := range 40 { // (pi/4)^40/40! is below 2^-170
		if i%4 < 2 {
			series[i%2].Add(series[i%2], term)
		} else {
			series[i%2].Sub(series[i%2], term)
		}
		term.Mul(term, x).Quo(term, wide(float64(i+1)))
	}
	cos, sin = series[0], series[1]
	switch q % 4 {
	case 1:
		return cos, wide(0).Neg(sin)
	case 2:
		return wide(0).Neg(sin), wide(0).Neg(cos)
	case 3:
		return wide(0).Neg(cos), sin
	}
	return sin, cos
}

// ulps64 returns |got-want| in units of the last place of want (Inf if it is NaN).
func ulps64(got float64, want *big.Float) float64 {
	if got != got {
		return math.Inf(1)
	}
	if want.Sign() == 0 {
		return math.Abs(got) / 0x1p-1074
	}
	d, _ := wide(0).Sub(wide(got), want).Float64()
	return math.Abs(d) / math.Ldexp(1, want.MantExp(nil)-53)
}

func TestNormalDistribution(t *testing.T) {
	forBothTypes(t, testNormalDistribution[float32], testNormalDistribution[float64])
}

func testNormalDistribution[T Float](t *testing.T) {
	x := drawn(Normal[T], 1<<18, 2, 3, 4)
	normal := distuv.UnitNormal
	// E z^k = 0, 1, 0, 3 and Var z^k = E z^2k - (E z^k)^2 with E z^6 = 15, E z^8 = 105.
	for k, m := range [][2]float64{{0, 1}, {1, 2}, {0, 15}, {3, 96}} {
		checkMoment(t, x, float64(k+1), m[0], m[1])
	}
	checkKolmogorov(t, x, normal.CDF)
	checkIndependent(t, Normal[T])

	x = drawn(Normal[T], 1<<21, 5, 6, 7)
	for _, limit := range []float64{2, 3, 4} {
		var above, below float64
		for _, v := range x {
			if v > limit {
				above++
			} else if v < -limit {
				below++
			}
		}
		want := float64(len(x)) * normal.Survival(limit)
		for side, got := range map[string]float64{"above": above, "below": below} {
			if !(math.Abs(got-want) <= 5*math.Sqrt(want)) {
				t.Errorf("%v values %s %v sigma, want %.1f +- %.1f", got, side, limit, want, 5*math.Sqrt(want))
			}
		}
	}
}

func benchmarkDraw[T Float](b *testing.B, fill func(dst []T, seed, draw, run uint64, first int)) {
	for _, n := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dst := make([]T, n)
			b.SetBytes(int64(n * 16 / drawLanes[T]()))
			for b.Loop() {
				fill(dst, 1, 2, 3, 0)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
		})
	}
}

func BenchmarkUniform32(b *testing.B) { benchmarkDraw(b, Uniform[float32]) }
func BenchmarkUniform64(b *testing.B) { benchmarkDraw(b, Uniform[float64]) }
func BenchmarkNormal32(b *testing.B)  { benchmarkDraw(b, Normal[float32]) }
func BenchmarkNormal64(b *testing.B)  { benchmarkDraw(b, Normal[float64]) }
