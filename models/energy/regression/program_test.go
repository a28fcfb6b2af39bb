package regression

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/nn"
	"github.com/spf13/pflag"
)

func silent(dir string) run.Options {
	return run.Options{Out: dir, Progress: run.ProgressOptions{Silent: true}}
}

// The whole program, small: every file is there and says the same.
func TestRun(t *testing.T) {
	for _, method := range []string{DCEM, GD, CEMForward} {
		dir := t.TempDir()
		c := tiny(method)
		c.Figures, c.Rate = true, 0.1 // so high that the best state is not the last one
		var summary bytes.Buffer
		if err := Run(context.Background(), c, silent(dir), &summary); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{method + " ", "at update ", " of 40", "the least energy lies at the data", "report.html"} {
			if !strings.Contains(summary.String(), part) {
				t.Errorf("%s: summary without %q:\n%s", method, part, &summary)
			}
		}
		r, err := run.ReadResult(dir)
		if err != nil {
			t.Fatal(err)
		}
		var config Config
		err = json.Unmarshal(r.Config.(json.RawMessage), &config)
		if err != nil || config.Method != method || config.Samples != c.Samples {
			t.Errorf("result.json: config %+v, %v", config, err)
		}
		if r.Program != Kind || r.Status != run.StatusDone || r.Metrics["updates"] != 40 || r.Metrics["skipped"] != 0 {
			t.Errorf("result.json: %+v", r)
		}
		checkMetrics(t, c, dir, r.Metrics)
		for _, name := range []string{
			fitFigure, surfaceFigure, slicesFigure, lossFigure, run.ConfigFile, run.CheckpointFile, run.BestFile,
		} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
		checkPage(t, dir, "method: "+method, "least energy")
	}
}

