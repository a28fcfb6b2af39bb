package pass

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/ir"
)

func parse(t testing.TB, text string) *ir.Graph {
	t.Helper()
	g, err := ir.Parse(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return g
}

// named returns the passes of those names, and dead, in the table's order.
func named(t testing.TB, names ...string) []Pass {
	t.Helper()
	var table []Pass
	for _, p := range Table {
		for _, name := range append(names, "dead") {
			if p.Name == name {
				table = append(table, p)
			}
		}
	}
	if len(table) != len(names)+1 {
		t.Fatalf("passes %v: one is not in the table", names)
	}
	return table
}

// becomes runs passes by name, and dead, on the lines of a graph, and compares text and values. Lines are trimmed.
func becomes(t *testing.T, names, before, after string) {
	t.Helper()
	becomesWithin(t, names, before, after, 0)
}

// becomesWithin is becomes with a tolerance for the values of inputs in (-2, 2); others are not tried.
func becomesWithin(t *testing.T, names, before, after string, tol float64) {
	t.Helper()
	g := parse(t, trim(before))
	text := g.String()
	h, reports, err := run(g, named(t, strings.Fields(names)...), Options{Verify: true})
	if err != nil {
		t.Errorf("%v in\n%s", err, before)
		return
	}
	if got := h.String(); got != trim(after) {
		t.Errorf("%s\nmade\n%swant\n%s", text, got, trim(after))
	}
	if g.String() != text {
		t.Errorf("%s\nwas changed in place to\n%s", text, g)
	}
	again, r2, err := run(h, named(t, strings.Fields(names)...), Options{Verify: true})
	if err != nil || again != h || len(r2) > len(names)+1 {
		t.Errorf("a second run of %s changed %s to %s (%d reports, error %v)", names, h, again, len(r2), err)
	}
	if last := reports[len(reports)-1]; last.After != len(h.Nodes) {
		t.Errorf("the last report counts %d nodes, want %d", last.After, len(h.Nodes))
	}
	for _, special := range []bool{false, true} {
		if !special || tol == 0 {
			within(t, g, h, special, !strings.Contains(text, " = pad "), tol)
		}
	}
}

func trim(text string) string {
	var s strings.Builder
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			s.WriteString(line + "\n")
		}
	}
	return s.String()
}

func TestTableKeepsItsOrder(t *testing.T) {
	for _, c := range Order {
		if c.Why == "" {
			t.Errorf("%s before %s: no reason", c.Before, c.After)
		}
	}
	for i, p := range Table {
		if p.Why == "" || p.Run == nil {
			t.Errorf("pass %d, %s: no reason or nothing to run", i, p.Name)
		}
	}
	swapped := slices.Clone(Table)
	slices.Reverse(swapped)
	if err := checkOrder(swapped, Order); err == nil ||
		!strings.Contains(err.Error(), "canonicalise must run before fold: ") {
		t.Errorf("a table in the wrong order: error %v, want one that gives the reason", err)
	}
	if err := checkOrder(Table, []Constraint{{"cse", "nonsense", "why"}}); err == nil {
		t.Error("a constraint on a pass that is not there: no error")
	}
	if err := checkOrder([]Pass{Table[0], Table[0]}, nil); err == nil {
		t.Error("two passes of one name: no error")
	}
}

