package live

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godcem/godcem/internal/run"
)

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// onePixel is a PNG.
const onePixel = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89" +
	"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"

// experiment is a folder with a run as the programs write it, of that many rows.
func experiment(t *testing.T, dir string, rows int) {
	t.Helper()
	noError(t, os.MkdirAll(dir, 0o755))
	m, err := run.CreateMetrics(filepath.Join(dir, run.MetricsFile), []string{"loss", "rate", "seconds"})
	noError(t, err)
	for step := 1; step <= rows; step++ {
		noError(t, m.Row(step, map[string]float64{"loss": 1 / float64(step), "rate": 0.1, "seconds": float64(step)}))
	}
	noError(t, m.Close())
	noError(t, os.WriteFile(filepath.Join(dir, run.ConfigFile), []byte("seed: 7\n"), 0o644))
	noError(t, os.WriteFile(filepath.Join(dir, "loss.png"), []byte(onePixel), 0o644))
}

func finish(t *testing.T, dir string) {
	t.Helper()
	noError(t, run.WriteResult(dir, run.Result{Program: "regression", Status: run.StatusDone,
		Metrics: map[string]float64{"mse": 0.25, "worst": math.NaN()}}))
	noError(t, os.WriteFile(filepath.Join(dir, "report.html"), []byte("<html>the report</html>"), 0o644))
}