// checkMetrics compares the metrics with those of a task that the files restore.
func checkMetrics(t *testing.T, c Config, dir string, m map[string]float64) {
	t.Helper()
	best := open(t, c)
	step, err := run.LoadBest(dir, best)
	if err != nil {
		t.Fatal(err)
	}
	score, values, err := best.Validate(step)
	if err != nil {
		t.Fatal(err)
	}
	if step == 40 || m["best_update"] != float64(step) || m["mse"] != score || m["minimum_share"] != values["minimum_share"] {
		t.Errorf("best update %v, mse %v, share %v; best.gdc has %v, %v, %v",
			m["best_update"], m["mse"], m["minimum_share"], step, score, values["minimum_share"])
	}
	for name, v := range m {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("%s is %v", name, v)
		}
	}
	own := map[string]string{DCEM: "mse_dcem", CEMForward: "mse_cem", GD: "mse_gd"}[c.Method]
	if m[own] != m["mse"] || m["mse_cem"] == m["mse_dcem"] || m["mse_gd"] == m["mse_cem"] {
		t.Errorf("%s: %v", c.Method, m)
	}
	if fresh, ok := m["mse_fresh"]; ok != (c.Method != GD) || fresh == m["mse"] {
		t.Errorf("%s: on other noise %v, %v", c.Method, fresh, ok)
	}
	// params.npz holds the best parameters.
	fresh := open(t, c)
	if err := nn.LoadNPZ(filepath.Join(dir, ParamsFile), fresh.Params()); err != nil {
		t.Fatal(err)
	}
	if err := fresh.(*task[float32]).stepper.Restore(kernels.OptimizerState[float32]{}); err != nil { // tells the device
		t.Fatal(err)
	}
	if got, _, err := fresh.Validate(0); err != nil || got != score {
		t.Errorf("params.npz: mse %v, %v, want %v", got, err, score)
	}
	table, err := run.ReadMetrics(filepath.Join(dir, run.MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	least := math.Inf(1)
	_, scores := table.Series("validation")
	for _, s := range scores {
		least = min(least, s)
	}
	if len(table.Rows) != 40 || least != score {
		t.Errorf("metrics.csv: %d rows, least validation %v, want %v", len(table.Rows), least, score)
	}
}

func checkPage(t *testing.T, dir string, parts ...string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(dir, reportFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range append(parts, "data:image/png;base64", "--config config.yaml") {
		if !bytes.Contains(page, []byte(part)) {
			t.Errorf("report.html without %q", part)
		}
	}
	for _, part := range []string{`src="http`, `href="http`, ">NaN", "%!"} {
		if bytes.Contains(page, []byte(part)) {
			t.Errorf("report.html with %q", part)
		}
	}
}

// Both methods at the same time leave the bits that each leaves alone.
func TestBoth(t *testing.T) {
	dir := t.TempDir()
	c := tiny(Both)
	c.Figures = true
	var summary bytes.Buffer
	if err := Run(context.Background(), c, silent(dir), &summary); err != nil {
		t.Fatal(err)
	}
	both, err := run.ReadResult(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range sides {
		alone := t.TempDir()
		side := c
		side.Method, side.Figures = method, false
		if err := Run(context.Background(), side, silent(alone), &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		sub := filepath.Join(dir, method)
		for _, name := range []string{run.BestFile, run.MetricsFile, ParamsFile} {
			if name == run.BestFile { // its configuration says whether figures are drawn
				continue
			}
			if !bytes.Equal(runtest.Contents(t, sub, name), runtest.Contents(t, alone, name)) {
				t.Errorf("%s: %s differs from that of the method alone", method, name)
			}
		}
		r, err := run.ReadResult(sub)
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range r.Metrics {
			if got, ok := both.Metrics[method+"_"+name]; !ok || got != v {
				t.Errorf("%s_%s is %v, want %v", method, name, got, v)
			}
		}
	}
	checkPage(t, dir, "method: both", "Gradient descent sees", "DCEM looks at")
}

// An interrupted run saves, says so in result.json, and goes on from there; Both resumes either side where it was.
func TestRunInterrupted(t *testing.T) {
	for _, method := range []string{GD, Both} {
		dir, c := t.TempDir(), tiny(method)
		want := t.TempDir()
		if err := Run(context.Background(), c, silent(want), &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(run.ErrInterrupted)
		o := silent(dir)
		if err := Run(ctx, c, o, &bytes.Buffer{}); !errors.Is(err, run.ErrInterrupted) {
			t.Fatalf("error %v, want that of an interruption", err)
		}
		updates := map[string]string{GD: "updates", Both: "gd_updates"}[method]
		r, err := run.ReadResult(dir)
		if n, ok := r.Metrics[updates]; err != nil || r.Status != run.StatusInterrupted || !ok || n != 0 {
			t.Errorf("result.json: %+v, %v", r, err)
		}
		o.Resume = true
		if err := Run(context.Background(), c, o, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		got, err := run.ReadResult(dir)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := run.ReadResult(want)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != run.StatusDone || len(got.Metrics) != len(whole.Metrics) {
			t.Errorf("result.json: %+v", got)
		}
		for name, v := range whole.Metrics {
			if got.Metrics[name] != v {
				t.Errorf("%s: %s is %v, want %v", method, name, got.Metrics[name], v)
			}
		}
	}
}

// One side's failure ends the other and is named.
func TestBothFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, GD, run.BestFile, "occupied"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := tiny(Both)
	c.Updates = 100_000
	o := silent(dir)
	o.Resume = true // else the file would be missed before the sides begin
	err := Run(context.Background(), c, o, &bytes.Buffer{})
	if err == nil || errors.Is(err, run.ErrInterrupted) ||
		!strings.Contains(err.Error(), "gd: ") || !strings.Contains(err.Error(), "cannot remove") {
		t.Errorf("error %v", err)
	}
}

// Resuming Both takes the configuration from its checkpoints; a fresh start of one method in its folder is not
// mistaken for it.
func TestResolve(t *testing.T) {
	dir, c := t.TempDir(), tiny(Both)
	c.Updates, c.ValidateEvery = 2, 2
	if err := Run(context.Background(), c, silent(dir), &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	resolve := func(args ...string) (Config, error) {
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		got := Default()
		common := run.BindCommon(fs, "")
		run.BindFlags(fs, &got)
		if err := fs.Parse(append(args, "--out", dir)); err != nil {
			t.Fatal(err)
		}
		err := Resolve(fs, common, &got)
		return got, err
	}
	got, err := resolve("--resume", "--updates", "9")
	if err != nil || got.Method != Both || got.Samples != c.Samples || got.Updates != 9 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := resolve("--samples", "30"); err != nil || got.Method != DCEM || got.Samples != 30 || got.Elites != 10 {
		t.Errorf("without --resume: %+v, %v", got, err)
	}
	for want, args := range map[string][]string{
		"samples is 30, was 24":      {"--samples", "30"},
		`method is "gd", was "both"`: {"--method", "gd"},
		"elites is 0, want 1":        {"--elites", "0"},
	} {
		if _, err := resolve(append(args, "--resume")...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	c.Method = GD
	if err := Run(context.Background(), c, silent(dir), &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if got, err := resolve("--resume"); err != nil || got.Method != GD {
		t.Errorf("after a fresh start of gd: %+v, %v", got, err)
	}
	// A fresh start that fails early leaves nothing to resume of the run before.
	c.Method = Both
	if err := Run(context.Background(), c, silent(dir), &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	occupied := filepath.Join(dir, run.BestFile)
	if err := os.MkdirAll(filepath.Join(occupied, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.Method = GD
	if err := Run(context.Background(), c, silent(dir), &bytes.Buffer{}); err == nil {
		t.Fatal("no error, though a file cannot be removed")
	}
	if got, err := resolve("--resume", "--method", "gd"); err != nil || got.Method != GD {
		t.Errorf("after a fresh start of gd that failed: %+v, %v", got, err)
	}
	if err := os.RemoveAll(occupied); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, DCEM, run.CheckpointFile)
	c.Method = Both
	if err := run.SaveConfig(filepath.Join(dir, run.ConfigFile), &c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("what is this, I wonder"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := resolve("--resume"); !errors.Is(err, run.ErrForeign) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want that of a foreign file", err)
	}
}
