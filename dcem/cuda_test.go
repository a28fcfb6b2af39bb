package dcem

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/internal/nvrtc"
	"github.com/godcem/godcem/internal/simcuda"
	"github.com/godcem/godcem/kernels"
)

// An agreement says what is wrong with a result in rows of so many elements.
type agreement func(got, want any, row int) error

// A cudaCase is a kernel on given operands, and how far its CUDA C may be from its Go.
type cudaCase struct {
	name    string
	kernel  graphop.Kernel
	threads int
	rows    int
	out     any   // what Go makes of in
	in      []any // of float32 or float64
	same    agreement
}

// kernelText is the case's kernel as emit writes one, under a name of its own.
func (c *cudaCase) kernelText(name string) (emit.Kernel, error) {
	counts := make([]int, len(c.in))
	for i, v := range c.in {
		counts[i] = length(v)
	}
	src := c.kernel.(ir.Sourcer).Source(length(c.out), counts)
	if src == nil {
		return emit.Kernel{}, fmt.Errorf("%v has no source", c.kernel)
	}
	if src.Rows != c.rows {
		return emit.Kernel{}, fmt.Errorf("%v has %d rows, want %d", c.kernel, src.Rows, c.rows)
	}
	params, call := []string{elementOf(c.out) + "* p0"}, src.Call
	for i, v := range c.in {
		params = append(params, fmt.Sprintf("const %s* p%d", elementOf(v), i+1))
	}
	text := fmt.Sprintf(`extern "C" __global__ void __launch_bounds__(%d, 1) %s(%s) {
  constexpr unsigned THREADS = %d;
  __shared__ __align__(16) unsigned char shared[%d];
`, c.threads, name, strings.Join(params, ", "), c.threads, src.Shared)
	text += "  const unsigned row = blockIdx.x;\n  " + strings.ReplaceAll(call, "$", "p") + "\n}\n"
	return emit.Kernel{Name: name, Files: src.Files, Source: text, Threads: c.threads, Shared: src.Shared}, nil
}

func length(v any) int {
	if f, ok := v.([]float32); ok {
		return len(f)
	}
	return len(v.([]float64))
}

func elementOf(v any) string {
	if _, ok := v.([]float32); ok {
		return "float"
	}
	return "double"
}

// cudaSizes are rows of less than a warp, of a warp and one, of one entry a thread, of several, and of more than are
// kept in registers; up to and above what is ranked by counting.
var cudaSizes = []struct{ n, k, threads int }{
	{1, 1, 32}, {5, 5, 32}, {33, 4, 32}, {33, 32, 64}, {100, 10, 128}, {100, 1, 128}, {300, 30, 64},
	{256, 200, 256}, {2500, 100, 256}, {700, 300, 32},
}

// costRows are rows of costs with everything that may go wrong in them.
func costRows[T kernels.Float](rng *rand.Rand, n, k int) (f []T, rows int) {
	inf, nan := math.Inf(1), math.NaN()
	big := 1e37
	if _, ok := any(T(0)).(float64); ok {
		big = 1e307
	}
	of := func(v func(i int) float64) {
		for i := range n {
			f = append(f, T(v(i)))
		}
		rows++
	}
	normal := func(int) float64 { return rng.NormFloat64() }
	of(normal)
	of(func(int) float64 { return 3 })                                         // all equal
	of(func(int) float64 { return float64(rng.IntN(3)) })                      // ties
	of(func(i int) float64 { return 1e6 + 1e-3*normal(i) })                    // a common offset
	of(func(i int) float64 { return big * normal(i) })                         // near overflow
	of(func(i int) float64 { return 1e-30 * normal(i) })                       // tiny
	of(func(i int) float64 { return 300 * normal(i) })                         // wide gaps
	of(func(i int) float64 { return math.Ldexp(1, i%60) })                     // geometric
	of(func(i int) float64 { return math.Copysign(0, float64(i%2)-0.5) })      // zeros of both signs
	of(func(i int) float64 { return [...]float64{1, inf, nan, -inf, 2}[i%5] }) // a fifth each
	of(func(i int) float64 {                                                   // a few left out
		if rng.IntN(10) == 0 {
			return inf
		}
		return normal(i)
	})
	of(func(i int) float64 { // k finite
		if i < k {
			return normal(i)
		}
		return inf
	})
	of(func(i int) float64 { // one too few
		if i < k-1 {
			return normal(i)
		}
		return inf
	})
	of(func(int) float64 { return inf })
	of(func(int) float64 { return nan })
	of(func(i int) float64 { // one NaN
		if i == n/2 {
			return nan
		}
		return normal(i)
	})
	return f, rows
}

