package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/internal/atomicfile"
	"github.com/godcem/godcem/internal/run"
)

// A result is one contestant in one case, with all that is needed to judge it: the record is a list of these.
type result struct {
	Case       string  `json:"case"`
	Batch      int     `json:"batch"`
	Dtype      string  `json:"dtype"`
	ISA        string  `json:"isa"`
	Contestant string  `json:"contestant"`
	Median     float64 `json:"median_ms"`
	Checked    bool    `json:"checked"`
	Low        float64 `json:"low"`  // quartiles
	High       float64 `json:"high"` // of the rounds
	Least      float64 `json:"least_ms"`
	Rounds     int     `json:"rounds"`
	// Ratio is this contestant's time over that of the fastest Python peer of the round.
	Ratio *ratio `json:"ratio,omitempty"`
	// Over are godcem's times over those of each of the others in the round.
	Over map[string]*ratio `json:"over,omitempty"`
	// Yard is this contestant's time over the yardstick's of the round.
	Yard     *ratio  `json:"over_yardstick,omitempty"`
	CPU      float64 `json:"cpu_ms"` // median of the CPU time, that of spinning threads too
	CPURatio *ratio  `json:"cpu_ratio,omitempty"`
	Others   float64 `json:"others"` // share of the cores' time that other processes took while it ran
	// Absent says of contestants why they are not in the case; godcem's result has it.
	Absent    map[string]string `json:"absent,omitempty"`
	Setup     float64           `json:"setup_s,omitempty"` // that the contestant took to be ready, compiled and checked
	LossError float64           `json:"loss_error,omitempty"`
	// Error is of the gradient or the kernel's result, relative in the 2-norm, to float64.
	Error     float64 `json:"error"`
	Flops     float64 `json:"flops,omitempty"` // of one run
	Bytes     float64 `json:"bytes,omitempty"` // that it must at least read and write
	Device    string  `json:"device,omitempty"`
	Threads   int     `json:"threads"`
	Version   string  `json:"version"`
	Processor string  `json:"cpu"`
	Commit    string  `json:"commit"`
	Time      string  `json:"time"`
}

// A ratio is the median of ratios taken within rounds, and an interval that the true median is in with 95% (all that
// was seen, where there are too few rounds for that).
type ratio struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// ratioOf takes the interval from the order statistics: of n, that from the j-th least to the j-th greatest misses
// the median with twice the probability of fewer than j heads in n throws.
func ratioOf(sample []float64) *ratio {
	s := slices.Sorted(slices.Values(sample))
	n, j := len(s), 1
	if n == 0 {
		return nil
	}
	for below, c := 0.0, 1.0; ; j++ {
		below += c / float64(uint64(1)<<min(n, 62))
		c = c * float64(n-j+1) / float64(j)
		next := below + c/float64(uint64(1)<<min(n, 62))
		if 2*next > 0.05 || 2*(j+1) > n {
			break
		}
	}
	return &ratio{record.SpreadOf(s).Median, s[j-1], s[n-j]}
}

// caseKey is what identifies a case, key a result.
func (r result) caseKey() string {
	return fmt.Sprint(r.Case, "|", r.Batch, "|", r.Dtype, "|", r.Device, "|", r.ISA, "|", r.Threads)
}

func (r result) key() string { return r.caseKey() + "|" + r.Contestant }

// A log is the record that grows with every case.
type log struct {
	path     string
	versions map[string]string // of contestants
	fresh    []result          // of this process
	commit   string
	same     func(commit string) bool // whether what is timed is as it was then
}

func newLog(path string) *log {
	v := run.Versions()
	l := &log{path: path, versions: map[string]string{}, commit: record.Commit(), same: memo(record.SameSources)}
	l.versions["godcem"] = "godcem " + v["godcem"] + " " + v["go"]
	l.versions["tape"] = "gorgonia " + v["gorgonia"] + " " + v["go"]
	l.versions[yardstick] = v["go"]
	return l
}

