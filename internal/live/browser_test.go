package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/energy/bumps"
)

// browser is a headless Chromium that loads a page, lets its scripts run for that many milliseconds of the page's time
// and then does as args say.
func browser(t *testing.T, url string, ms int, args ...string) string {
	t.Helper()
	var name string
	for _, candidate := range []string{os.Getenv("GODCEM_BROWSER"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(candidate); err == nil {
			name = path
			break
		}
	}
	if name == "" {
		t.Skip("needs Chromium, which is not installed (Debian: apt-get install chromium; elsewhere GODCEM_BROWSER names it)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	all := append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
		"--window-size=1200,900", "--virtual-time-budget=" + strconv.Itoa(ms), "--user-data-dir=" + t.TempDir()}, args...)
	cmd := exec.CommandContext(ctx, name, append(all, url)...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out)
}

// contains checks the page's elements.
func contains(t *testing.T, of, dom string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(dom, want) {
			t.Errorf("the page of %s lacks %s", of, want)
		}
	}
}

// figure is a picture on the page that the browser has loaded, and its size; "" if there is none.
func figure(dom, path string) string {
	m := regexp.MustCompile(`<figure data-size="([^"]*)"><img alt="` + regexp.QuoteMeta(path) + `"`).FindStringSubmatch(dom)
	if m == nil {
		return ""
	}
	return m[1]
}

