package bumps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image/gif"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
)

func TestDefaultIsThePaper(t *testing.T) {
	c := Default()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	got := []any{c.Samples, c.Elites, c.Iterations, c.Updates, c.Mu, c.Sigma, c.Target, c.Rate, c.Momentum, c.Temperature}
	want := []any{100, 10, 10, 50, []float64{-1, 1}, 0.3, []float64{0, 1.25}, 1e-2, 0.1, 1.}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestConfigRoundTrip(t *testing.T) {
	want := Default()
	want.Seed, want.Lower, want.Upper = math.MaxUint64, []float64{-1, -2}, []float64{0.1 + 0.2}
	want.Relaxation, want.Figures = "csparsemax", false
	for _, ext := range []string{".yaml", ".json"} {
		path := filepath.Join(t.TempDir(), "config"+ext)
		if err := run.SaveConfig(path, want); err != nil {
			t.Fatal(err)
		}
		var got Config
		if err := run.LoadConfig(path, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", ext, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"updates is 0, want 1 to":          func(c *Config) { c.Updates = 0 },
		"updates is 100001, want 1 to":     func(c *Config) { c.Updates = 100_001 },
		"samples is 1, want 2 to":          func(c *Config) { c.Samples = 1 },
		"iterations is -1, want 1 to":      func(c *Config) { c.Iterations = -1 },
		"validate_every is 0":              func(c *Config) { c.ValidateEvery = 0 },
		"checkpoint_every is 0":            func(c *Config) { c.CheckpointEvery = 0 },
		"elites is -3, want 1 to samples":  func(c *Config) { c.Elites = -3 },
		"elites is 101, want 1 to samples": func(c *Config) { c.Elites = 101 },
		"params has 8 numbers, want 9":     func(c *Config) { c.Params = c.Params[1:] },
		"target has 0 numbers, want 2":     func(c *Config) { c.Target = nil },
		"mu[1] is NaN":                     func(c *Config) { c.Mu = []float64{0, math.NaN()} },
		"params[8] is 1e+07":               func(c *Config) { c.Params[8] = 1e7 },
		"temperature is 0":                 func(c *Config) { c.Temperature = 0 },
		"temperature is NaN":               func(c *Config) { c.Temperature = math.NaN() },
		"sigma is 0":                       func(c *Config) { c.Sigma = 0 },
		"cem_sigma is +Inf":                func(c *Config) { c.CEMSigma = math.Inf(1) },
		"rate is -0.01":                    func(c *Config) { c.Rate = -0.01 },
		"decay is 1":                       func(c *Config) { c.Decay = 1 },
		"momentum is 1":                    func(c *Config) { c.Momentum = 1 },
		`relaxation is "softsort"`:         func(c *Config) { c.Relaxation = "softsort" },
		"lower has 3 numbers":              func(c *Config) { c.Lower = []float64{1, 2, 3} },
		"lower is 2 and upper is 1 in y":   func(c *Config) { c.Lower, c.Upper = []float64{0, 2}, []float64{1} },
		"lower is 1 and upper is 1 in x":   func(c *Config) { c.Lower, c.Upper = []float64{1}, []float64{1, 2} },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want one line with %q", err, want)
		}
	}
}

func small() Config {
	c := Default()
	c.Samples, c.Elites, c.Iterations, c.Updates = 20, 4, 3, 3
	return c
}

// The whole program, small: every file is there and says the same.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	var summary bytes.Buffer
	c := small()
	o := run.Options{Out: dir, Config: c, Progress: run.ProgressOptions{Silent: true}}
	if err := Run(context.Background(), c, o, &summary); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"cem ", "dcem ", "3 updates", "report.html"} {
		if !strings.Contains(summary.String(), part) {
			t.Errorf("summary without %q:\n%s", part, &summary)
		}
	}
	r, err := run.ReadResult(dir)
	if err != nil {
		t.Fatal(err)
	}
	var config Config
	if err := json.Unmarshal(r.Config.(json.RawMessage), &config); err != nil || config.Samples != c.Samples {
		t.Errorf("result.json: config %+v, %v", config, err)
	}
	if r.Program != Kind || r.Status != run.StatusDone || r.Metrics["updates"] != 3 || r.Metrics["skipped"] != 0 ||
		!(r.Metrics["loss"] > 0) {
		t.Errorf("result.json: %+v", r)
	}
	for _, name := range []string{
		cemFigure, surfaceFigure, lossFigure, reportFile, run.ConfigFile, run.CheckpointFile, run.BestFile,
	} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, err := os.Open(filepath.Join(dir, movieFigure))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	movie, err := gif.DecodeAll(f)
	if err != nil || len(movie.Image) != 3+2+3 { // the first solve, updates 1 and 2, the last solve
		t.Errorf("%d frames, %v, want 8", len(movie.Image), err)
	}
	page, err := os.ReadFile(filepath.Join(dir, reportFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"data:image/gif;base64", "data:image/png;base64", "depth a of bump 1", "iterations: 3"} {
		if !bytes.Contains(page, []byte(part)) {
			t.Errorf("report.html without %q", part)
		}
	}
	if bytes.Contains(page, []byte("src=\"http")) || bytes.Contains(page, []byte("href=\"http")) {
		t.Error("report.html needs the network")
	}
}

// An interrupted run saves, says so in result.json, and goes on from there.
func TestRunInterrupted(t *testing.T) {
	dir, c := t.TempDir(), small()
	c.Figures = false
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(run.ErrInterrupted)
	o := run.Options{Out: dir, Config: c, Progress: run.ProgressOptions{Silent: true}}
	if err := Run(ctx, c, o, &bytes.Buffer{}); !errors.Is(err, run.ErrInterrupted) {
		t.Fatalf("error %v, want that of an interruption", err)
	}
	if r, err := run.ReadResult(dir); err != nil || r.Status != run.StatusInterrupted || r.Metrics["updates"] != 0 {
		t.Errorf("result.json: %+v, %v", r, err)
	}
	o.Resume = true
	if err := Run(context.Background(), c, o, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if r, err := run.ReadResult(dir); err != nil || r.Status != run.StatusDone || r.Metrics["updates"] != 3 {
		t.Errorf("result.json: %+v, %v", r, err)
	}
}

// Vanilla CEM finds the least minimum from its wide start.
func TestCEM(t *testing.T) {
	x, y := Least(Initial())
	found := 0
	for seed := range uint64(10) {
		c := Default()
		c.Seed = seed
		solves, err := NewSolves(c.cemConfig())
		if err != nil {
			t.Fatal(err)
		}
		trace, err := solves.Trace(c.Params, 0)
		if err != nil {
			t.Fatal(err)
		}
		if distance(trace.Answer, [2]float64{x, y}) < 0.01 {
			found++
		}
	}
	if found < 9 { // 49 of 50 seeds do
		t.Errorf("found the minimum for %d of 10 seeds, want at least 9", found)
	}
}

func TestMinimum(t *testing.T) {
	// Where Z is least its gradient vanishes.
	x, y := Least(Initial())
	const h = 1e-4
	for _, d := range []float64{
		Value(Initial(), x+h, y) - Value(Initial(), x-h, y), Value(Initial(), x, y+h) - Value(Initial(), x, y-h),
	} {
		if g := d / (2 * h); !(math.Abs(g) < 1e-6) {
			t.Errorf("slope %v at (%v, %v), want 0", g, x, y)
		}
	}
	// A plain slope has no minimum, and the search for it an end.
	if x, _ := Minimum(make([]float64, NumParams), 0, 0); !(x < -5) {
		t.Errorf("minimum of a slope at x = %v", x)
	}
}
