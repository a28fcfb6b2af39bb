package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godcem/godcem/internal/run"
)

var errNoRun = errors.New("no run in that folder")

// A Run is what the list shows.
type Run struct {
	Path    string `json:"path"` // below the served folder; "." for that itself
	Program string `json:"program"`
	Status  string `json:"status"`
	Step    int    `json:"step"`    // updates or steps done, 0: unknown
	Changed int64  `json:"changed"` // seconds since 1970
}

// The statuses of runs that have no result of their own. Others are in the result: done, interrupted.
const (
	running = "running"
	stopped = "stopped" // neither finished nor heard of for a while
)

// silence is how long a run may write nothing before it counts as stopped.
const silence = 30 * time.Second

// slack is how much older than the metrics a result may be: copied folders have the times of their copying.
const slack = 2 * time.Second

// depth is how far below the served folder runs are looked for.
const depth = 4

// runs are those in the folder and below it, the most recent first.
func (s *Server) runs() ([]Run, error) {
	found := []Run{}
	err := fs.WalkDir(s.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile, or not for us
		}
		if !d.IsDir() {
			return nil
		}
		if name != "." && (strings.HasPrefix(path.Base(name), ".") || strings.Count(name, "/") >= depth) {
			return fs.SkipDir
		}
		if r, err := s.summary(name); err == nil {
			found = append(found, r)
		}
		return nil
	})
	slices.SortStableFunc(found, func(a, b Run) int { return int(b.Changed - a.Changed) })
	return found, err
}

// summary looks at the files of one folder.
func (s *Server) summary(dir string) (Run, error) {
	r := Run{Path: dir}
	stat := func(name string) time.Time {
		info, err := s.root.Stat(path.Join(dir, name))
		if err != nil || !info.Mode().IsRegular() {
			return time.Time{}
		}
		return info.ModTime()
	}
	metrics, result, config := stat(run.MetricsFile), stat(run.ResultFile), stat(run.ConfigFile)
	if metrics.IsZero() && !config.IsZero() { // the methods of one program train in folders of their own below
		metrics = s.below(dir, stat)
	}
	if metrics.IsZero() && result.IsZero() && config.IsZero() {
		return r, fmt.Errorf("%s: %w", dir, errNoRun)
	}
	last := config
	for _, t := range []time.Time{metrics, result} {
		if t.After(last) {
			last = t
		}
	}
	r.Changed = last.Unix()
	switch {
	case !result.IsZero() && !metrics.After(result.Add(slack)) && !config.After(result.Add(slack)):
		var v struct{ Program, Status string }
		if err := s.decode(path.Join(dir, run.ResultFile), &v); err == nil {
			r.Program, r.Status = v.Program, v.Status
		}
	case s.now().Sub(last) < silence:
		r.Status = running
	default:
		r.Status = stopped
	}
	if r.Program == "" {
		r.Program = path.Base(dir)
		if dir == "." {
			r.Program = path.Base(s.root.Name())
		}
	}
	if line := s.lastLine(path.Join(dir, run.MetricsFile)); line != "" {
		step, _, _ := strings.Cut(line, ",")
		r.Step, _ = strconv.Atoi(step)
	}
	return r, nil
}

// below is when the rows of a run in one of a folder's own folders were last written.
func (s *Server) below(dir string, stat func(string) time.Time) (last time.Time) {
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if err != nil {
		return last
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if t := stat(path.Join(e.Name(), run.MetricsFile)); t.After(last) {
			last = t
		}
	}
	return last
}