func TestOptions(t *testing.T) {
	g := parse(t, trim(`%0 = input f64[2] "x"
		%1 = neg f64[2] %0
		%2 = neg f64[2] %1
		outputs %2`))
	if _, _, err := Run(g, Options{Disable: []string{"dead", "deed"}}); err == nil ||
		!strings.Contains(err.Error(), `"deed"`) ||
		!strings.Contains(err.Error(), strings.Join(Names(), ", ")) {
		t.Errorf("an unknown pass: error %v, want one with all names", err)
	}
	var seen []string
	h, reports, err := Run(g, Options{Watch: func(name string, h *ir.Graph) {
		seen = append(seen, name)
		if err := h.Verify(); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}})
	if err != nil || len(h.Nodes) != 1 {
		t.Fatalf("error %v, graph\n%s", err, h)
	}
	var names []string
	for i, r := range reports {
		names = append(names, r.Name)
		if i > 0 && r.Before != reports[i-1].After || r.Visits < r.After || r.Took < 0 {
			t.Errorf("report %d: %+v after %+v", i, r, reports[i-1])
		}
	}
	if !slices.Equal(seen, names) || !slices.Equal(seen[:len(Table)], Names()) {
		t.Errorf("watched %v, reported %v, want first %v", seen, names, Names())
	}
	seen = nil
	if h, _, err = Run(g, Options{Disable: Names()}); err != nil || h != g {
		t.Errorf("without any pass: error %v, graph\n%s", err, h)
	}
}

// TestVerifyNamesThePass plants passes that break a graph in each way that is looked for.
func TestVerifyNamesThePass(t *testing.T) {
	g := parse(t, trim(`%0 = input f64[2] "w" resident
		%1 = neg f64[2] %0
		%2 = sum f64[] %1 axes(0)
		%3 = input f64[2] "v" resident
		outputs %1, %0
		update params(%0) grads(%1) loss(%2) "sgd"`))
	for what, harm := range map[string]func(g *ir.Graph){
		"want a node before it": func(g *ir.Graph) { g.Nodes[1].In[0] = 1 },
		"output 0":              func(g *ir.Graph) { g.Outputs[0] = 2 },
		"output 1":              func(g *ir.Graph) { g.Outputs[1] = 3 },
		"2 outputs became 3":    func(g *ir.Graph) { g.Outputs = append(g.Outputs, 1) },
		"1 updates became 0":    func(g *ir.Graph) { g.Updates = nil },
		"parameter 0":           func(g *ir.Graph) { g.Updates[0].Params[0] = 3 },
		"loss 0":                func(g *ir.Graph) { g.Updates[0].Loss = -1 },
		"1 parameters became 0": func(g *ir.Graph) { g.Updates[0].Params, g.Updates[0].Grads = nil, nil },
	} {
		harmful := Pass{"harmful", "to be caught", func(g *ir.Graph) (*ir.Graph, Work) {
			g = g.Clone()
			harm(g)
			return g, Work{Changed: 1}
		}}
		_, _, err := run(g, []Pass{harmful}, Options{Verify: true})
		if err == nil || !strings.Contains(err.Error(), "pass: after harmful: ") || !strings.Contains(err.Error(), what) {
			t.Errorf("error %v, want one that names the pass and says: %s", err, what)
		}
	}
	g.Nodes[1].Op = ir.Invalid
	if _, _, err := Run(g, Options{Verify: true}); err == nil ||
		!strings.Contains(err.Error(), "before the first pass") {
		t.Errorf("a broken graph to begin with: error %v", err)
	}
}

var errKernel = errors.New("kernel failed")

type brittle struct{}

func (brittle) String() string       { return "brittle" }
func (brittle) Run(any, []any) error { return errKernel }

// TestNeverRunsKernels: kernels of constants are not folded, nor merged if they have effects; unneeded ones go.
func TestNeverRunsKernels(t *testing.T) {
	b := ir.NewBuilder()
	c := b.Scalar(ir.F64, 1)
	x, y := b.Custom(brittle{}, ir.F64, nil, c), b.Custom(brittle{}, ir.F64, nil, c)
	counted := testKernel{2, true}
	p, q := b.Custom(counted, ir.F64, nil, c), b.Custom(counted, ir.F64, nil, c)
	b.Custom(counted, ir.F64, nil, c)
	b.Output(x, y, p, q)
	h, _, err := Run(b.G, Options{Verify: true})
	if err != nil || b.Err() != nil {
		t.Fatal(err, b.Err())
	}
	const want = `%0 = const f64[] {1}
%1 = custom f64[] "brittle" %0
%2 = custom f64[] "times 2 true" effects %0
%3 = custom f64[] "times 2 true" effects %0
outputs %1, %1, %2, %3
`
	if got := h.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
