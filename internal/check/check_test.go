package check

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	nan = math.NaN()
	inf = math.Inf(1)
)

// recorder is a testing.TB that notes failures in place of failing.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper() {}

func (r *recorder) Logf(string, ...any) {}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// wantErrors fails t unless the recorder has exactly one error that holds the text, or none for "".
func (r *recorder) wantErrors(t *testing.T, name, text string) {
	t.Helper()
	if ok := len(r.errors) == 1 && strings.Contains(r.errors[0], text); text != "" && !ok || text == "" && len(r.errors) != 0 {
		t.Errorf("%s: errors %q, want %q", name, r.errors, text)
	}
	r.errors = nil
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		got, want, tol float64
		within         bool
	}{
		{1, 1, 0, true}, {1, 1.5, 0.5, true}, {1, 1.5, 0.49, false}, {-1, 1, 1.9, false},
		{nan, 1, inf, false}, {nan, 0, 1, false}, {1, nan, 1, false}, {nan, nan, 0, true}, {1, 1, nan, false},
		{inf, inf, 0, true}, {-inf, inf, inf, false}, {1, inf, 1e300, false}, {inf, 1, 1e300, false},
		{nan, inf, 1, false}, {inf, nan, 1, false},
	} {
		if got := Within(c.got, c.want, c.tol); got != c.within {
			t.Errorf("Within(%v, %v, %v) = %v", c.got, c.want, c.tol, got)
		}
	}
}

func TestMaxDiff(t *testing.T) {
	for _, c := range []struct {
		got, want []float64
		diff      float64
		at        int
	}{
		{nil, nil, 0, 0},
		{[]float64{1, 2.5, 3}, []float64{1, 2, 3.25}, 0.5 / 3.25, 1}, // scaled by the largest |want|
		{[]float64{0.25, -0.5}, []float64{0, 0}, 0.5, 1},             // and by no less than 1
		{[]float64{1, -8}, []float64{1, 8}, 2, 1},
		{[]float64{1, nan}, []float64{1, 2}, inf, 1},
		{[]float64{1, 2}, []float64{nan, 2}, inf, 0},
		{[]float64{nan}, []float64{nan}, inf, 0},
		{[]float64{inf, -inf, 1}, []float64{inf, -inf, 2}, 0.5, 2}, // an infinite want does not shrink the other differences
		{[]float64{inf}, []float64{-inf}, inf, 0},
		{[]float64{1, inf}, []float64{1, 1}, inf, 1},
		{[]float64{1, 1}, []float64{1, inf}, inf, 1},
		{[]float64{1}, []float64{1, 1}, inf, 1},
		{[]float64{1, 1}, []float64{1}, inf, 1},
	} {
		if diff, at := MaxDiff(c.got, c.want); diff != c.diff || at != c.at {
			t.Errorf("MaxDiff(%v, %v) = %v at %d, want %v at %d", c.got, c.want, diff, at, c.diff, c.at)
		}
	}
	if diff, at := MaxDiff([]float32{1, float32(nan)}, []float32{1, 2}); diff != inf || at != 1 {
		t.Errorf("float32 NaN: %v at %d, want +Inf at 1", diff, at)
	}
}

func TestClose(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want []float64
		tol       float64
		err       string
	}{
		{"equal", []float64{1, 2}, []float64{1, 2}, 0, ""},
		{"within, scaled", []float64{1000.5}, []float64{1000}, 1e-3, ""},
		{"beyond", []float64{1, 2.1}, []float64{1, 2}, 1e-3, "element 1 is 2.1, want 2"},
		{"NaN", []float64{1, nan}, []float64{1, 2}, inf, "element 1 is NaN, want 2"},
		{"tolerance NaN", []float64{1}, []float64{1}, nan, "element 0"},
		{"shorter", []float64{1}, []float64{1, 2}, inf, "1 values, want 2"},
		{"longer", []float64{1, 2}, []float64{1}, inf, "2 values, want 1"},
		{"nothing", nil, nil, 1, "nothing to compare"},
	} {
		var r recorder
		Close(&r, c.name, c.got, c.want, c.tol)
		r.wantErrors(t, c.name, c.err)
	}
}

func TestPoison(t *testing.T) {
	s := []float32{1, 2, 3}
	Poison(s[1:])
	if s[0] != 1 || s[1] == s[1] || s[2] == s[2] {
		t.Errorf("poisoned to %v, want [1 NaN NaN]", s)
	}
}

func TestGuarded(t *testing.T) {
	t.Run("float32", testGuarded[float32])
	t.Run("float64", testGuarded[float64])
}

func testGuarded[T Float](t *testing.T) {
	for _, n := range []int{0, 1, 5} {
		var r recorder
		s, verify := Guarded[T](&r, "out", n)
		if len(s) != n || cap(s) != n {
			t.Fatalf("%d elements with capacity %d, want %d", len(s), cap(s), n)
		}
		for i := range s {
			if s[i] == s[i] {
				t.Errorf("element %d is %v, want poison", i, s[i])
			}
		}
		if n > 0 {
			verify()
			r.wantErrors(t, "unwritten", "element 0 is NaN or was never written")
			clear(s[:n-1])
			verify()
			r.wantErrors(t, "last unwritten", fmt.Sprintf("element %d is NaN", n-1))
		}
		clear(s)
		verify()
		r.wantErrors(t, "written", "")
	}
	// The bands on both sides, at their near and far ends, and NaN in them.
	for _, at := range []int{-band, -1, 3, 3 + band - 1} {
		for _, v := range []T{0, T(nan)} {
			var r recorder
			buf, s, verify := guarded[T](&r, "out", 3)
			clear(s)
			buf[band+at] = v
			verify()
			r.wantErrors(t, fmt.Sprintf("%v written at %d", v, at), "written outside its 3 elements")
		}
	}
}

