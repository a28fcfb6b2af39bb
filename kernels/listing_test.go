package kernels

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// In the assembly listing of a build: the head of a function, a fused multiply-add and a plain product with their file.
var (
	headLine  = regexp.MustCompile(`^(\S+) STEXT`)
	fusedLine = regexp.MustCompile(`\((?:[^()\n]*[/\\])?(\w+\.go):\d+\)\t(FN?M(?:ADD|SUB)[SD]|VFN?M(?:ADD|SUB)\w+)\t`)
	mulLine   = regexp.MustCompile(`\((?:[^()\n]*[/\\])?(\w+\.go):\d+\)\t(FMUL[SD]|V?MULS[SD])\t`)
	kernel    = regexp.MustCompile(`(?m)^func ([A-Z]\w*)\[T Float\]\(`)
)

// Where bits are promised no compiler may fuse a product with a sum. The assembly of the package, all but its reference
// loops, for two kinds of machine on which Go does is searched; a small module with a product in a sum shows first that
// the search would find one.
func TestNoFusedMultiplyAdd(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("the go tool is not there to compile with: ", err)
	}
	control := t.TempDir()
	overlay := withInstances(t, filepath.Join(control, "overlay"))
	for name, text := range map[string]string{
		"go.mod":     "module control\n\ngo 1.26\n",
		"control.go": "package control\n\nfunc F(x, y, z float64) float64 { return x*y + z }\n\nfunc G(x, y, z float32) float32 { return x*y + z }\n",
	} {
		if err := os.WriteFile(filepath.Join(control, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, machine := range []struct{ name, arch, level string }{{"arm64", "arm64", "v1"}, {"amd64-v3", "amd64", "v3"}} {
		t.Run(machine.name, func(t *testing.T) {
			listing := func(dir string, flags ...string) (fused []string, products map[string]int) {
				cmd := exec.Command(tool, append(append([]string{"build", "-gcflags=-S"}, flags...), ".")...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+machine.arch, "GOAMD64="+machine.level, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("go build in %s: %v\n%s", dir, err, out)
				}
				products = map[string]int{}
				function := ""
				for line := range strings.Lines(string(out)) {
					if m := headLine.FindStringSubmatch(line); m != nil {
						function = m[1]
					}
					if m := mulLine.FindStringSubmatch(line); m != nil {
						products[m[1]]++
					}
					if fusedLine.MatchString(line) && !strings.HasSuffix(function, "Reference") {
						fused = append(fused, function+": "+line)
					}
				}
				return fused, products
			}
			if fused, _ := listing(control); len(fused) == 0 {
				t.Fatalf("no fused instruction found in the control")
			}
			fused, products := listing(".", "-overlay="+overlay)
			// Fewer than there are, but more than if the generic functions had been left out.
			for file, least := range map[string]int{
				"sample.go": 6, "lml.go": 20, "lml_rows.go": 10, "exptile.go": 5, "softtopk.go": 4, "softtopk_backward.go": 20, "refit_backward.go": 8,
			} {
				if products[file] < least {
					t.Errorf("%s: only %d products in the listing, want at least %d: not all of it was compiled", file, products[file], least)
				}
			}
			// Of package vec, which fuses elsewhere as it likes, the files that promise bits.
			noise, products := listing(filepath.Join("..", "internal", "vec"))
			for file, least := range map[string]int{"noise_go.go": 47, "lml.go": 40, "moments.go": 8} {
				if products[file] < least {
					t.Errorf("%s: only %d products in the listing, want at least %d: not all of it was compiled", file, products[file], least)
				}
				for _, f := range noise {
					if strings.Contains(f, file+":") {
						fused = append(fused, f)
					}
				}
			}
			for _, f := range fused {
				t.Errorf("fused: %s", f)
			}
		})
	}
}

// withInstances returns an overlay for go build that adds a file to this package in which every exported generic
// function is instantiated: a build of the package alone would leave them out. dir is made for it.
func withInstances(t *testing.T, dir string) (overlay string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	text := "package kernels\n\nvar _ = []any{\n"
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range kernel.FindAllSubmatch(source, -1) {
			text += fmt.Sprintf("\t%s[float32], %[1]s[float64],\n", m[1])
		}
	}
	here, err := filepath.Abs("instances_for_listing.go")
	if err != nil {
		t.Fatal(err)
	}
	instances := filepath.Join(dir, "instances.go.txt")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{here: instances}})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	for name, data := range map[string][]byte{instances: []byte(text + "}\n"), overlay: replace} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}
