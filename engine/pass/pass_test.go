package pass

import (
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
	if again, r2, err := run(h, named(t, strings.Fields(names)...), Options{Verify: true}); err != nil || again != h || len(r2) > len(names)+1 {
		t.Errorf("a second run of %s changed %s to %s (%d reports, error %v)", names, h, again, len(r2), err)
	}
	if last := reports[len(reports)-1]; last.After != len(h.Nodes) {
		t.Errorf("the last report counts %d nodes, want %d", last.After, len(h.Nodes))
	}
	for _, special := range []bool{false, true} {
		same(t, g, h, special, !strings.Contains(text, " = pad "))
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
