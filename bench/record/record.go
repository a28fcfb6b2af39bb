// Package record has what every measurement's record holds: the machine, the versions and the claims.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/godcem/godcem/internal/atomicfile"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/vec"
)

// Machine says where and with what something was measured.
type Machine struct {
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Threads  int               `json:"threads"`
	ISA      string            `json:"isa"`
	Versions map[string]string `json:"versions"`
	Commit   string            `json:"commit"`
	Time     string            `json:"time"`
	Command  string            `json:"command"`
}

// Here is this machine, now.
func Here(command string) Machine {
	return Machine{CPU: Processor(), Cores: runtime.NumCPU(), Threads: vec.Threads(), ISA: vec.ISA(),
		Versions: run.Versions(),
		Commit:   Commit(), Time: time.Now().UTC().Format(time.RFC3339), Command: command}
}

// Processor is the CPU's name where Linux tells it.
func Processor() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return runtime.GOARCH
}

// Commit is that of the working tree, with "+dirty" where files that git knows have changed, other than records and
// documentation, which measuring writes; or what GODCEM_COMMIT says, where there is no working tree.
func Commit() string {
	if c := os.Getenv("GODCEM_COMMIT"); c != "" {
		return c
	}
	head, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	id := strings.TrimSpace(string(head))
	if !unchanged("HEAD", ".", ":(top,exclude)bench/results", ":(top,exclude)doc") {
		id += dirty
	}
	return id
}

const dirty = "+dirty"

// SameSources reports whether what is compiled into programs, and the peers' scripts, are those of a commit; false
// for one that was not clean.
func SameSources(commit string) bool {
	if strings.HasSuffix(commit, dirty) {
		return false
	}
	if c := os.Getenv("GODCEM_COMMIT"); c != "" {
		return c == commit
	}
	return unchanged(commit, ":(top,glob)**/*.go", ":(top,glob)**/*.s", ":(top,glob)**/*.py", ":(top)go.mod",
		":(top)bench/peers",
		":(top)bench/gomlx", ":(top,exclude,glob)**/*_test.go")
}

// unchanged reports whether the working tree has these paths as a commit has them.
func unchanged(commit string, paths ...string) bool {
	return exec.Command("git", append([]string{"diff", "--quiet", commit, "--"}, paths...)...).Run() == nil
}

// A Claim is a figure with the bound it must keep.
type Claim struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Bound string  `json:"bound"` // such as "<= 1"
	OK    bool    `json:"ok"`
}

// AtMost and AtLeast judge a value; NaN keeps no bound.
func AtMost(name string, value, bound float64) Claim {
	return Claim{name, value, fmt.Sprintf("<= %g", bound), value <= bound}
}

// AtLeast is AtMost's opposite.
func AtLeast(name string, value, bound float64) Claim {
	return Claim{name, value, fmt.Sprintf(">= %g", bound), value >= bound}
}

// Print writes the claims as a table and says whether all hold.
func Print(w io.Writer, claims []Claim) bool {
	all := true
	fmt.Fprintf(w, "%-84s %10s %10s\n", "claim", "value", "bound")
	for _, c := range claims {
		verdict := "ok"
		if !c.OK {
			verdict, all = "DOES NOT HOLD", false
		}
		fmt.Fprintf(w, "%-84s %10.4g %10s  %s\n", c.Name, c.Value, c.Bound, verdict)
	}
	return all
}

// Read reads what Write has written into record; a file that is not there leaves it as it is. Fields that record does
// not have are an error, so that nothing is lost when it is written again.
func Read(path string, record any) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(record); err != nil {
		return fmt.Errorf("%s: not a record of this program: %w", path, err)
	}
	return nil
}

// Write writes a record as JSON, whole or not at all.
func Write(path string, record any) error {
	raw, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, append(raw, '\n'))
}

// A Spread is a sample's median and quartiles.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`  // first quartile
	High   float64 `json:"high"` // third quartile
	N      int     `json:"n"`
}

// SpreadOf sorts a copy of the sample; it must not be empty.
func SpreadOf(sample []float64) Spread {
	s := slices.Sorted(slices.Values(sample))
	at := func(q float64) float64 {
		x := q * float64(len(s)-1)
		i := int(x)
		if i+1 >= len(s) {
			return s[i]
		}
		return s[i] + (x-float64(i))*(s[i+1]-s[i])
	}
	return Spread{Median: at(0.5), Low: at(0.25), High: at(0.75), N: len(s)}
}