func serve(t *testing.T, dir string) (*Server, *httptest.Server) {
	t.Helper()
	s, err := New(dir)
	noError(t, err)
	h := httptest.NewServer(s.Handler())
	t.Cleanup(func() { h.Close(); s.Close() })
	return s, h
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.Get(url)
	noError(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	noError(t, err)
	return r.StatusCode, string(b)
}

func TestRuns(t *testing.T) {
	dir := t.TempDir()
	experiment(t, filepath.Join(dir, "a"), 30)
	experiment(t, filepath.Join(dir, "b", "dcem"), 5)
	finish(t, filepath.Join(dir, "b", "dcem"))
	experiment(t, filepath.Join(dir, ".hidden"), 5)
	experiment(t, filepath.Join(dir, "1", "2", "3", "4", "5"), 5)
	s, h := serve(t, dir)
	list := func() map[string]Run {
		code, body := get(t, h.URL+"/api/runs")
		var runs []Run
		noError(t, json.Unmarshal([]byte(body), &runs))
		if code != http.StatusOK {
			t.Fatalf("status %d: %s", code, body)
		}
		all := map[string]Run{}
		for _, r := range runs {
			all[r.Path] = r
		}
		return all
	}
	all := list()
	if len(all) != 2 {
		t.Fatalf("runs %v, want those in a and b/dcem", all)
	}
	if r := all["a"]; r.Status != running || r.Step != 30 || r.Program != "a" {
		t.Errorf("a is %+v", r)
	}
	if r := all["b/dcem"]; r.Status != run.StatusDone || r.Step != 5 || r.Program != "regression" {
		t.Errorf("b/dcem is %+v", r)
	}
	s.now = func() time.Time { return time.Now().Add(time.Minute) }
	if r := list()["a"]; r.Status != stopped {
		t.Errorf("a minute later a is %q", r.Status)
	}
	// Resumed: the result is older than the metrics.
	s.now = time.Now
	noError(t, os.Chtimes(filepath.Join(dir, "b", "dcem", run.ResultFile), time.Time{}, time.Now().Add(-time.Hour)))
	if r := list()["b/dcem"]; r.Status != running {
		t.Errorf("a resumed run is %q", r.Status)
	}
}

// A program that trains through several methods has its files in a folder for each until it is over.
func TestSides(t *testing.T) {
	dir := t.TempDir()
	both := filepath.Join(dir, "both")
	for _, side := range []string{"dcem", "gd"} {
		experiment(t, filepath.Join(both, side), 20)
	}
	config := filepath.Join(both, run.ConfigFile)
	noError(t, os.WriteFile(config, []byte("method: both\n"), 0o644))
	noError(t, os.Chtimes(config, time.Time{}, time.Now().Add(-time.Hour)))
	_, h := serve(t, dir)
	detail := func() (d Detail) {
		_, body := get(t, h.URL+"/api/run?path=both")
		noError(t, json.Unmarshal([]byte(body), &d))
		return d
	}
	d := detail()
	if d.Status != running || len(d.Series) != 4 || d.Series[0].Name != "dcem loss" || len(d.Figures) != 2 ||
		d.Figures[1].Path != "both/gd/loss.png" {
		t.Errorf("while they train: %+v, series %d, figures %v", d.Run, len(d.Series), d.Figures)
	}
	finish(t, both)
	if d := detail(); d.Status != run.StatusDone || len(d.Series) != 0 || len(d.Figures) != 0 || d.Report != "both/report.html" {
		t.Errorf("afterwards: %+v, series %d, figures %v, report %q", d.Run, len(d.Series), d.Figures, d.Report)
	}
}

func TestDetail(t *testing.T) {
	dir := t.TempDir()
	experiment(t, filepath.Join(dir, "a"), 5000)
	finish(t, filepath.Join(dir, "a"))
	_, h := serve(t, dir)
	code, body := get(t, h.URL+"/api/run?path=a")
	var d Detail
	noError(t, json.Unmarshal([]byte(body), &d))
	if code != http.StatusOK || d.Config != "seed: 7\n" || d.Report != "a/report.html" || len(d.Figures) != 1 || d.Problem != "" {
		t.Fatalf("status %d: %+v", code, d)
	}
	if v := d.Metrics["mse"]; v == nil || *v != 0.25 {
		t.Errorf("metrics %v", d.Metrics)
	}
	if v, ok := d.Metrics["worst"]; ok && v != nil {
		t.Errorf("a number that is not finite is %v", *v)
	}
	if len(d.Series) != 2 || d.Series[0].Name != "loss" || d.Series[1].Name != "rate" {
		t.Fatalf("series %v", d.Series)
	}
	loss := d.Series[0]
	if n := len(loss.X); n > points+2 || n < points/2 || loss.X[0] != 1 || loss.Y[0] != 1 || loss.X[n-1] != 5000 {
		t.Errorf("%d points of the loss, from %v to %v", n, loss.X[0], loss.X[n-1])
	}

	// A file that no program has written is a problem to be shown, not the end.
	noError(t, os.WriteFile(filepath.Join(dir, "a", run.MetricsFile), []byte("nonsense\n1\n"), 0o644))
	_, body = get(t, h.URL+"/api/run?path=a")
	noError(t, json.Unmarshal([]byte(body), &d))
	if !strings.Contains(d.Problem, "want a header") {
		t.Errorf("problem %q", d.Problem)
	}
}

// A spike survives thinning.
func TestThin(t *testing.T) {
	x, y := make([]float64, 10_000), make([]float64, 10_000)
	for i := range x {
		x[i] = float64(i)
	}
	y[5003], y[7001] = 9, -9
	tx, ty := thin(x, y, 100)
	up, down := false, false
	for i := range ty {
		up = up || ty[i] == 9 && tx[i] == 5003
		down = down || ty[i] == -9 && tx[i] == 7001
		if i > 0 && tx[i] <= tx[i-1] {
			t.Fatalf("x is not ascending at %d", i)
		}
	}
	if !up || !down || len(tx) > 110 {
		t.Errorf("%d points, the peak among them: %v, the dip: %v", len(tx), up, down)
	}
	if tx, _ := thin(x[:7], y[:7], 100); len(tx) != 7 {
		t.Errorf("%d of 7 points are left", len(tx))
	}
}

// Nothing outside of the folder is served, nor anything but what is to be shown, nor to pages of other origins.
func TestKeepsToItsFolder(t *testing.T) {
	outer := t.TempDir()
	dir := filepath.Join(outer, "runs")
	experiment(t, filepath.Join(dir, "a"), 3)
	noError(t, os.WriteFile(filepath.Join(outer, "secret.png"), []byte(onePixel), 0o644))
	noError(t, os.WriteFile(filepath.Join(dir, "a", "checkpoint.gdc"), []byte("state"), 0o644))
	noError(t, os.Symlink(filepath.Join(outer, "secret.png"), filepath.Join(dir, "a", "link.png")))
	_, h := serve(t, dir)
	for _, path := range []string{"/files/../secret.png", "/files/..%2fsecret.png", "/files/a/%2e%2e/%2e%2e/secret.png",
		"/files/a/link.png", "/files/a/checkpoint.gdc", "/files/a", "/files/" + filepath.Join(outer, "secret.png"),
		"/api/run?path=..", "/api/run?path=../runs/a", "/api/run?path=" + dir, "/api/run?path=nothing"} {
		if code, body := get(t, h.URL+path); code != http.StatusNotFound {
			t.Errorf("%s: status %d: %s", path, code, body)
		}
	}
	if code, _ := get(t, h.URL+"/files/a/loss.png"); code != http.StatusOK {
		t.Errorf("a figure: status %d", code)
	}
	for host, want := range map[string]int{"evil.example": http.StatusForbidden, "localhost:80": http.StatusOK, "127.0.0.1": http.StatusOK,
		"[::1]:8080": http.StatusOK, "1.2.3.4.evil.example": http.StatusForbidden} {
		r := httptest.NewRequest(http.MethodGet, "/api/runs", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.Config.Handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %s: status %d, want %d", host, w.Code, want)
		}
	}
	if _, err := New(filepath.Join(outer, "nowhere")); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a folder that is not there: %v", err)
	}
}
