package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcem/godcem/bench/step"
	"gorgonia.org/tensor"
)

// A page is doc/benchmarks.md, whose tables between markers are written from the record.
type page struct {
	all    []result
	isas   []string
	folder string // of what bench/where said
}

const (
	docFile   = "doc/benchmarks.md"
	figures   = "doc/img"
	beginMark = "<!-- from the record: %s -->"
	endMark   = "<!-- end -->"
)

// report writes the tables of doc/benchmarks.md and the figures from the record.
func report(path string) error {
	all, err := load(path)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("%s has no results", path)
	}
	p := &page{all: all, folder: filepath.Dir(path)}
	for _, r := range all {
		if !slices.Contains(p.isas, r.ISA) {
			p.isas = append(p.isas, r.ISA)
		}
	}
	text, err := os.ReadFile(docFile)
	if err != nil {
		return err
	}
	for name, section := range map[string]func() string{"machine": p.machine, "claims": p.claims, "steps": p.steps,
		"kernels": p.kernels,
		"cold":    p.cold, "scaling": p.scaling, "where": p.where} {
		if text, err = replace(text, name, section()); err != nil {
			return err
		}
	}
	if err := os.WriteFile(docFile, text, 0o644); err != nil {
		return err
	}
	return p.draw()
}

// replace puts a text between the markers of that name.
func replace(text []byte, name, section string) ([]byte, error) {
	begin := []byte(fmt.Sprintf(beginMark, name) + "\n")
	i := bytes.Index(text, begin)
	if i < 0 {
		return nil, fmt.Errorf("%s has no line %q", docFile, bytes.TrimSpace(begin))
	}
	i += len(begin)
	n := bytes.Index(text[i:], []byte(endMark))
	if n < 0 {
		return nil, fmt.Errorf("%s: no %q after %q", docFile, endMark, bytes.TrimSpace(begin))
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
		if m, c := p.find(limitMatmul, "float32", isa, "godcem"), p.find(limitMemory, "float32", isa,
			"godcem"); m != nil && c != nil {
			fmt.Fprintf(&b, "With %s the best product of %d x %d matrices here reaches %.0f Gflop/s", isa, limitSide,
				limitSide, p.peak(isa))
			fmt.Fprintf(&b, ", copying %.1f GB/s. ", c.Bytes/c.Median/1e6)
		}
	}
	fmt.Fprintf(&b, "Commit %s. Versions: %s. Measured from %s.\n", about(func(r result) string { return r.Commit }),
		about(func(r result) string { return r.Version }),
		slices.MinFunc(p.all, func(a, b result) int { return strings.Compare(a.Time, b.Time) }).Time)
	return b.String()
}

// peak is the rate of the best product of square matrices, in Gflop/s; 0 without.
func (p *page) peak(isa string) (best float64) {
	for _, r := range p.all {
		if r.Case == limitMatmul && r.ISA == isa {
			best = max(best, r.Flops/r.Median/1e6)
		}
	}
	return best
}

// A claim is a bound on a ratio, by instruction set.
type claim struct {
	title, dtype, against string // against "": the best of PyTorch, torch.compile and JAX
	bound                 map[string]float64
}

func claimsOf() (all []claim) {
	add := func(title, dtype, against string, avx512, avx2 float64) {
		all = append(all, claim{title, dtype, against, map[string]float64{"avx512": avx512, "avx2": avx2}})
	}
	for i, batch := range []int{1, 16, 100} {
		add(fmt.Sprintf("regression B=%d", batch), "float32", "", 0.5, []float64{0.5, 0.7, 0.8}[i])
	}
	for i, batch := range []int{1, 16, 100} {
		add(fmt.Sprintf("cartpole B=%d", batch), "float32", "", 0.5, []float64{0.6, 0.7, 0.8}[i])
	}
	add("sgemm 10000x128x128", "float32", "torch", 0.7, 1.1)
	add("sgemm 1000x256x256", "float32", "torch", 0.7, 1.1)
	for _, s := range []string{"10000x2x128", "100x128x128", "1000x256x20"} {
		add("sgemm "+s, "float32", "torch", 1, 1.1)
	}
	add("lml 100x100 k=10", "float32", "", 0.2, 0.2)
	add("cold start B=1", "float32", "jax", 0.15, 0.15)
	add("regression B=100", "float64", "", 0.7, 0.9)
	return all
}

// over is godcem's time over a contestant's, within rounds; 0 where it was not measured.
func (p *page) over(title, dtype, isa, against string) (ratio float64, interval string) {
	own := p.find(title, dtype, isa, "godcem")
	if own == nil {
		return 0, ""
	}
	if against == "" {
		if own.Ratio == nil {
			return 0, ""
		}
		return own.Ratio.Median, fmt.Sprintf("%.2f to %.2f", own.Ratio.Low, own.Ratio.High)
	}
	r := own.Over[against]
	if r == nil {
		return 0, ""
	}
	return r.Median, fmt.Sprintf("%.2f to %.2f", r.Low, r.High)
}

