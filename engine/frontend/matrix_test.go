package frontend

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

var update = flag.Bool("update", false, "rewrite the support matrix in doc/ops.md")

// elsewhere are the constructors without a case, and what is done about them.
var elsewhere = map[string]string{
	"UniformRandomNode":  "TestRandomNodes",
	"GaussianRandomNode": "TestRandomNodes",
	"BinomialRandomNode": "TestRandomNodes",
	"Grad":               "the gradients of every case",
	"Backpropagate":      "what Grad calls",
	"NewUniqueNode":      "a node of any op: the cases of the ops",
	"NodesFromInputs":    "collects nodes",
	"Sort":               "orders nodes",
	"UnstableSort":       "orders nodes",
}

// source parses the files of Gorgonia that are built here.
func source(t *testing.T) []*ast.File {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=Dir,GoFiles", gorgonia).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", gorgonia, err)
	}
	var pkg struct {
		Dir     string
		GoFiles []string
	}
	if err := json.Unmarshal(out, &pkg); err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range pkg.GoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(pkg.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// constructors lists Gorgonia's exported functions that return nodes.
func constructors(t *testing.T) (names []string) {
	for _, f := range source(t) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !fn.Name.IsExported() || fn.Type.Results == nil {
				continue
			}
			for _, r := range fn.Type.Results.List {
				if typ := expr(r.Type); typ == "*Node" || typ == "Nodes" {
					names = append(names, fn.Name.Name)
					break
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func expr(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return "*" + expr(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// TestEveryConstructorHasACase: of those that are in Gorgonia's source none may be forgotten.
func TestEveryConstructorHasACase(t *testing.T) {
	have := map[string]bool{}
	for _, c := range opCases() {
		have[c.fn] = true
	}
	names := constructors(t)
	if len(names) < 100 {
		t.Errorf("only %d constructors found", len(names))
	}
	for _, n := range names {
		_, other := elsewhere[n]
		if have[n] == other {
			t.Errorf("gorgonia.%s: case %v, elsewhere %v, want one of the two", n, have[n], other)
		}
		delete(have, n)
	}
	for n := range have {
		t.Errorf("gorgonia.%s has a case, but Gorgonia has no such constructor", n)
	}
}

// notRows are the ops of Gorgonia that no row is for.
var notRows = map[string]string{
	"readOp":         "a statement",
	"letOp":          "a statement",
	"constantScalar": "a constant",
	"constantTensor": "a constant",
	"devTrans":       "never in a graph",
	"clampOp":        "no constructor, no Do",
	"ExternalOp":     "the LispMachine's; on the host",
}

// TestEveryOpHasARow: every type of Gorgonia with a Do is in the table, and the table has no others.
func TestEveryOpHasARow(t *testing.T) {
	ops := map[string]bool{}
	embeds := map[string]string{} // types whose Do is that of the type they embed
	for _, f := range source(t) {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil && d.Name.Name == "WriteHash" {
					ops[strings.TrimPrefix(expr(d.Recv.List[0].Type), "*")] = true
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					ts, ok := s.(*ast.TypeSpec)
					if !ok {
						continue
					}
					if st, ok := ts.Type.(*ast.StructType); ok && len(st.Fields.List) == 1 && st.Fields.List[0].Names == nil {
						embeds[ts.Name.Name] = strings.TrimPrefix(expr(st.Fields.List[0].Type), "*")
					}
				}
			}
		}
	}
	for name, base := range embeds {
		if ops[base] {
			ops[name] = true
		}
	}
	delete(ops, "Node")
	if len(ops) < 40 {
		t.Errorf("only %d ops found", len(ops))
	}
	for name := range ops {
		_, row := rows[name]
		_, not := notRows[name]
		if row == not {
			t.Errorf("op %s: row %v, not a row %v, want one of the two", name, row, not)
		}
	}
	for name := range rows {
		if !ops[name] {
			t.Errorf("there is a row for %s, but Gorgonia has no such op", name)
		}
	}
}

// TestMatrix writes the support matrix into doc/ops.md, or checks that it is what it was.
func TestMatrix(t *testing.T) {
	const (
		file  = "../../doc/ops.md"
		begin = "<!-- matrix: go test ./engine/frontend -run TestMatrix -update -->\n"
		end   = "<!-- end of matrix -->\n"
	)
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(old), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the lines %q and %q", file, begin, end)
	}
	text := head + begin + matrix(t) + end + tail
	if text == string(old) {
		return
	}
	if !*update {
		t.Fatalf("%s is out of date: go test ./engine/frontend -run TestMatrix -update", file)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func matrix(t *testing.T) string {
	var order []string
	byName := map[string][]opCase{}
	for _, c := range opCases() {
		if byName[c.fn] == nil {
			order = append(order, c.fn)
		}
		byName[c.fn] = append(byName[c.fn], c)
	}
	for n, test := range elsewhere {
		if test == "TestRandomNodes" {
			order = append(order, n)
		}
	}
	slices.Sort(order)
	var b strings.Builder
	b.WriteString("| constructor | float32 | float64 | gorgonia.Grad | autodiff | notes |\n|--|--|--|--|--|--|\n")
	for _, fn := range order {
		cases := byName[fn]
		if cases == nil {
			fmt.Fprintf(&b,
				"| %s | host: randomOp | host: randomOp | - | - | drawn anew in each run, as Gorgonia draws |\n", fn)
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", fn, support(t, cases, tensor.Float32),
			support(t, cases, tensor.Float64),
			derivative(t, cases, &gradients[0]), derivative(t, cases, &gradients[1]), notes(cases))
	}
	return b.String()
}

// hosts lists the ops of a module that run on the host.
func hosts(m *Module) (names []string) {
	for i := range m.Graph.Nodes {
		if k, ok := m.Graph.Nodes[i].Attr.(*hostOp); ok {
			names = append(names, opName(k.op))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func describe(hosts []string) string {
	if len(hosts) == 0 {
		return "compiled"
	}
	return "host: " + strings.Join(hosts, ", ")
}

// support says how the values of a constructor's cases are computed.
func support(t *testing.T, cases []opCase, dt tensor.Dtype) string {
	var names []string
	for _, c := range cases {
		_, m, err := c.imported(dt, nil)
		if err != nil {
			t.Fatalf("%v: %v", &c, err)
		}
		if f := c.fault(byValue, dt); f != "" && len(cases) == 1 && c.want == nil {
			return "no: " + f
		}
		names = append(names, hosts(m)...)
	}
	slices.Sort(names)
	return describe(slices.Compact(names))
}

// derivative says the same of their gradients, in float64.
func derivative(t *testing.T, cases []opCase, d *gradient) string {
	var names []string
	done, none := 0, 0
	for _, c := range cases {
		if c.flat {
			continue
		}
		_, m, err := c.imported(tensor.Float64, d)
		if err != nil {
			if c.fault(d.name, tensor.Float64) == "" {
				t.Fatalf("%v: %v", &c, err)
			}
			none++
			continue
		}
		done++
		_, v, err := c.imported(tensor.Float64, nil)
		if err != nil {
			t.Fatalf("%v: %v", &c, err)
		}
		for _, n := range hosts(m) {
			if !slices.Contains(hosts(v), n) {
				names = append(names, n)
			}
		}
	}
	switch {
	case done+none == 0:
		return "-"
	case done == 0:
		return "none"
	}
	slices.Sort(names)
	s := describe(slices.Compact(names))
	if none > 0 {
		s += fmt.Sprintf("; none in %d of %d cases", none, done+none)
	}
	return s
}

// notes lists the notes and faults of a constructor's cases.
func notes(cases []opCase) string {
	var lines []string
	say := func(format string, args ...any) {
		if s := fmt.Sprintf(format, args...); !slices.Contains(lines, s) {
			lines = append(lines, s)
		}
	}
	for _, c := range cases {
		if c.note != "" {
			say("%s", c.note)
		}
		var keys []string
		for k := range c.faults {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			what, dt, _ := strings.Cut(k, " ")
			if what != byValue && c.faults[byValue] == c.faults[k] || dt != "" { // said already
				continue
			}
			s := map[string]string{byValue: "the TapeMachine: ", byGrad: "gorgonia.Grad: ",
				byGradients: "autodiff: "}[what] + c.faults[k]
			say("%s", s)
		}
	}
	return strings.Join(lines, "; ")
}