// plain are normal numbers; wild are those, with what is not finite and what is large among them in some rows.
func plain[T kernels.Float](rng *rand.Rand, count int) []T {
	v := make([]T, count)
	for i := range v {
		v[i] = T(rng.NormFloat64())
	}
	return v
}

func wild[T kernels.Float](rng *rand.Rand, rows, n int) []T {
	v := plain[T](rng, rows*n)
	for r := range rows {
		row := v[r*n : (r+1)*n]
		switch r % 8 {
		case 2:
			row[rng.IntN(n)] = T(math.NaN())
		case 3:
			row[rng.IntN(n)] = T(math.Inf(1))
		case 4:
			for i := range row {
				row[i] *= 1e30
			}
			if _, ok := any(T(0)).(float64); ok {
				for i := range row {
					row[i] = T(math.Copysign(1e300, float64(row[i])))
				}
			}
		case 5:
			clear(row)
		}
	}
	return v
}

// near compares rows: to within tol of the row's largest finite entry, what is not finite alike. What is a product of
// differences of the entries of an operand may lose their digits: half a unit in the last place of the largest
// product of entries of these operands is allowed besides.
func near[T kernels.Float](tol float64, factors ...[]T) agreement {
	return func(g, w any, n int) error {
		got, want := g.([]T), w.([]T)
		for r := 0; r < len(want); r += n {
			largest, lost := largestOf(want[r:r+n]), 0.0
			if len(factors) > 0 {
				lost = 0x1p-53
			}
			for _, f := range factors {
				lost *= largestOf(f[r : r+n])
			}
			for i := r; i < r+n; i++ {
				a, b := float64(got[i]), float64(want[i])
				if a == b || a != a && b != b {
					continue
				}
				if !(math.Abs(a-b) <= tol*largest+lost) {
					return fmt.Errorf("row %d, entry %d is %v, want %v within %.2g", r/n, i-r, a, b, tol*largest+lost)
				}
			}
		}
		return nil
	}
}

// largestOf is the largest absolute value of those that are finite.
func largestOf[T kernels.Float](row []T) (largest float64) {
	for _, v := range row {
		if a := math.Abs(float64(v)); a <= math.MaxFloat64 {
			largest = max(largest, a)
		}
	}
	return largest
}

// cudaCases are all kernels of T on all sizes. Tolerances: what is computed in float64 and rounded to float32 may
// differ in the last bit; float64 in what sums of n terms in another order do, and functions within 2 units.
func cudaCases[T kernels.Float]() (cases []*cudaCase) {
	rng := rand.New(rand.NewPCG(1, 2))
	tight, loose := 1.2e-7, 1.2e-7
	if cType[T]() == "double" {
		tight, loose = 1e-15, 2e-13
	}
	add := func(k graphop.Kernel, threads, rows int, same agreement, out any, in ...any) {
		k.Run(out, in)
		name := fmt.Sprintf("%v<%s>, %d entries, %d threads", k, cType[T](), length(in[0])/rows, threads)
		cases = append(cases, &cudaCase{name, k, threads, rows, out, in, same})
	}
	for _, s := range cudaSizes {
		if testing.Short() && s.n != 33 && s.threads != 128 {
			continue
		}
		f, rows := costRows[T](rng, s.n, s.k)
		g, v := wild[T](rng, rows, s.n), wild[T](rng, rows, s.n)
		of := func() []T { return make([]T, rows*s.n) }
		for _, pass := range []bool{false, true} {
			if pass && s.n != 100 {
				continue
			}
			k := normaliseOp[T]{rows, s.n, pass}
			add(k, s.threads, rows, near[T](loose), of(), f)
			add(normaliseGradOp[T]{k}, s.threads, rows, near[T](loose), of(), f, g)
			add(normaliseGrad2Op[T]{k}, s.threads, rows, near[T](10*loose), of(), f, g, v)
		}
		add(topKOp[T]{rows, s.n, s.k}, s.threads, rows, near[T](0), of(), f)
		for r := kernels.LML; r <= kernels.ConstrainedSparsemax; r++ {
			k := softTopK[T]{rows, s.n, s.k, r, -0.7}
			tight, loose := tight, loose
			if k.inSingle() {
				tight, loose = lmlSingle, lmlSingle
			}
			thresh := make([]float64, 2*rows)
			add(softTopKSolveOp[T]{k}, s.threads, rows, k.sameWeights(f), thresh, f)
			add(softTopKOp[T]{k}, s.threads, rows, near[T](tight), of(), f, thresh)
			add(softTopKGradOp[T]{k}, s.threads, rows, near[T](loose), of(), f, thresh, g)
			add(softTopKGrad2Op[T]{k}, s.threads, rows, near(10*loose, g, v), of(), f, thresh, g, v)
		}
	}
	refitCases[T](rng, add)
	return cases
}