func TestGradient(t *testing.T) {
	// Smooth, of order one, its arguments of several sizes.
	f := func(x []float64) float64 {
		return math.Sin(x[0])*math.Exp(x[1]/2) + x[2]*x[2]/1e6 + math.Sqrt(x[3])
	}
	x := []float64{0.7, -0.4, 1000, 2}
	before := slices.Clone(x)
	want := []float64{math.Cos(0.7) * math.Exp(-0.2), math.Sin(0.7) * math.Exp(-0.2) / 2, 2e-3, 0.5 / math.Sqrt2}
	Close(t, "gradient", Gradient(f, x, 1e-3), want, 2e-12) // as the doc says: h^4 and 2^-53/h, a few times
	if !slices.Equal(x, before) {
		t.Errorf("x left as %v, want %v", x, before)
	}
	// Fourth order: ten times the step, ten thousand times the error; exact on cubics but for rounding.
	errorAt := func(h float64) float64 {
		diff, _ := MaxDiff(Gradient(func(x []float64) float64 { return math.Exp(x[0]) }, []float64{0}, h), []float64{1})
		return diff
	}
	if ratio := errorAt(0.1) / errorAt(0.01); !Within(ratio, 1e4, 100) {
		t.Errorf("error grows by %v for ten times the step, want 1e4", ratio)
	}
	cube := func(x []float64) float64 { return x[0] * x[0] * x[0] }
	Close(t, "cubic", Gradient(cube, []float64{2}, 0.25), []float64{12}, 1e-14)
	if g := Gradient(func(x []float64) float64 { return x[0] * nan }, []float64{1}, 1e-3); g[0] == g[0] {
		t.Errorf("gradient of NaN is %v, want NaN", g)
	}
	if g := Gradient(func([]float64) float64 { return 0 }, nil, 1e-3); len(g) != 0 {
		t.Errorf("gradient in no variables is %v", g)
	}
}

func TestNoAllocs(t *testing.T) {
	var r recorder
	calls, keep := 0, []byte(nil)
	NoAllocs(&r, "none", func() { calls++ })
	if r.wantErrors(t, "none", ""); calls < 2 {
		t.Errorf("%d calls, want the steady state", calls)
	}
	NoAllocs(&r, "one", func() { keep = make([]byte, 1<<10) })
	want := "one: 1 allocations per call, want 0"
	if raceDetector {
		want = "" // logged instead
	}
	r.wantErrors(t, "one", want)
	NoAllocs(&r, "first only", func() {
		if keep == nil {
			keep = make([]byte, 1<<10)
		}
	})
	r.wantErrors(t, "first only", "")
	NoAllocsAfter(&r, "beside", func() { keep = make([]byte, 1<<10) }, func() { calls++ })
	r.wantErrors(t, "beside", "")
	NoAllocsAfter(&r, "another", func() { keep = make([]byte, 1<<10) }, func() { keep = make([]byte, 1<<11) })
	if !raceDetector {
		want = "another: 1 allocations per call, want 0"
	}
	r.wantErrors(t, "another", want)
}

func TestCopy(t *testing.T) {
	if got := Copy[float32]([]float64{1, 0.1}); !slices.Equal(got, []float32{1, float32(0.1)}) {
		t.Errorf("copied to %v", got)
	}
}

func TestNested(t *testing.T) {
	var v Nested
	if err := json.Unmarshal([]byte(`[[1,2],[[3]],[],4e-3]`), &v); err != nil || !slices.Equal(v, Nested{1, 2, 3, 4e-3}) {
		t.Errorf("%v, %v, want [1 2 3 0.004]", v, err)
	}
	for _, text := range []string{`[1,null,2]`, `[1,"NaN"]`, `[true]`, `[{"a":1}]`, `[1`} {
		if err := json.Unmarshal([]byte(text), &v); err == nil {
			t.Errorf("%s: %v, want an error", text, v)
		}
	}
}

type namedCase struct{ Batch int }

func (c namedCase) Name() string { return fmt.Sprint("batch", c.Batch) }

func TestReadsGoldenFiles(t *testing.T) {
	t.Setenv("GODCEM_GOLDEN", "") // the embedded ones, of which it is known that there are more than one
	ran := 0
	Golden(t, "moments.json", func(t *testing.T, c struct {
		Batch, N, D int
		X           Nested
	}) {
		if ran++; len(c.X) == 0 || len(c.X) != c.Batch*c.N*c.D {
			t.Errorf("%d numbers, want %d*%d*%d", len(c.X), c.Batch, c.N, c.D)
		}
	})
	if ran < 2 {
		t.Errorf("%d cases ran, want all", ran)
	}
	if n := CaseName(namedCase{7}, 3); n != "batch7" {
		t.Errorf("named case is called %q", n)
	}
	if n := CaseName(7, 3); n != "case3" {
		t.Errorf("case without a name is called %q", n)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"one.json": `[{"Batch":5}]`, "object.json": "\n{\"Batch\":5}\n", "none.json": `[]`, "broken.json": `[{`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GODCEM_GOLDEN", dir)
	for _, name := range []string{"one.json", "object.json"} {
		if cases, err := goldenCases[namedCase](name); err != nil || len(cases) != 1 || cases[0].Batch != 5 {
			t.Errorf("GODCEM_GOLDEN: %s: %v, %v, want the case from there", name, cases, err)
		}
	}
	wrong := map[string]string{"none.json": "no case", "broken.json": "broken.json: ", "moments.json": "no such file"}
	for name, text := range wrong {
		if _, err := goldenCases[namedCase](name); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: error %v, want %q", name, err, text)
		}
	}
}