// memo asks once for each commit.
func memo(f func(string) bool) func(string) bool {
	known := map[string]bool{}
	return func(c string) bool {
		if _, ok := known[c]; !ok {
			known[c] = f(c)
		}
		return known[c]
	}
}

func (l *log) version(contestant string) string { return l.versions[contestant] }

// add merges results into the file: whatever is interrupted keeps what it has measured.
func (l *log) add(fresh []result) error {
	now := time.Now().UTC().Format(time.RFC3339)
	cpu := record.Processor()
	for i := range fresh {
		fresh[i].Processor, fresh[i].Commit, fresh[i].Time = cpu, l.commit, now
	}
	l.fresh = append(l.fresh, fresh...)
	all, err := load(l.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return save(l.path, merged(all, fresh))
}

// merged has the fresh results in the place of those of their cases. Where godcem has run beside its peers, whoever
// was in the case before and is not now is gone: times of two runs are not compared.
func merged(old, fresh []result) []result {
	if i := slices.IndexFunc(fresh, func(r result) bool { return r.Contestant == "godcem" && r.Ratio != nil }); i >= 0 {
		old = slices.DeleteFunc(slices.Clone(old), func(r result) bool {
			return r.caseKey() == fresh[i].caseKey() &&
				!slices.ContainsFunc(fresh, func(f result) bool { return f.key() == r.key() })
		})
	}
	at := map[string]int{}
	for i, r := range old {
		at[r.key()] = i
	}
	all := slices.Clone(old)
	for _, r := range fresh {
		if i, ok := at[r.key()]; ok {
			all[i] = r
		} else {
			all = append(all, r)
		}
	}
	return all
}

func load(path string) (all []result, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

// save writes a list with a result in a line.
func save(path string, all []result) error {
	var b bytes.Buffer
	b.WriteString("[")
	for i, r := range all {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n")
		b.Write(line)
	}
	b.WriteString("\n]\n")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, b.Bytes())
}

// recent says whether the record has the case, with all of these contestants (or why one is absent), measured at most
// age ago from the same sources.
func (l *log) recent(r result, contestants []string, age time.Duration) bool {
	if age <= 0 {
		return false
	}
	all, err := load(l.path)
	if err != nil {
		return false
	}
	missing := slices.Clone(contestants)
	for _, x := range all {
		at, err := time.Parse(time.RFC3339, x.Time)
		if x.caseKey() == r.caseKey() && err == nil && time.Since(at) < age && l.same(x.Commit) {
			missing = slices.DeleteFunc(missing, func(c string) bool { return c == x.Contestant || x.Absent[c] != "" })
		}
	}
	return len(missing) == 0
}

// printTable prints results in their order.
func printTable(w io.Writer, all []result) {
	fmt.Fprintf(w, "%-24s %-8s %-6s %-2s %-9s %9s %-18s %9s %7s %-14s %7s %7s %8s\n", "case", "dtype", "on", "th", "who",
		"median ms", "quartiles", "cpu ms", "ratio", "95%", "cpu", "others", "error")
	text := func(s *ratio) (median, interval string) {
		if s == nil {
			return "", ""
		}
		return fmt.Sprintf("%.3f", s.Median), fmt.Sprintf("%.3f..%.3f", s.Low, s.High)
	}
	for _, r := range all {
		ratio, interval := text(r.Ratio)
		cpu, _ := text(r.CPURatio)
		on := r.ISA
		if r.Device != "" {
			on = r.Device
		}
		fmt.Fprintf(w, "%-24s %-8s %-6s %-2d %-9s %9.4g %-18s %9.4g %7s %-14s %7s %6.0f%% %8.1e\n", r.title(), r.Dtype,
			on, r.Threads,
			r.Contestant, r.Median, fmt.Sprintf("%.4g..%.4g", r.Low, r.High), r.CPU, ratio, interval, cpu, 100*r.Others,
			r.Error)
	}
}

func (r result) title() string {
	if r.Batch > 0 {
		return fmt.Sprintf("%s B=%d", r.Case, r.Batch)
	}
	return r.Case
}