// lmlSingle is what LML in Go, of float32 rows in float32, may differ from CUDA's in float64: half an ulp, 6e-8, of the
// odds, of 1 + odds and of a weight, and of scale/ln 2, which moves z, of up to 4 here, by as much of itself.
const lmlSingle = 4e-7

func (k softTopK[T]) inSingle() bool { return k.relaxation == kernels.LML && cType[T]() == "float" }

// sameWeights compares thresholds by the weights that they lead to.
func (k softTopK[T]) sameWeights(f []T) func(got, want any, row int) error {
	tol := 1e-7
	if cType[T]() == "double" {
		tol = 1e-14
	} else if k.inSingle() {
		tol = lmlSingle
	}
	x := make([]float64, len(f))
	for i, v := range f {
		x[i] = float64(v)
	}
	return func(g, w any, _ int) error {
		got, want := g.([]float64), w.([]float64)
		for i := range want {
			if math.IsNaN(got[i]) != math.IsNaN(want[i]) || math.IsInf(got[i], 0) != math.IsInf(want[i], 0) {
				return fmt.Errorf("row %d: threshold %v, want %v", i/2, got[i/2*2:][:2], want[i/2*2:][:2])
			}
		}
		a, b := make([]float64, len(x)), make([]float64, len(x))
		kernels.SoftTopKForward(a, x, got, k.relaxation, k.scale, k.rows, k.n, k.k)
		kernels.SoftTopKForward(b, x, want, k.relaxation, k.scale, k.rows, k.n, k.k)
		return near[float64](tol)(a, b, k.n)
	}
}

// refitCases are the moments and their gradients, of weights as a projection leaves them and of a lost problem's.
func refitCases[T kernels.Float](rng *rand.Rand,
	add func(k graphop.Kernel, threads, rows int, same agreement, out any, in ...any)) {
	exact, loose := 1.2e-7, 2.4e-7
	if cType[T]() == "double" {
		exact, loose = 4e-16, 1e-13
	}
	for _, s := range []struct {
		size
		k, threads int
	}{
		{size{7, 1, 1}, 1, 32}, {size{7, 100, 1}, 10, 128}, {size{7, 100, 3}, 10, 32}, {size{7, 40, 20}, 5, 256},
		{size{7, 33, 33}, 3, 64}, {size{7, 12, 300}, 3, 256}, {size{7, 3, 2500}, 2, 256}, {size{7, 600, 1}, 60, 512},
	} {
		x, w := plain[T](rng, s.b*s.n*s.d), make([]T, 0, s.b*s.n)
		prev, g := plain[T](rng, s.b*s.d), plain[T](rng, s.b*s.d)
		var mu []T
		least := 0.1
		if s.d < 20 { // then variances of 0 are on the floor
			least = 0
		}
		for b := range s.b {
			for i := range s.n {
				v := T(rng.Float64())
				switch {
				case b == 1, b == 2 && i%2 == 1: // a lost problem; every other sample without weight
					v = 0
				case b == 3: // a single elite: variance 0
					v = T(0)
					if i == s.n/2 {
						v = T(s.k)
					}
				}
				w = append(w, v)
			}
		}
		at := func(b, i, d int) *T { return &x[(b*s.n+i)*s.d+d] }
		for i := range s.n {
			for d := range s.d {
				*at(4, i, d) = 2.5                // all equal
				*at(5, i, d) += T(1e5)            // a common offset
				if b := 2; i%2 == 1 && d%3 == 0 { // not finite, without weight
					*at(b, i, d) = T(math.Inf(1 - i%4))
				}
			}
		}
		*at(6, s.n/2, s.d/2) = T(math.NaN()) // with a weight
		for _, keep := range []bool{false, true} {
			in := []any{x, w}
			if keep {
				in = append(in, prev)
			}
			mu = make([]T, s.b*s.d)
			add(refitMuOp[T]{s.size, s.k, keep}, s.threads, s.b, near[T](exact), mu, in...)
			in = []any{x, w, mu}
			if keep {
				in = append(in, prev)
			}
			add(refitSigmaOp[T]{s.size, s.k, least, keep}, s.threads, s.b, near[T](exact), make([]T, s.b*s.d), in...)
		}
		for which, out := range [][]T{make([]T, len(x)), make([]T, len(w)), make([]T, s.b*s.d)} {
			k := refitSigmaOp[T]{s.size, s.k, least, false}
			add(refitSigmaGradOp[T]{k, which}, s.threads, s.b, near[T](loose), out, x, w, mu, g)
		}
		for which, out := range [][]T{make([]T, len(x)), make([]T, len(w))} {
			k := refitMuOp[T]{s.size, s.k, false}
			add(refitMuGradOp[T]{k, which}, s.threads, s.b, near[T](loose), out, x, w, g)
		}
	}
}

