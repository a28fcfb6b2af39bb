// Package arch holds the test of the import arrows.
package arch

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/godcem/godcem"

// levels lists the packages from top to bottom, by path prefix: an import may only point to a later line.
// Packages on one line may not import each other unless one's path is a prefix of the other's.
var levels = [][]string{
	{"cmd"},
	{"bench"},
	{"bench/record", "bench/step"},
	{"models/paper"},
	{"models/rl"},
	{"models/control"},
	{"models/energy/regression", "models/energy/bumps"},
	{"models/energy"},
	{"models/env"},
	{"models/train"},
	{"models/nn"},
	{"dcem"},
	{"engine"},
	{"engine/frontend"},
	{"engine/backend/backendtest"},
	{"engine/backend/cpu", "engine/backend/ref", "engine/backend/null", "engine/backend/cuda", "engine/backend/emulated"},
	{"engine/backend"},
	{"engine/emit"},
	{"engine/plan"},
	{"engine/pass"},
	{"autodiff"},
	{"internal/graphop"},
	{"engine/ir"},
	{"kernels"},
	{"internal/simcuda", "internal/nvrtc", "internal/cudaprobe"},
	{"internal/live"},
	{"internal/run", "internal/viz"},
	{"internal/vec", "internal/atomicfile"},
	{"internal/check"},
	{"internal/arch"},
}

// gorgoniaFree packages must stay importable without Gorgonia.
var gorgoniaFree = []string{"engine/ir", "engine/pass", "engine/plan", "engine/backend", "engine/emit", "kernels", "internal/run", "internal/viz", "internal/vec", "internal/atomicfile", "internal/check", "internal/arch",
	"internal/nvrtc", "internal/cudaprobe", "internal/simcuda"}

// standalone packages need nothing of this module but what is listed, so that they can be lifted out of it.
var standalone = map[string][]string{"autodiff": {"internal/graphop", "engine/ir"}}

type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func level(pkg string) int {
	best, length := -1, 0
	for i, l := range levels {
		for _, p := range l {
			if (pkg == p || strings.HasPrefix(pkg, p+"/")) && len(p) > length {
				best, length = i, len(p)
			}
		}
	}
	return best
}

func packages(t *testing.T, flags ...string) []listed {
	t.Helper()
	args := append([]string{"list", "-json=ImportPath,Imports,TestImports,XTestImports"}, flags...)
	out, err := exec.Command("go", append(args, module+"/...")...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []listed
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 5 {
		t.Fatalf("go list names %d packages; nothing was checked", len(pkgs))
	}
	return pkgs
}

func TestImportsPointDownward(t *testing.T) {
	for _, p := range append(packages(t), packages(t, "-tags=gpu")...) {
		from := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if from == "" {
			continue
		}
		if level(from) < 0 {
			t.Errorf("%s is on no line of the layout: add it to levels", from)
			continue
		}
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, module+"/")
			if ours && !allowed(from, to) {
				t.Errorf("%s imports %s, which is not below it", from, to)
			}
		}
	}
}

// allowed reports whether from may import to.
func allowed(from, to string) bool {
	a, b := level(from), level(to)
	return b > a || a == b && strings.HasPrefix(from, to+"/") || a == b && strings.HasPrefix(to, from+"/")
}

func TestLeavesStayFreeOfGorgonia(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, free := range gorgoniaFree {
			if !within(from)(free) {
				continue
			}
			for _, imp := range withGorgonia(slices.Concat(p.Imports, p.TestImports, p.XTestImports)) {
				t.Errorf("%s imports %s; it must build without Gorgonia", from, imp)
			}
		}
	}
}

// withGorgonia are those of the imports that are Gorgonia or bring it along.
func withGorgonia(imports []string) (bad []string) {
	for _, imp := range imports {
		to, ours := strings.CutPrefix(imp, module+"/")
		if strings.HasPrefix(imp, "gorgonia.org/") || ours && !slices.ContainsFunc(gorgoniaFree, within(to)) {
			bad = append(bad, imp)
		}
	}
	return bad
}

// within reports, for a directory, whether pkg is in it.
func within(pkg string) func(dir string) bool {
	return func(dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }
}

// Package autodiff promises to need nothing but Gorgonia: of this module, the carrier of its ops at most.
func TestStandalonePackages(t *testing.T) {
	met := 0
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, module+"/")
		may, ok := standalone[from]
		if !ok {
			continue
		}
		met++
		for _, imp := range beyond(p.Imports, may) {
			t.Errorf("%s imports %s; of this module it may need %v alone", from, imp, may)
		}
	}
	if met != len(standalone) {
		t.Errorf("%d of %d packages exist; see standalone", met, len(standalone))
	}
}

// beyond are the imports from this module that are not among may.
func beyond(imports, may []string) (bad []string) {
	for _, imp := range imports {
		if to, ours := strings.CutPrefix(imp, module+"/"); ours && !slices.Contains(may, to) {
			bad = append(bad, imp)
		}
	}
	return bad
}

// tagged are the packages that gorgonia.org/cu may be imported by, with the tag gpu alone: it needs cgo and the driver's
// header, and ends a process that has no GPU.
var tagged = []string{"engine/backend/cuda"}

func TestUntaggedBuildsAreFreeOfCUDA(t *testing.T) {
	found := 0
	for _, flags := range [][]string{nil, {"-tags=gpu"}} {
		for _, p := range packages(t, flags...) {
			from := strings.TrimPrefix(p.ImportPath, module+"/")
			for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
				if imp != "gorgonia.org/cu" && !strings.HasPrefix(imp, "gorgonia.org/cu/") {
					continue
				}
				found++
				if flags == nil || !slices.ContainsFunc(tagged, within(from)) {
					t.Errorf("%s imports %s (flags %v); only %v may, with the tag gpu", from, imp, flags, tagged)
				}
			}
		}
	}
	if found == 0 {
		t.Error("nothing imports gorgonia.org/cu; nothing was checked")
	}
}

func TestTheRuleCanFail(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"dcem", "kernels", true},
		{"kernels", "dcem", false},
		{"autodiff", "dcem", false},
		{"models/energy/bumps", "models/energy", true},
		{"models/energy", "models/energy/bumps", false},
		{"models/energy/bumps", "models/energy/regression", false},
		{"internal/viz", "internal/run", false},
	} {
		if got := allowed(c.from, c.to); got != c.want {
			t.Errorf("allowed(%s, %s) = %v, want %v", c.from, c.to, got, c.want)
		}
	}
	for _, c := range []struct {
		got  []string
		want string
	}{
		{withGorgonia([]string{"fmt", module + "/internal/vec", "gorgonia.org/tensor"}), "gorgonia.org/tensor"},
		{withGorgonia([]string{module + "/kernels", module + "/dcem"}), module + "/dcem"},
		{beyond([]string{"fmt", "gorgonia.org/gorgonia", module + "/internal/graphop"}, standalone["autodiff"]), ""},
		{beyond([]string{module + "/internal/graphop", module + "/kernels"}, standalone["autodiff"]), module + "/kernels"},
	} {
		if got := strings.Join(c.got, " "); got != c.want {
			t.Errorf("forbidden imports %q, want %q", got, c.want)
		}
	}
}
