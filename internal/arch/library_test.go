package arch

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Who imports the library does not compile the programs' parts: flags, progress bars, YAML, figures.
func TestLibrariesStayLight(t *testing.T) {
	heavy := []string{module + "/internal/run", module + "/internal/viz"}
	for _, p := range []string{"kernels", "autodiff", "dcem", "models/nn", "models/energy"} {
		out, err := exec.Command("go", "list", "-deps", module+"/"+p).Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		deps := strings.Fields(string(out))
		if !slices.Contains(deps, module+"/"+p) {
			t.Fatalf("go list names %q as what %s depends on; nothing was checked", deps, p)
		}
		for _, h := range heavy {
			if slices.Contains(deps, h) {
				t.Errorf("%s depends on %s", p, h)
			}
		}
	}
}
