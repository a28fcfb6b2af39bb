package live

import (
	"context"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/godcem/godcem/internal/run"
)

// browser is a headless Chromium that loads a page, lets its scripts run for some seconds and then does as args say.
func browser(t *testing.T, url string, args ...string) string {
	t.Helper()
	var name string
	for _, candidate := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(candidate); err == nil {
			name = path
			break
		}
	}
	if name == "" {
		t.Skip("needs Chromium, which is not installed (Debian: apt-get install chromium)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	all := append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
		"--window-size=1200,900", "--virtual-time-budget=6000", "--user-data-dir=" + t.TempDir()}, args...)
	cmd := exec.CommandContext(ctx, name, append(all, url)...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out)
}

// The page in a real browser: a running experiment, then the same when it has finished.
func TestPageInABrowser(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "regression")
	experiment(t, a, 200)
	_, h := serve(t, dir)
	dom := browser(t, h.URL, "--dump-dom")
	for _, want := range []string{`class="badge running">running`, "step 200", `data-series="loss"`, `data-series="rate"`,
		`href="#regression"`, "seed: 7", "at 200", `src="files/regression/loss.png?`} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page of a running experiment lacks %s", want)
		}
	}
	if t.Failed() {
		t.Log(dom)
	}
	if strings.Contains(dom, "0.25") {
		t.Error("a running experiment shows the numbers of a result")
	}

	experiment(t, a, 300)
	finish(t, a)
	dom = browser(t, h.URL+"/#regression", "--dump-dom")
	for _, want := range []string{`class="badge done">done`, "step 300", "<td>mse</td><td>0.25</td>", "at 300"} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page of a finished experiment lacks %s", want)
		}
	}
	if link := regexp.MustCompile(`<a id="report"[^>]*>`).FindString(dom); !strings.Contains(link, `href="files/regression/report.html"`) ||
		strings.Contains(link, "hidden") {
		t.Errorf("the link to the report is %s", link)
	}

	// The curve is drawn: a picture of the page has more than a few pixels in its colour.
	shot := filepath.Join(t.TempDir(), "page.png")
	browser(t, h.URL+"/#regression", "--screenshot="+shot)
	f, err := os.Open(shot)
	noError(t, err)
	defer f.Close()
	img, err := png.Decode(f)
	noError(t, err)
	drawn := 0
	for y := 60; y < img.Bounds().Dy(); y++ { // below the header
		for x := 290; x < img.Bounds().Dx(); x++ { // right of the list
			if r, g, b, _ := img.At(x, y).RGBA(); r>>8 < 60 && g>>8 > 80 && g>>8 < 140 && b>>8 > 150 {
				drawn++
			}
		}
	}
	if drawn < 300 {
		t.Errorf("%d pixels in the colour of the curves", drawn)
	}

	// Nothing there at all.
	empty := t.TempDir()
	_, h = serve(t, empty)
	if dom := browser(t, h.URL, "--dump-dom"); !strings.Contains(dom, "No runs in this folder yet.") {
		t.Error("the page of an empty folder does not say so")
	}
	if _, err := os.Stat(filepath.Join(empty, run.MetricsFile)); err == nil {
		t.Error("the server has written something")
	}
}
