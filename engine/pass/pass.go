// Package pass improves graphs: it rewrites an ir.Graph into one that computes the same values with less work.
//
// The passes stand in a literal table, in the order in which they run; the table is repeated until a whole round of
// it changes nothing. Elementwise values keep their bits, NaN, infinities and zeros of both signs included (the sign
// and the payload of a NaN are nobody's), with these exceptions: constants folded through functions like exp are
// rounded as Go's package math does; powers of 2, 3 and -1 become products and quotients; -0 may survive where it met
// the zeros of a pad or a sum of one element. Sums that become one sum may round differently.
package pass

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/godcem/godcem/engine/ir"
)

// A Pass rewrites a graph. Run leaves its argument alone; it returns the same graph where it changes nothing.
type Pass struct {
	Name string
	Why  string // what it is for, and what it may change
	Run  func(g *ir.Graph) (*ir.Graph, Work)
}

// Work is what a pass did.
type Work struct {
	Changed int // nodes replaced or removed
	Visits  int // nodes looked at: the measure of its cost
}

// A Constraint says that one pass must stand before another in the table.
type Constraint struct{ Before, After, Why string }

// Options of Run. The zero value runs every pass.
type Options struct {
	Disable []string // names of passes to leave out
	Verify  bool     // check the graph after every pass
	// Watch, if not nil, is called after every pass that ran.
	Watch func(name string, g *ir.Graph)
}

// A Report tells what one run of a pass did. Before and After are numbers of nodes.
type Report struct {
	Name          string
	Round         int // of the table, from 1
	Before, After int
	Work
	Took time.Duration
}

// rounds bounds the repetitions of the table. What one round leaves is small; two change and one confirms.
const rounds = 8

func init() {
	if err := checkOrder(Table, Order); err != nil {
		panic(err)
	}
}

// checkOrder reports a constraint that a table breaks, or a name in it that no pass or two passes have.
func checkOrder(table []Pass, order []Constraint) error {
	at := make(map[string]int, len(table))
	for i, p := range table {
		if _, twice := at[p.Name]; twice {
			return fmt.Errorf("pass: two passes are called %q", p.Name)
		}
		at[p.Name] = i
	}
	for _, c := range order {
		before, ok1 := at[c.Before]
		after, ok2 := at[c.After]
		if !ok1 || !ok2 {
			return fmt.Errorf("pass: a constraint names %q and %q, want passes of the table", c.Before, c.After)
		}
		if before >= after {
			return fmt.Errorf("pass: %s must run before %s: %s", c.Before, c.After, c.Why)
		}
	}
	return nil
}

// Names lists the passes in order.
func Names() []string {
	names := make([]string, len(Table))
	for i, p := range Table {
		names[i] = p.Name
	}
	return names
}

// Run returns a graph with the same outputs and updates as g, which it leaves alone: Outputs[i] and the entries of
// Updates[i] mean the same values, of the same shapes and types. Nodes are renumbered; those that nothing needs are
// gone, inputs too. An error names an unknown pass in o.Disable or, with o.Verify, the pass that broke the graph.
func Run(g *ir.Graph, o Options) (*ir.Graph, []Report, error) {
	for _, name := range o.Disable {
		if !slices.ContainsFunc(Table, func(p Pass) bool { return p.Name == name }) {
			return nil, nil, fmt.Errorf("pass: no pass %q to disable, want one of %s", name, strings.Join(Names(), ", "))
		}
	}
	return run(g, Table, o)
}

func run(g *ir.Graph, table []Pass, o Options) (*ir.Graph, []Report, error) {
	var active []Pass
	for _, p := range table {
		if !slices.Contains(o.Disable, p.Name) {
			active = append(active, p)
		}
	}
	if o.Verify {
		if err := g.Verify(); err != nil {
			return nil, nil, fmt.Errorf("pass: before the first pass: %w", err)
		}
	}
	var reports []Report
	still := 0 // passes in a row that changed nothing: after a whole table of them another would not either
	for i := 0; i < rounds*len(active) && still < len(active); i++ {
		p := active[i%len(active)]
		start := time.Now()
		next, work := p.Run(g)
		reports = append(reports, Report{p.Name, 1 + i/len(active), len(g.Nodes), len(next.Nodes), work, time.Since(start)})
		if o.Verify {
			if err := preserved(g, next); err != nil {
				return nil, reports, fmt.Errorf("pass: after %s: %w", p.Name, err)
			}
		}
		if o.Watch != nil {
			o.Watch(p.Name, next)
		}
		if still++; work.Changed > 0 {
			still = 1 // it may find more in its own result, but a pass is asked again only after the others
		}
		g = next
	}
	return g, reports, nil
}

// preserved checks a pass's result: a sound graph whose outputs, updates and inputs are what they were.
func preserved(old, g *ir.Graph) error {
	if err := g.Verify(); err != nil {
		return err
	}
	same := func(what string, i int, a, b ir.ID) error {
		if a < 0 || b < 0 {
			if a != b {
				return fmt.Errorf("%s %d: node %d became %d", what, i, a, b)
			}
			return nil
		}
		x, y := &old.Nodes[a], &g.Nodes[b]
		if x.Type != y.Type || !slices.Equal(x.Shape, y.Shape) {
			return fmt.Errorf("%s %d: %s, %v%v, became %s, %v%v",
				what, i, old.Label(a), x.Type, x.Shape, g.Label(b), y.Type, y.Shape)
		}
		if x.Op == ir.Input && y.Op == ir.Input && x.Attr != y.Attr { // that a parameter is an input Verify has seen
			return fmt.Errorf("%s %d: %s became %s", what, i, old.Label(a), g.Label(b))
		}
		return nil
	}
	all := func(what string, a, b []ir.ID) error {
		if len(a) != len(b) {
			return fmt.Errorf("%d %ss became %d", len(a), what, len(b))
		}
		for i := range a {
			if err := same(what, i, a[i], b[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := all("output", old.Outputs, g.Outputs); err != nil {
		return err
	}
	if len(old.Updates) != len(g.Updates) {
		return fmt.Errorf("%d updates became %d", len(old.Updates), len(g.Updates))
	}
	for i := range g.Updates {
		u, v := &old.Updates[i], &g.Updates[i]
		if err := all("parameter", u.Params, v.Params); err != nil {
			return err
		}
		if err := all("gradient", u.Grads, v.Grads); err != nil {
			return err
		}
		if err := same("loss", i, u.Loss, v.Loss); err != nil {
			return err
		}
	}
	return nil
}
