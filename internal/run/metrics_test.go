package run

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// third is 0.3 and a bit: it needs all of its digits.
var third = math.Nextafter(0.3, 1)

func TestMetrics(t *testing.T) {
	path := filepath.Join(t.TempDir(), MetricsFile)
	m, err := CreateMetrics(path, []string{"loss", "score"})
	if err != nil {
		t.Fatal(err)
	}
	rows := []map[string]float64{{"loss": third}, {"loss": math.Inf(-1), "score": 5e-324}, {"loss": math.NaN(), "score": 1}}
	for i, r := range rows {
		if err := m.Row(10*(i+1), r); err != nil {
			t.Fatal(err)
		}
	}
	says(t, "column", m.Row(40, map[string]float64{"speed": 1}), path, `no column "speed", want one of loss, score`)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = "step,loss,score\n10,0.30000000000000004,\n20,-Inf,5e-324\n30,NaN,1\n"
	if string(raw) != want {
		t.Errorf("got %q, want %q", raw, want)
	}
	table, err := ReadMetrics(path)
	if err != nil {
		t.Fatal(err)
	}
	if loss := table.Column("loss"); loss[0] != third || !math.IsInf(loss[1], -1) || !math.IsNaN(loss[2]) {
		t.Errorf("loss %v", loss)
	}
	steps, score := table.Series("score")
	if !slices.Equal(steps, []float64{20, 30}) || !slices.Equal(score, []float64{5e-324, 1}) {
		t.Errorf("score %v at %v", score, steps)
	}
	if table.Column("none") != nil {
		t.Error("a column of that name?")
	}

	for _, c := range []struct {
		step, last int
		torn, want string
	}{
		{30, 30, "", want},
		{35, 30, "40,1", want},
		{29, 20, "4", want[:strings.Index(want, "30,")]},
		{9, 0, "", "step,loss,score\n"},
		{25, 20, "garbage after the last row that counts\nmore", want[:strings.Index(want, "30,")]},
	} {
		if err := os.WriteFile(path, []byte(want+c.torn), 0o644); err != nil {
			t.Fatal(err)
		}
		m, last, err := ResumeMetrics(path, []string{"loss", "score"}, c.step)
		if err != nil {
			t.Fatal(err)
		}
		if c.last == 0 && last != nil || c.last > 0 && (last == nil || last[0] != float64(c.last)) {
			t.Errorf("step %d: last row %v, want step %d", c.step, last, c.last)
		}
		if err := m.Row(50, nil); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if raw, err := os.ReadFile(path); err != nil || string(raw) != c.want+"50,,\n" {
			t.Errorf("step %d: got %q, %v", c.step, raw, err)
		}
	}
	for text, want := range map[string]string{
		"step,loss\n1,2\n":            "header is",
		"":                            "header is",
		"step,loss,score\n1,2\n":      "line 2: 2 cells, want 3",
		"step,loss,score\n1,2,x\n":    `line 2: cell 3 is "x", want a number`,
		"step,loss,score\nx,2,3\n":    `line 2: step is "x", want an integer`,
		"step,loss,score\n2,,\n2,,\n": "line 3: step 2 after step 2",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ResumeMetrics(path, []string{"loss", "score"}, 99); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	os.Remove(path)
	if m, last, err := ResumeMetrics(path, []string{"loss"}, 9); err != nil || last != nil || m.Close() != nil {
		t.Errorf("missing file: %v, %v", last, err)
	}
	if _, err := ReadMetrics(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	os.WriteFile(path, []byte("a,b\n"), 0o644)
	if _, err := ReadMetrics(path); err == nil || !strings.Contains(err.Error(), "want a header") {
		t.Errorf("got %v", err)
	}
	for _, bad := range [][]string{{"step"}, {"a", "a"}, {"a,b"}, {""}, {"two words"}} {
		mustPanic(t, strings.Join(bad, "|"), func() { CreateMetrics(path, bad) })
	}
}

func TestResult(t *testing.T) {
	dir := t.TempDir()
	r := Result{Program: "walk", Config: walkConfig{Size: 3, Steps: 4}, Seed: math.MaxUint64, Seconds: 1.5, Status: StatusDone,
		Metrics: map[string]float64{"mse": third, "nan": math.NaN(), "inf": math.Inf(-1)}}
	if err := WriteResult(dir, r); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, ResultFile))
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Config    walkConfig
		Seed      uint64
		Metrics   map[string]*float64
		NonFinite map[string]string `json:"non_finite"`
		Versions  map[string]string
		Seconds   float64
		Status    string
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	if f.Config != r.Config || f.Seed != r.Seed || len(f.Metrics) != 1 || *f.Metrics["mse"] != third ||
		f.Status != "done" || f.Seconds != 1.5 || f.NonFinite["nan"] != "NaN" || f.NonFinite["inf"] != "-Inf" {
		t.Errorf("got %s", raw)
	}
	if v := f.Versions; !strings.HasPrefix(v["go"], "go1.") || v["godcem"] == "" || !strings.Contains(v["platform"], "/") {
		t.Errorf("versions %v", v)
	}
	back, err := ReadResult(dir)
	if err != nil || back.Seed != r.Seed || back.Metrics["mse"] != third || !math.IsNaN(back.Metrics["nan"]) ||
		!math.IsInf(back.Metrics["inf"], -1) {
		t.Errorf("got %+v, %v", back, err)
	}
	if err := WriteResult(dir, Result{Config: struct {
		Rate float64 `json:"rate"`
	}{math.NaN()}}); err == nil || !strings.Contains(err.Error(), "rate: got NaN") {
		t.Errorf("got %v", err)
	}
	says(t, "no folder", WriteResult(filepath.Join(dir, "none"), r), ResultFile+": cannot write")
}