// training is a run of a program that would take an hour, until stop.
func training(t *testing.T, dir string) (stop func()) {
	t.Helper()
	c := bumps.Default()
	c.Updates, c.Seed = 100_000, 7
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- bumps.Run(ctx, c, run.Options{Out: dir, Config: &c, Progress: run.ProgressOptions{Silent: true}}, &bytes.Buffer{})
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel(run.ErrInterrupted)
		if err := <-ended; !errors.Is(err, run.ErrInterrupted) {
			t.Errorf("the training ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// awaitFigures waits until the server knows of the run's figures.
func awaitFigures(t *testing.T, h *httptest.Server, path string, n int) (d Detail) {
	t.Helper()
	for range 1200 {
		if code, body := get(t, h.URL+"/api/run?path="+path); code == 200 {
			d = Detail{}
			noError(t, json.Unmarshal([]byte(body), &d))
			if len(d.Figures) >= n {
				return d
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("no %d figures after a minute: %+v", n, d.Run)
	return d
}

// A training in a real browser: its figures and animation while it runs, and when it was stopped.
func TestTrainingInABrowser(t *testing.T) {
	dir := t.TempDir()
	_, h := serve(t, dir)
	browser(t, h.URL, 100, "--dump-dom") // skips without one, before there is anything to wait for
	stop := training(t, filepath.Join(dir, "bumps"))
	d := awaitFigures(t, h, "bumps", 2)
	dom := browser(t, h.URL+"/#bumps", 3000, "--dump-dom")
	contains(t, "a training", dom, `class="badge running">running`, `data-series="loss"`, `data-series="validation"`, "seed: 7")
	for name, size := range map[string]string{"bumps/surface.png": "1200 x 560", "bumps/bumps.gif": "480 x 400"} {
		if got := figure(dom, name); got != size {
			t.Errorf("%s is shown with %q pixels, want %s", name, got, size)
		}
	}
	if t.Failed() {
		t.Logf("%+v\n%s", d.Run, dom)
	}
	if _, err := os.Stat(filepath.Join(dir, "bumps", run.ResultFile)); err == nil {
		t.Error("the training was over before it was looked at")
	}
	stop()
	dom = browser(t, h.URL+"/#bumps", 3000, "--dump-dom")
	contains(t, "a stopped training", dom, `class="badge interrupted">interrupted`, "<td>updates</td>")
	if figure(dom, "bumps/bumps.gif") == "" {
		t.Error("a stopped training does not show its animation")
	}

	// The animation moves. Nothing else on the page of a run that is over does.
	noError(t, os.Remove(filepath.Join(dir, "bumps", "surface.png")))
	_, raw := get(t, h.URL+"/files/bumps/bumps.gif")
	movie, err := gif.DecodeAll(strings.NewReader(raw))
	noError(t, err)
	if len(movie.Image) < 3 {
		t.Fatalf("an animation of %d frames", len(movie.Image))
	}
	// Pictures are taken until one differs: a loaded machine may be late with the next frame.
	still := func(ms int) image.Image { return screen(t, h.URL+"/#bumps", ms, "--window-size=1200,3600") }
	first, moves := still(1000), false
	for ms := 3000; ms <= 11000 && !moves; ms += 2000 {
		now := still(ms)
		moves = pixels(now, func(x, y int, c color.Color) bool { return c != first.At(x, y) }) >= 100
		t.Logf("after %d ms of the page's time: moved %v", ms, moves)
	}
	if !moves {
		t.Error("the animation stands still")
	}
}

// screen is a picture of the page.
func screen(t *testing.T, url string, ms int, args ...string) image.Image {
	t.Helper()
	shot := filepath.Join(t.TempDir(), "page.png")
	browser(t, url, ms, append(args, "--screenshot="+shot)...)
	f, err := os.Open(shot)
	noError(t, err)
	defer f.Close()
	img, err := png.Decode(f)
	noError(t, err)
	return img
}

// pixels counts those of a page, below its header and right of its list, that are so.
func pixels(img image.Image, so func(x, y int, c color.Color) bool) (n int) {
	for y := 60; y < img.Bounds().Dy(); y++ {
		for x := 290; x < img.Bounds().Dx(); x++ {
			if so(x, y, img.At(x, y)) {
				n++
			}
		}
	}
	return n
}

// The page by files as programs leave them: of a run that goes on, then of the same when it has finished.
func TestPageInABrowser(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "regression")
	experiment(t, a, 200)
	_, h := serve(t, dir)
	dom := browser(t, h.URL, 6000, "--dump-dom")
	contains(t, "a running experiment", dom, `class="badge running">running`, "step 200", `data-series="loss"`,
		`data-series="rate"`, `href="#regression"`, "seed: 7", "at 200", `src="files/regression/loss.png?`)
	if size := figure(dom, "regression/loss.png"); size != "1 x 1" {
		t.Errorf("loss.png is shown with %q pixels", size)
	}
	if t.Failed() {
		t.Log(dom)
	}
	if strings.Contains(dom, "0.25") {
		t.Error("a running experiment shows the numbers of a result")
	}

	experiment(t, a, 300)
	finish(t, a)
	noError(t, os.WriteFile(filepath.Join(a, "broken.png"), []byte("no picture"), 0o644))
	dom = browser(t, h.URL+"/#regression", 6000, "--dump-dom")
	contains(t, "a finished experiment", dom, `class="badge done">done`, "step 300", "<td>mse</td><td>0.25</td>", "at 300")
	if !strings.Contains(dom, `alt="regression/broken.png"`) || figure(dom, "regression/broken.png") != "" {
		t.Error("a file that is no picture counts as shown")
	}
	if link := regexp.MustCompile(`<a id="report"[^>]*>`).FindString(dom); !strings.Contains(link, `href="files/regression/report.html"`) ||
		strings.Contains(link, "hidden") {
		t.Errorf("the link to the report is %s", link)
	}

	// The curve is drawn: a picture of the page has more than a few pixels in its colour.
	if drawn := pixels(screen(t, h.URL+"/#regression", 6000), func(_, _ int, c color.Color) bool {
		r, g, b, _ := c.RGBA()
		return r>>8 < 60 && g>>8 > 80 && g>>8 < 140 && b>>8 > 150
	}); drawn < 300 {
		t.Errorf("%d pixels in the colour of the curves", drawn)
	}

	// Nothing there at all.
	empty := t.TempDir()
	_, h = serve(t, empty)
	contains(t, "an empty folder", browser(t, h.URL, 6000, "--dump-dom"), "No runs in this folder yet.")
	if _, err := os.Stat(filepath.Join(empty, run.MetricsFile)); err == nil {
		t.Error("the server has written something")
	}
}
