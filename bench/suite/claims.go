package main

import (
	"fmt"
	"slices"
	"strings"
)

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

// A verdict on a claim.
const (
	met           = "met"
	perhapsMet    = "met, but not for sure"
	missed        = "**missed**"
	perhapsMissed = "**missed**, but not for sure"
)

// verdictOf judges a ratio: it is for sure if the interval is on one side of the bound.
func verdictOf(r *ratio, bound float64) string {
	switch {
	case r.High <= bound:
		return met
	case r.Median <= bound:
		return perhapsMet
	case r.Low <= bound:
		return perhapsMissed
	}
	return missed
}

func (p *page) claims() string {
	var b strings.Builder
	b.WriteString("| case | against | set | ratio | interval | at most | |\n|---|---|---|--:|---|--:|---|\n")
	for _, isa := range p.isas {
		for _, c := range claimsOf() {
			against := c.against
			if against == "" {
				against = "best of three"
			}
			fmt.Fprintf(&b, "| %s, %s | %s | %s |", c.title, c.dtype, against, isa)
			bound, claimed := c.bound[isa]
			r := p.ratio(c.title, c.dtype, isa, c.against)
			switch {
			case r == nil:
				fmt.Fprintf(&b, " not measured | | %g | |\n", bound)
			case !claimed:
				fmt.Fprintf(&b, " %s | %s | | |\n", digits(r.Median), interval(r))
			default:
				fmt.Fprintf(&b, " %s | %s | %g | %s |\n", digits(r.Median), interval(r), bound, verdictOf(r, bound))
			}
		}
	}
	return b.String()
}

// ratio is godcem's time over a contestant's, within rounds; over the best of the Python peers' if against is "". It
// is nil where that was not measured.
func (p *page) ratio(title, dtype, isa, against string) *ratio {
	own := p.find(title, dtype, isa, "godcem")
	if own == nil {
		return nil
	}
	if against == "" {
		return own.Ratio
	}
	return own.Over[against]
}

// digits is a ratio with two digits.
func digits(v float64) string {
	if v < 0.1 {
		return fmt.Sprintf("%.2g", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func interval(r *ratio) string { return digits(r.Low) + " to " + digits(r.High) }

// reason is how the line of the page begins that says why a claim is missed.
func (c claim) reason(isa string) string { return fmt.Sprintf("- %s, %s, %s:", c.title, c.dtype, isa) }

// unexplained are the claims that are missed without a word about it on the page, and the words about those that are
// met.
func (p *page) unexplained(text string) (all []string) {
	lines := strings.Split(text, "\n")
	for _, isa := range p.isas {
		for _, c := range claimsOf() {
			r := p.ratio(c.title, c.dtype, isa, c.against)
			bound, claimed := c.bound[isa]
			if r == nil || !claimed {
				continue
			}
			told := slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, c.reason(isa)) })
			switch {
			case r.Median > bound && !told:
				all = append(all, fmt.Sprintf("no line begins with %q: it is missed (%s, at most %g)", c.reason(isa),
					digits(r.Median), bound))
			case r.Median <= bound && told:
				all = append(all, fmt.Sprintf("the line that begins with %q is about what is met now", c.reason(isa)))
			}
		}
	}
	return all
}

// absent says who is not in which cases, and why.
func (p *page) absent() string {
	type key struct{ who, why, where string }
	cases := map[key][]string{}
	var order []key
	for _, r := range p.all {
		for who, why := range r.Absent {
			k := key{who, logs.ReplaceAllString(why, ""), r.Dtype + ", " + r.ISA}
			if cases[k] == nil {
				order = append(order, k)
			}
			cases[k] = append(cases[k], r.title())
		}
	}
	if len(order) == 0 {
		return "Nobody is left out.\n"
	}
	slices.SortFunc(order, func(a, b key) int { return strings.Compare(a.who+a.why+a.where, b.who+b.why+b.where) })
	var b strings.Builder
	for _, k := range order {
		text := fmt.Sprintf("- %s in %s (%s): %s", k.who, strings.Join(cases[k], ", "), k.where, k.why)
		b.WriteString(strings.ReplaceAll(strings.TrimSpace(wrap(text)), "\n", "\n  ") + "\n")
	}
	return b.String()
}
