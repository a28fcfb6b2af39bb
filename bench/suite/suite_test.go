package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRatioInterval(t *testing.T) {
	for n, want := range map[int][2]float64{ // order statistics of 1..n: tables of the sign test at 95%
		1: {1, 1}, 3: {1, 3}, 5: {1, 5}, 6: {1, 6}, 7: {1, 7}, 8: {1, 8}, 9: {2, 8}, 12: {3, 10}, 20: {6, 15}, 25: {8, 18},
	} {
		var sample []float64
		for i := range n {
			sample = append(sample, float64(n-i))
		}
		if r := ratioOf(sample); r.Low != want[0] || r.High != want[1] {
			t.Errorf("of %d: from %g to %g, want %v", n, r.Low, r.High, want)
		}
	}
	if ratioOf(nil) != nil {
		t.Error("of nothing: a ratio")
	}
}

func TestJudge(t *testing.T) {
	base := result{Case: "exp", Dtype: "float32", ISA: "avx2", Threads: 2, Contestant: "godcem",
		Yard: &ratio{1, 0.95, 1.05}}
	for _, c := range []struct {
		name          string
		now           ratio
		slow, missing bool
		change        func(*result)
	}{
		{"the same", ratio{1, 0.97, 1.03}, false, false, nil},
		{"faster", ratio{0.5, 0.4, 0.6}, false, false, nil},
		{"noisy", ratio{1.1, 1.05, 1.5}, false, false, nil},
		{"slower in the median of a wide interval", ratio{1.3, 1.1, 1.5}, true, false, nil},
		{"slower", ratio{1.3, 1.2, 1.4}, true, false, nil},
		{"NaN", ratio{math.NaN(), math.NaN(), math.NaN()}, true, false, nil},
		{"of other threads", ratio{9, 9, 9}, false, true, func(r *result) { r.Threads = 4 }},
		{"of another set", ratio{9, 9, 9}, false, true, func(r *result) { r.ISA = "avx512" }},
	} {
		fresh := base
		fresh.Yard = &c.now
		if c.change != nil {
			c.change(&fresh)
		}
		v := judge([]result{fresh, {Contestant: yardstick, Yard: &ratio{1, 1, 1}}}, []result{base})
		if len(v) != 1 || v[0].slower() != c.slow || v[0].missing != c.missing {
			t.Errorf("%s: %v", c.name, v)
		}
		if c.slow != strings.Contains(v[0].String(), "SLOWER") {
			t.Errorf("%s: %q", c.name, v[0])
		}
	}
}

func TestRecord(t *testing.T) {
	l := &log{path: filepath.Join(t.TempDir(), "sub", "r.json"), versions: map[string]string{}, commit: "c",
		same: func(c string) bool { return c == "c" }}
	a, b := result{Case: "a", Contestant: "godcem", Median: 1}, result{Case: "a", Contestant: "jax", Median: 2,
		Ratio: &ratio{1, 1, 1}}
	if err := l.add([]result{a, b}); err != nil {
		t.Fatal(err)
	}
	b.Median, b.Ratio = 3, nil
	if err := l.add([]result{b, {Case: "b", Contestant: "jax"}}); err != nil {
		t.Fatal(err)
	}
	all, err := load(l.path)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 || all[0].Median != 1 || all[1].Median != 3 || all[1].Ratio != nil || all[2].Case != "b" ||
		all[1].Commit != "c" {
		t.Errorf("%+v", all)
	}
	for _, c := range []struct {
		who  []string
		age  time.Duration
		want bool
	}{{[]string{"godcem", "jax"}, time.Hour, true}, {[]string{"godcem", "torch"}, time.Hour, false},
		{[]string{"godcem"}, 0, false}} {
		if got := l.recent(result{Case: "a"}, c.who, c.age); got != c.want {
			t.Errorf("%v: recent is %v", c, got)
		}
	}
	if err := os.WriteFile(l.path, []byte("["), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := l.add([]result{a}); err == nil {
		t.Error("a broken record was overwritten")
	}
}

func TestReplace(t *testing.T) {
	text := []byte("a\n<!-- from the record: x -->\nold\n<!-- end -->\nb\n")
	got, err := replace(text, "x", "new\n")
	if want := "a\n<!-- from the record: x -->\nnew\n<!-- end -->\nb\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := replace(text, "y", ""); err == nil {
		t.Error("no error without the marker")
	}
}

// The page's tables are those of the committed record.
func TestDocIsOfTheRecord(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, docFile))
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPage(filepath.Join(root, "bench", "results", "cpu.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, section := range p.sections() {
		got, err := replace(text, name, section())
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, text) {
			t.Errorf("the part %q of %s is not of the record: make bench-report", name, docFile)
		}
	}
	for _, w := range p.unexplained(string(text)) {
		t.Errorf("%s: %s", docFile, w)
	}
}

func TestMomentError(t *testing.T) {
	var v []float64
	for i := range 1000 { // quantiles of the normal distribution
		v = append(v, math.Sqrt2*math.Erfinv(2*(float64(i)+0.5)/1000-1))
	}
	if e := momentError(v); !(e < 0.02) {
		t.Errorf("of normal quantiles: %g", e)
	}
	for name, f := range map[string]func(float64) float64{"moved": func(x float64) float64 { return x + 0.2 },
		"wider": func(x float64) float64 { return 1.2 * x }, "skewed": func(x float64) float64 { return x + 0.2*(x*x-1) }} {
		w := slices.Clone(v)
		for i := range w {
			w[i] = f(w[i])
		}
		if e := momentError(w); !(e > 0.1) {
			t.Errorf("%s: %g", name, e)
		}
	}
}

// The table is read as bench/where writes it; what has less than 1 % of the time is left out.
func TestWhereTable(t *testing.T) {
	const text = `regression B=1 float32, avx2, 2 threads: 1.5 ms a step
products in the near caches: 335 Gflop/s, which is the peak here
                  steps  times   mean ms  least ms  share   Gflop/s  of peak      GB/s
     dot+add (10,12)x(12,8)     20     42.12     26.52  28.4%     286.7    85.6%     7.772
  adam 8 params, 33 elements      1    0.1144    0.1063   1.1%     3.786     1.2%     8.836
          dcem.GateGrad [5 5]     10    0.0001    0.0001   0.9%         5     1.6%        10
`
	const want = `regression B=1 float32, avx2, 2 threads: 1.5 ms a step:

| steps | times | ms, least | share | Gflop/s | of the near caches' | GB/s |
|---|--:|--:|--:|--:|--:|--:|
| dot+add (10,12)x(12,8) | 20 | 26.52 | 28.4% | 286.7 | 85.6% | 7.772 |
| adam 8 params, 33 elements | 1 | 0.1063 | 1.1% | 3.786 | 1.2% | 8.836 |

`
	if got := whereTable(text); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