// cudaTexts are the cases' kernels, a few to a text.
func cudaTexts(cases []*cudaCase, each int) (texts []string, err error) {
	for from := 0; from < len(cases); from += each {
		var ks []emit.Kernel
		for i := from; i < min(from+each, len(cases)); i++ {
			k, err := cases[i].kernelText(fmt.Sprintf("case_%d", i))
			if err != nil {
				return nil, err
			}
			ks = append(ks, k)
		}
		text, err := emit.Text(ks)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// TestCUDA runs every kernel's CUDA C on the simulated device, in two orders of its threads: the results have the
// same bits, agree with Go's, and nothing else is written.
func TestCUDA(t *testing.T) {
	if err := simcuda.Available(); err != nil {
		t.Skip(err)
	}
	t.Run("float", testCUDA[float32])
	t.Run("double", testCUDA[float64])
}

const perText = 24

func testCUDA[T kernels.Float](t *testing.T) {
	cases := cudaCases[T]()
	texts, err := cudaTexts(cases, perText)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		m, err := simcuda.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		for j := i * perText; j < min((i+1)*perText, len(cases)); j++ {
			t.Run(cases[j].name, func(t *testing.T) {
				if err := cases[j].run(m, fmt.Sprintf("case_%d", j)); err != nil {
					t.Error(err)
				}
			})
		}
		m.Close()
	}
}

// run launches the case's kernel twice.
func (c *cudaCase) run(m *simcuda.Module, name string) error {
	if want, ok := c.out.([]float32); ok {
		return runGuarded(c, m, name, want)
	}
	return runGuarded(c, m, name, c.out.([]float64))
}

// runGuarded runs with sentinels around the result, which holds NaN at first.
func runGuarded[E kernels.Float](c *cudaCase, m *simcuda.Module, name string, want []E) error {
	const guard = 64
	nan := E(math.NaN())
	var results [2][]E
	for seed := range results {
		whole := slices.Repeat([]E{nan}, len(want)+2*guard)
		before := make([]string, len(c.in))
		for i, v := range c.in {
			before[i] = fmt.Sprint(v) // as NaN is not itself
		}
		args := append([]any{whole[guard:]}, c.in...)
		if err := m.Launch(name, c.rows, c.threads, uint64(seed), args...); err != nil {
			return err
		}
		for i, v := range c.in {
			if fmt.Sprint(v) != before[i] {
				return fmt.Errorf("operand %d has changed", i)
			}
		}
		for i, v := range whole {
			if (i < guard || i >= guard+len(want)) && v == v {
				return fmt.Errorf("element %d has been written, want only 0 to %d", i-guard, len(want))
			}
		}
		results[seed] = whole[guard : guard+len(want)]
	}
	for i, v := range results[0] {
		if u := results[1][i]; math.Float64bits(float64(u)) != math.Float64bits(float64(v)) {
			return fmt.Errorf("element %d is %v, and in another order of threads %v", i, v, u)
		}
	}
	return c.same(results[0], want, len(want)/c.rows)
}

var spills = regexp.MustCompile(`Function properties for case_(\d+)\s+ptxas[ .]+(.*)\s.*Used (\d+) registers`)

// TestCUDACompiles compiles every kernel with NVIDIA's compiler, where it is there, for rows in registers and, but for
// -short, for rows that are too long for that: none needs more registers than a thread may have.
func TestCUDACompiles(t *testing.T) {
	lib, err := nvrtc.Open()
	if err != nil {
		t.Skip("no NVRTC (cuda/fetch.sh fetches one): ", err)
	}
	var cases []*cudaCase
	for _, c := range append(cudaCases[float32](), cudaCases[float64]()...) {
		if c.threads == 128 || strings.Contains(c.name, " 2500 entries") && !testing.Short() {
			cases = append(cases, c)
		}
	}
	texts, err := cudaTexts(cases, len(cases))
	if err != nil {
		t.Fatal(err)
	}
	_, log, err := lib.Compile("dcem.cu", texts[0],
		"--fmad=false", "--std=c++14", "-default-device", "-arch=sm_90", "--ptxas-options=-v")
	if err != nil {
		t.Fatal(err)
	}
	reports := spills.FindAllStringSubmatch(log, -1)
	if len(reports) != len(cases) {
		t.Fatalf("%d kernels in the compiler's report, want %d:\n%s", len(reports), len(cases), log)
	}
	for _, r := range reports {
		i, err := strconv.Atoi(r[1])
		if err != nil || r[2] != "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" {
			t.Errorf("%s: %s, %s registers", cases[i].name, r[2], r[3])
		}
		if testing.Verbose() {
			t.Logf("%s: %s registers", cases[i].name, r[3])
		}
	}
}
