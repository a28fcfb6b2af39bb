package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A page is doc/benchmarks.md, whose tables between markers are written from the record.
type page struct {
	all    []result
	isas   []string
	folder string // of what bench/where said
}

const (
	docFile          = "doc/benchmarks.md"
	measurementsFile = "doc/measurements.md"
	figures          = "doc/img"
	beginMark        = "<!-- from the record: %s -->"
	endMark          = "<!-- end -->"
)

// newPage is the page of a record.
func newPage(path string) (*page, error) {
	all, err := load(path)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no results", path)
	}
	p := &page{all: all, folder: filepath.Dir(path)}
	for _, r := range all {
		if !slices.Contains(p.isas, r.ISA) {
			p.isas = append(p.isas, r.ISA)
		}
	}
	return p, nil
}

// report writes the tables of doc/benchmarks.md and the figures from the record.
func report(path string) error {
	p, err := newPage(path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(docFile)
	if err != nil {
		return err
	}
	for name, section := range p.sections() {
		if text, err = replace(text, name, section()); err != nil {
			return err
		}
	}
	unexplained := p.unexplained(string(text))
	for _, w := range unexplained {
		fmt.Fprintf(os.Stderr, "%s: %s\n", docFile, w)
	}
	if err := os.WriteFile(docFile, text, 0o644); err != nil {
		return err
	}
	if err := p.measurements(); err != nil {
		return err
	}
	if err := p.draw(); err != nil {
		return err
	}
	if n := len(unexplained); n > 0 {
		return fmt.Errorf("%s: %d claims whose reasons are not what the record says; all else is written", docFile, n)
	}
	return nil
}

// sections are the tables by the names of their places.
func (p *page) sections() map[string]func() string {
	return map[string]func() string{"machine": p.machine, "claims": p.claims, "steps": p.steps, "kernels": p.kernels,
		"cold": p.cold, "scaling": p.scaling, "where": p.where, "absent": p.absent}
}

// measurements puts what bench/measurements.sh has measured into doc/measurements.md, if it has.
func (p *page) measurements() error {
	raw, err := os.ReadFile(filepath.Join(p.folder, "measurements.txt"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := os.ReadFile(measurementsFile)
	if err != nil {
		return err
	}
	if text, err = replace(text, "measurements", "```\n"+string(raw)+"```\n"); err != nil {
		return err
	}
	return os.WriteFile(measurementsFile, text, 0o644)
}

// replace puts a text between the markers of that name.
func replace(text []byte, name, section string) ([]byte, error) {
	begin := []byte(fmt.Sprintf(beginMark, name) + "\n")
	i := bytes.Index(text, begin)
	if i < 0 {
		return nil, fmt.Errorf("the page has no line %q", bytes.TrimSpace(begin))
	}
	i += len(begin)
	n := bytes.Index(text[i:], []byte(endMark))
	if n < 0 {
		return nil, fmt.Errorf("no %q after %q", endMark, bytes.TrimSpace(begin))
	}
	return slices.Concat(text[:i], []byte(section), text[i+n:]), nil
}

// find is a result, or nil.
func (p *page) find(title, dtype, isa, contestant string) *result {
	for i, r := range p.all {
		if r.title() == title && r.Dtype == dtype && r.ISA == isa && r.Contestant == contestant && r.Device == "" {
			return &p.all[i]
		}
	}
	return nil
}

// titles are the cases that a prefix names, in the record's order.
func (p *page) titles(prefixes ...string) (titles []string) {
	for _, prefix := range prefixes {
		for _, r := range p.all {
			if strings.HasPrefix(r.title()+" ", prefix+" ") && !slices.Contains(titles, r.title()) && r.Device == "" {
				titles = append(titles, r.title())
			}
		}
	}
	return titles
}

func (p *page) machine() string {
	about := func(f func(result) string) string {
		var seen []string
		for _, r := range p.all {
			if v := f(r); v != "" && !slices.Contains(seen, v) {
				seen = append(seen, v)
			}
		}
		slices.Sort(seen)
		return strings.Join(seen, "; ")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d threads. ", about(func(r result) string { return r.Processor }), p.all[0].Threads)
	for _, isa := range p.isas {
		if peak := p.peak(isa); peak > 0 {
			fmt.Fprintf(&b, "With %s the best product of %d x %d matrices here reaches %.0f Gflop/s. ", isa, limitSide,
				limitSide, peak)
		}
	}
	if rate := p.copying(p.isas[0]); rate > 0 {
		fmt.Fprintf(&b, "Copying moves %.1f GB/s. ", rate)
	}
	first, last := slices.MinFunc(p.all, byTime), slices.MaxFunc(p.all, byTime)
	fmt.Fprintf(&b, "Commit %s. Versions: %s. Measured from %s to %s.", about(func(r result) string { return r.Commit }),
		about(func(r result) string { return r.Version }), first.Time, last.Time)
	return wrap(b.String())
}

func byTime(a, b result) int { return strings.Compare(a.Time, b.Time) }

// copying is the rate of copying arrays that no cache holds, in GB/s; 0 without.
func (p *page) copying(isa string) float64 {
	if c := p.find(limitMemory, "float32", isa, "godcem"); c != nil {
		return c.Bytes / c.Median / 1e6
	}
	return 0
}

// wrap breaks a paragraph into lines of at most 116 columns, so that they can be indented.
func wrap(text string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		if column > 0 && column+1+len(word) > 116 {
			b.WriteByte('\n')
			column = 0
		}
		if column > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String() + "\n"
}

// peak is the rate of the best product of square matrices, in Gflop/s; 0 without. Where a set is forced, that is of
// those who are held to it.
func (p *page) peak(isa string) (best float64) {
	for _, r := range p.all {
		if r.Case == limitMatmul && r.ISA == isa && (isa != "avx2" || r.Contestant == "godcem" || r.Contestant == "torch") {
			best = max(best, r.Flops/r.Median/1e6)
		}
	}
	return best
}

// ms is a time with three digits.
func ms(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// table has a row for each case and element type, with the medians of contestants in ms.
func (p *page) table(titles, who []string) string {
	var b strings.Builder
	fmt.Fprintf(&b,
		"| case | type | set | %s | ratio | interval | of products' rate |\n|---|---|---|%s--:|---|--:|\n",
		strings.Join(who, " | "), strings.Repeat("--:|", len(who)))
	for _, isa := range p.isas {
		for _, title := range titles {
			for _, dtype := range []string{"float32", "float64"} {
				own := p.find(title, dtype, isa, "godcem")
				if own == nil {
					continue
				}
				fmt.Fprintf(&b, "| %s | %s | %s |", title, dtype, isa)
				for _, w := range who {
					if r := p.find(title, dtype, isa, w); r != nil {
						fmt.Fprintf(&b, " %s |", ms(r.Median))
					} else {
						b.WriteString(" |")
					}
				}
				if r := p.ratio(title, dtype, isa, ""); r == nil {
					b.WriteString(" | |")
				} else {
					fmt.Fprintf(&b, " %s | %s |", digits(r.Median), interval(r))
				}
				if peak := p.peak(isa); own.Flops > 0 && peak > 0 && dtype == "float32" {
					fmt.Fprintf(&b, " %.0f%%", 100*own.Flops/own.Median/1e6/peak)
				}
				b.WriteString(" |\n")
			}
		}
	}
	return b.String()
}

func (p *page) steps() string {
	var titles []string
	for _, t := range p.titles("regression", "cartpole") {
		if w := strings.Fields(t); len(w) == 2 && slices.Contains([]string{"B=1", "B=16", "B=100"}, w[1]) {
			titles = append(titles, t)
		}
	}
	return p.table(append(titles, p.titles("net", "plan")...), []string{"godcem", "torch", "compile", "jax", "gomlx",
		"tape"})
}

func (p *page) kernels() string {
	titles := p.titles("limit", "sgemm", "lml", "topk", "refit", "normal")
	for _, f := range functions {
		titles = append(titles, p.titles(f.name)...)
	}
	return p.table(append(titles, p.titles("atan2")...), []string{"godcem", "torch", "compile", "jax", "numpy"})
}

func (p *page) cold() string {
	return p.table(p.titles("cold start", "cold start,"), []string{"godcem", "torch", "compile", "jax"})
}

// where tells what bench/where said of some steps.
func (p *page) where() string {
	var b strings.Builder
	files, _ := filepath.Glob(filepath.Join(p.folder, "where-*.txt"))
	if len(files) == 0 {
		return "Not measured.\n"
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			fmt.Fprintf(&b, "%v\n\n", err)
			continue
		}
		b.WriteString(whereTable(string(raw)))
	}
	return b.String()
}

// whereColumns are those of bench/where's table behind the step's name: how often, mean and least ms, share, rate,
// share of the products' rate in the near caches, and memory's rate.
const whereColumns = 7

// whereTable is bench/where's table as one of Markdown, of the steps with 1 % of the time or more.
func whereTable(text string) string {
	var b strings.Builder
	lines := strings.Split(strings.TrimSpace(text), "\n")
	fmt.Fprintf(&b,
		"%s:\n\n| steps | times | ms, least | share | Gflop/s | of the near caches' | GB/s |\n|---|--:|--:|--:|--:|--:|--:|\n",
		strings.TrimSpace(lines[0]))
	for _, line := range lines[1:] {
		w := strings.Fields(line)
		n := len(w) - whereColumns
		var share float64
		if n < 1 {
			continue
		}
		if _, err := fmt.Sscanf(w[n+3], "%f%%", &share); err != nil || share < 1 {
			continue
		}
		name := strings.ReplaceAll(strings.Join(w[:n], " "), "|", "/")
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", name, w[n], w[n+2], w[n+3], w[n+4], w[n+5], w[n+6])
	}
	return b.String() + "\n"
}
