package engine_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/format"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine"
)

// standIns are what Gorgonia's examples call instead of the functions of these names.
const standIns = `package upstream

import (
	"github.com/godcem/godcem/engine"
	. "gorgonia.org/gorgonia"
)

func NewTapeMachine_(g *ExprGraph, opts ...engine.Option) VM {
	vm, err := engine.NewVM(g, opts...)
	if err != nil {
		panic(err)
	}
	return vm
}

func BindDualValues_(nodes ...*Node) engine.Option { return engine.BindDualValues(nodes...) }

// Values are never overwritten here: there is nothing to ask for.
func TraceExec_() engine.Option { return engine.Disable() }
`

// The examples of Gorgonia's documentation print what they say they print with a VM in place of every TapeMachine.
// Left out: one whose op writes to its operands, and one with random data that fails with the TapeMachine as well.
func TestGorgoniasExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a package: not in short runs")
	}
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "gorgonia.org/gorgonia").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "example_*_test.go"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files of examples, %v", len(files), err)
	}
	here, err := filepath.Abs("upstream")
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	overlay := map[string]map[string]string{"Replace": {}}
	add := func(name string, text []byte) {
		t.Helper()
		file := filepath.Join(tmp, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		overlay["Replace"][filepath.Join(here, name)] = file
	}
	add("standins_test.go", []byte(standIns))
	for _, f := range files {
		add(filepath.Base(f), onEngine(t, f))
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	replace := filepath.Join(tmp, "overlay.json")
	if err := os.WriteFile(replace, list, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(tmp, "upstream.test")
	c := exec.Command("go", "test", "-c", "-vet=off", "-overlay", replace, "-o", program, "./upstream")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	c = exec.Command(program, "-test.v", "-test.skip", "^Example_(iop|linearRegression)$")
	c.Dir, c.Env = tmp, append(os.Environ(), engine.DeviceEnv+"=") // it is built without the tag gpu
	out, err := c.CombinedOutput()
	if passed := bytes.Count(out, []byte("--- PASS: Example")); err != nil || passed < 16 {
		t.Errorf("%d examples passed, %v:\n%s", passed, err, out)
	}
}

// onEngine is a file of examples with the stand-ins in the place of Gorgonia's functions, and without tests.
func onEngine(t *testing.T, file string) []byte {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	f.Name.Name = "upstream"
	var kept []ast.Decl
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); !ok || !strings.HasPrefix(fn.Name.Name, "Test") {
			kept = append(kept, d)
		}
	}
	f.Decls = kept
	used := map[string]bool{}
	for _, d := range f.Decls {
		ast.Inspect(d, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				used[id.Name] = true
				switch id.Name {
				case "NewTapeMachine", "BindDualValues", "TraceExec":
					id.Name += "_"
				}
			}
			return true
		})
	}
	// Examples inside package gorgonia import it now, and none imports what only its tests used.
	var b bytes.Buffer
	b.WriteString("package upstream\n\nimport . \"gorgonia.org/gorgonia\"\n")
	for _, s := range f.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if p != "gorgonia.org/gorgonia" && used[path.Base(p)] {
			b.WriteString("import " + s.Path.Value + "\n")
		}
	}
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
			continue
		}
		b.WriteString("\n")
		if err := format.Node(&b, set, &printer.CommentedNode{Node: d, Comments: f.Comments}); err != nil {
			t.Fatal(err)
		}
		b.WriteString("\n")
	}
	return b.Bytes()
}
