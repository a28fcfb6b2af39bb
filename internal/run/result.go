package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/godcem/godcem/internal/atomicfile"
)

// Result is the outcome of a program, as DIR/result.json holds it.
type Result struct {
	Program string // its name, such as "regression"
	Config  any    // the config struct; json.RawMessage after ReadResult
	Seed    uint64
	Metrics map[string]float64
	Seconds float64 // wall-clock time of the work, over all resumed parts
	Status  string  // StatusDone, StatusInterrupted or a word of the program's own
}

// Words for Result.Status.
const (
	StatusDone        = "done"
	StatusInterrupted = "interrupted"
)

type resultFile struct {
	Program   string             `json:"program"`
	Status    string             `json:"status"`
	Seed      uint64             `json:"seed"`
	Config    json.RawMessage    `json:"config"`
	Metrics   map[string]float64 `json:"metrics"`
	NonFinite map[string]string  `json:"non_finite,omitempty"`
	Versions  map[string]string  `json:"versions"`
	Seconds   float64            `json:"seconds"`
}

// WriteResult writes dir/result.json atomically. "metrics" holds numbers only: JSON has no NaN and no infinity, so a
// metric that is not finite is left out there and named under "non_finite" instead ({"mse": "NaN"}); who reads the
// metric finds it missing rather than wrong.
func WriteResult(dir string, r Result) error {
	path := filepath.Join(dir, ResultFile)
	f := resultFile{Program: r.Program, Status: r.Status, Seed: r.Seed, Seconds: r.Seconds, Versions: Versions()}
	f.Metrics = map[string]float64{}
	for name, v := range r.Metrics {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			f.Metrics[name] = v
			continue
		}
		if f.NonFinite == nil {
			f.NonFinite = map[string]string{}
		}
		f.NonFinite[name] = formatFloat(v)
	}
	if f.Config = json.RawMessage("{}"); r.Config != nil {
		raw, err := EncodeConfig(r.Config)
		if err != nil {
			return fmt.Errorf("%s: config: %w", path, err)
		}
		f.Config = raw
	}
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.WriteBytes(path, append(raw, '\n'))
}

// Finish lets draw make what a finished run has to show, and then writes dir/result.json: who reads StatusDone there
// finds everything else in the folder too. Where draw fails or is interrupted, the numbers are kept and the status is
// StatusInterrupted, so that the run can be resumed, which draws anew.
func Finish(dir string, r Result, draw func() error) error {
	err := draw()
	if err != nil {
		r.Status = StatusInterrupted
	}
	return errors.Join(err, WriteResult(dir, r))
}

// ReadResult reads dir/result.json. Metrics that were not finite come back as NaN or infinities.
func ReadResult(dir string) (Result, error) {
	path := filepath.Join(dir, ResultFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return Result{}, fmt.Errorf("%s: cannot read: %w", path, atomicfile.Bare(err))
	}
	var f resultFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return Result{}, fmt.Errorf("%s: %w", path, err)
	}
	r := Result{Program: f.Program, Config: f.Config, Seed: f.Seed, Metrics: f.Metrics, Seconds: f.Seconds, Status: f.Status}
	for name, text := range f.NonFinite {
		if r.Metrics == nil {
			r.Metrics = map[string]float64{}
		}
		switch text {
		case "+Inf":
			r.Metrics[name] = math.Inf(1)
		case "-Inf":
			r.Metrics[name] = math.Inf(-1)
		default:
			r.Metrics[name] = math.NaN()
		}
	}
	return r, nil
}

// modules are the dependencies whose versions a result names.
var modules = map[string]string{
	"gorgonia.org/gorgonia": "gorgonia",
	"gorgonia.org/tensor":   "tensor",
	"gorgonia.org/cu":       "cu",
	"gonum.org/v1/gonum":    "gonum",
	"gonum.org/v1/plot":     "plot",
}

// Versions returns what the running binary was built from: "go", "platform", "godcem" (the module's version, with the
// commit where the build recorded one) and the libraries that decide over numbers and pictures.
func Versions() map[string]string {
	const self = "github.com/godcem/godcem"
	v := map[string]string{"go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "godcem": "(devel)"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Path == self && m.Version != "" {
			v["godcem"] = m.Version
		}
		if name := modules[m.Path]; name != "" {
			v[name] = m.Version
		}
	}
	if info.Main.Path == self {
		var commit, dirty string
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = "+dirty"
			}
		}
		// A pseudo-version already ends in the commit.
		if commit != "" && !strings.Contains(v["godcem"], commit) {
			v["godcem"] += " " + commit + dirty
		}
	}
	return v
}
