package emit

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/godcem/godcem/internal/simcuda"
	"github.com/godcem/godcem/internal/simcuda/simtest"
)

// needSimulator skips where kernels cannot be simulated, and says what is missing.
func needSimulator(t *testing.T) {
	t.Helper()
	simtest.Need(t, simcuda.Available())
}

// TestFunctions measures those functions of math.cu that are not CUDA's own, in float32, against package math.
func TestFunctions(t *testing.T) {
	needSimulator(t)
	const n = 1 << 14
	text, err := Text([]Kernel{{Files: []string{"math.cu"}, Source: `
extern "C" __global__ void functions(float* sigmoid, float* softplus, float* sine, float* cosine, float* power,
                                     float* angle, const float* x, const float* y, int n) {
  for (int i = blockIdx.x * 128 + threadIdx.x; i < n; i += 128 * 16) {
    sigmoid[i] = op_sigmoid(x[i]);
    softplus[i] = op_softplus(x[i]);
    sine[i] = op_sin(x[i]);
    cosine[i] = op_cos(x[i]);
    power[i] = op_pow(y[i], x[i]);
    angle[i] = op_atan2(y[i], x[i]);
  }
}`}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := simcuda.Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	x, y := make([]float32, n), make([]float32, n)
	for i := range x {
		x[i] = float32(math.Ldexp(2*rng.Float64()-1, rng.IntN(30)-15))
		y[i] = float32(math.Ldexp(rng.Float64(), rng.IntN(8)-4))
		switch i % 8 {
		case 0: // near zeros of sine and cosine
			x[i] = float32(math.Pi / 2 * float64(rng.IntN(5000)))
		case 1: // where logistic functions have values below the normal ones
			x[i] = -100 * rng.Float32()
		}
	}
	inf := float32(math.Inf(1))
	copy(x, []float32{0, float32(math.Copysign(0, -1)), inf, -inf, float32(math.NaN()), 8192, 8193, 1e30})
	var got [6][]float32
	for i := range got {
		got[i] = make([]float32, n)
	}
	err = m.Launch("functions", 16, 128, 1, got[0], got[1], got[2], got[3], got[4], got[5], x, y, int32(n))
	if err != nil {
		t.Fatal(err)
	}
	for k, f := range []struct {
		name string
		f    func(x, y float64) float64
		tol  float64 // units in the last place
	}{
		{"sigmoid", func(x, _ float64) float64 {
			if e := math.Exp(-math.Abs(x)); x < 0 {
				return e / (1 + e)
			}
			return 1 / (1 + math.Exp(-x))
		}, 1.6},
		{"softplus", func(x, _ float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }, 2},
		{"sin", func(x, _ float64) float64 { return math.Sin(x) }, 2},
		{"cos", func(x, _ float64) float64 { return math.Cos(x) }, 2},
		{"pow", func(x, y float64) float64 { return math.Pow(y, x) }, 1}, // rounded from double
		{"atan2", func(x, y float64) float64 { return math.Atan2(y, x) }, 1},
	} {
		worst, at := 0.0, 0
		for i := range x {
			w, g := f.f(float64(x[i]), float64(y[i])), float64(got[k][i])
			if math.IsInf(float64(float32(w)), 0) || w != w || w == 0 {
				if math.Float64bits(g) != math.Float64bits(float64(float32(w))) && w == w || (w != w) != (g != g) {
					t.Errorf("%s(%v, %v) = %v, want %v", f.name, x[i], y[i], g, w)
				}
				continue
			}
			_, e := math.Frexp(w)
			if d := math.Abs(g-w) / math.Ldexp(1, max(e-24, -149)); !(d <= worst) {
				worst, at = d, i
			}
		}
		if !(worst <= f.tol) {
			t.Errorf("%s(%v, %v) = %v, want %v: %.3g units, want at most %v", f.name, x[at], y[at], got[k][at],
				f.f(float64(x[at]), float64(y[at])), worst, f.tol)
		}
		t.Logf("%s: %.3g units", f.name, worst)
	}
}