// ms is a time with three digits.
func ms(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func (p *page) claims() string {
	var b strings.Builder
	b.WriteString("| case | against |")
	for _, isa := range p.isas {
		fmt.Fprintf(&b, " %s | interval | at most |", isa)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("--:|---|--:|", len(p.isas)) + "\n")
	for _, c := range claimsOf() {
		against := c.against
		if against == "" {
			against = "best of three"
		}
		fmt.Fprintf(&b, "| %s, %s | %s |", c.title, c.dtype, against)
		for _, isa := range p.isas {
			ratio, interval := p.over(c.title, c.dtype, isa, c.against)
			text := fmt.Sprintf("%.2f", ratio)
			if ratio < 0.1 {
				text = fmt.Sprintf("%.2g", ratio)
			}
			switch {
			case ratio == 0:
				text = "not measured"
			case ratio > c.bound[isa] && c.bound[isa] > 0:
				text = "**" + text + "**"
			}
			fmt.Fprintf(&b, " %s | %s | %g |", text, interval, c.bound[isa])
		}
		b.WriteString("\n")
	}
	return b.String()
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
				ratio, interval := p.over(title, dtype, isa, "")
				if ratio == 0 {
					b.WriteString(" | |")
				} else {
					fmt.Fprintf(&b, " %.2f | %s |", ratio, interval)
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

// An axis is a size that scales.
type axis struct {
	model, letter string
	sizes         []int
}

func axes() []axis {
	return []axis{{"regression", "B", []int{16, 32, 64, 100, 128}}, {"regression", "N", []int{50, 100, 200, 400}},
		{"regression", "T", []int{5, 10, 20}},
		{"cartpole", "B", []int{16, 32, 64, 100, 128}}, {"cartpole", "N", []int{50, 100, 200, 400}},
		{"cartpole", "T", []int{5, 10, 20}},
		{"cartpole", "H", []int{10, 20, 40}}, {"cartpole", "D", []int{2, 8, 32}}}
}

// of is the case with that size.
func (a axis) of(size int) step.Case {
	c := step.Case{Model: a.model, Batch: 16, Dtype: tensor.Float32}
	switch a.letter {
	case "B":
		c.Batch = size
	case "N":
		c.Samples = size
	case "T":
		c.Iterations = size
	case "H":
		c.Horizon = size
	case "D":
		c.Dim = size
	}
	return c
}

// title is the case's with that size.
func (a axis) title(size int) string {
	c := a.of(size)
	return result{Case: c.Name(), Batch: c.Batch}.title()
}

// scaling compares the time for each unit of a size with that at the size from which it should be the same.
func (p *page) scaling() string {
	var b strings.Builder
	measured := false
	b.WriteString("| step, float32, " + p.isas[0] + " | size | godcem, ms | torch | jax | godcem's time for a unit, over that of the row above |\n|---|--:|--:|--:|--:|--:|\n")
	for _, a := range axes() {
		if slices.IndexFunc(a.sizes, func(n int) bool {
			return p.find(a.title(n), "float32", p.isas[0],
				"godcem") == nil
		}) >= 0 {
			continue // not all of them are measured
		}
		measured = true
		first := 0.0
		for _, size := range a.sizes {
			own := p.find(a.title(size), "float32", p.isas[0], "godcem")
			if own == nil {
				continue
			}
			fmt.Fprintf(&b, "| %s | %s=%d | %.4g |", a.model, a.letter, size, own.Median)
			for _, w := range []string{"torch", "jax"} {
				if r := p.find(a.title(size), "float32", p.isas[0], w); r != nil {
					fmt.Fprintf(&b, " %.4g |", r.Median)
				} else {
					b.WriteString(" |")
				}
			}
			unit := own.Median / float64(size)
			if first == 0 {
				b.WriteString(" |\n")
			} else {
				fmt.Fprintf(&b, " %.2f |\n", unit/first)
			}
			first = unit
		}
	}
	if !measured {
		return "Not measured.\n"
	}
	return b.String()
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
// share of the peak, and memory's rate.
const whereColumns = 7

// whereTable is bench/where's table as one of Markdown, of the steps with 1 % of the time or more.
func whereTable(text string) string {
	var b strings.Builder
	lines := strings.Split(strings.TrimSpace(text), "\n")
	fmt.Fprintf(&b,
		"%s:\n\n| steps | times | ms, least | share | Gflop/s | of peak | GB/s |\n|---|--:|--:|--:|--:|--:|--:|\n",
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