func (s *Server) decode(name string, into any) error {
	b, err := s.root.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// lastLine is the last whole line of a file, "" if there is none beside the first.
func (s *Server) lastLine(name string) string {
	f, err := s.root.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	const tail = 4096
	from := max(0, info.Size()-tail)
	b, err := io.ReadAll(io.NewSectionReader(f, from, tail))
	if err != nil {
		return ""
	}
	text := string(b)
	text = text[:strings.LastIndexByte(text, '\n')+1]
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 2 {
		return ""
	}
	return lines[len(lines)-1]
}

// A Detail is all that is shown of a run.
type Detail struct {
	Run
	Series  []Series           `json:"series"`
	Metrics map[string]*number `json:"metrics"` // of the result
	Figures []Figure           `json:"figures"`
	Report  string             `json:"report"` // path; "": none yet
	Config  string             `json:"config"`
	Problem string             `json:"problem"` // with the metrics; "": none
}

// A Series is a column of metrics.csv over the steps, thinned to what a screen shows.
type Series struct {
	Name string   `json:"name"`
	X    []number `json:"x"`
	Y    []number `json:"y"`
}

// A number is null in JSON where it is not finite.
type number float64

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) {
	if v := float64(n); math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// A Figure is a picture.
type Figure struct {
	Path    string `json:"path"`
	Changed int64  `json:"changed"` // milliseconds, so that the browser asks for it again
}

// run is the detail of one.
func (s *Server) run(dir string) (*Detail, error) {
	if dir == "" {
		dir = "."
	}
	dir = path.Clean(dir)
	if !fs.ValidPath(dir) {
		return nil, fmt.Errorf("%q: %w", dir, errNoRun)
	}
	summary, err := s.summary(dir)
	if err != nil {
		return nil, err
	}
	d := &Detail{Run: summary, Series: []Series{}, Figures: []Figure{}, Metrics: map[string]*number{}}
	if config, err := s.root.ReadFile(path.Join(dir, run.ConfigFile)); err == nil {
		d.Config = string(config)
	}
	var result struct {
		Metrics map[string]*number `json:"metrics"`
	}
	if d.Status != running && s.decode(path.Join(dir, run.ResultFile), &result) == nil && result.Metrics != nil {
		d.Metrics = result.Metrics
	}
	if err := s.series(d, dir, ""); err != nil {
		d.Problem = err.Error()
	}
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if err != nil {
		return nil, err
	}
	s.figures(d, dir, entries)
	if _, err := s.root.Stat(path.Join(dir, run.MetricsFile)); err == nil || d.Status != running {
		return d, nil
	}
	// All that a run of several methods has, until it is over, is what these have.
	for _, e := range entries {
		method := path.Join(dir, e.Name())
		if _, err := s.summary(method); !e.IsDir() || err != nil {
			continue
		}
		if err := s.series(d, method, e.Name()+" "); err != nil {
			d.Problem = err.Error()
		}
		if its, err := fs.ReadDir(s.root.FS(), method); err == nil {
			s.figures(d, method, its)
		}
	}
	return d, nil
}

// figures adds the pictures among a folder's entries, and the report if it is that of the run itself.
func (s *Server) figures(d *Detail, dir string, entries []fs.DirEntry) {
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		switch name := path.Join(dir, e.Name()); strings.ToLower(path.Ext(name)) {
		case ".png", ".svg", ".gif":
			d.Figures = append(d.Figures, Figure{name, info.ModTime().UnixMilli()})
		case ".html":
			if dir == d.Path {
				d.Report = name
			}
		}
	}
}

// points is how many of a series are sent.
const points = 800

// series adds the columns of a folder's metrics.csv, named with that before.
func (s *Server) series(d *Detail, dir, before string) error {
	name := path.Join(dir, run.MetricsFile)
	if _, err := s.root.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	raw, err := s.root.ReadFile(name)
	if err != nil {
		return err
	}
	t, err := run.ParseMetrics(name, raw)
	if err != nil {
		return err
	}
	for _, column := range t.Columns {
		if column == "step" || column == "seconds" || column == "skipped" {
			continue
		}
		x, y := t.Series(column)
		if len(x) == 0 {
			continue
		}
		sx, sy := thin(x, y, points)
		d.Series = append(d.Series, Series{before + column, sx, sy})
	}
	return nil
}

// thin keeps at most about n points: of each stretch the least and the greatest, so that no spike is lost.
func thin(x, y []float64, n int) (tx, ty []number) {
	stretch := max(1, (len(x)*2+n-1)/n)
	for from := 0; from < len(x); from += stretch {
		lo, hi := from, from
		for i := from; i < min(len(x), from+stretch); i++ {
			if y[i] < y[lo] {
				lo = i
			}
			if y[i] > y[hi] {
				hi = i
			}
		}
		for _, i := range slices.Compact([]int{min(lo, hi), max(lo, hi)}) {
			tx, ty = append(tx, number(x[i])), append(ty, number(y[i]))
		}
	}
	return tx, ty
}
