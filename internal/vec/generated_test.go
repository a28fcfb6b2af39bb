package vec

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

//go:generate sh -c "cd gen && go run . -dir .."

// The assembly is what the generator writes.
func TestGeneratedIsCurrent(t *testing.T) {
	goCommand := func(args ...string) ([]byte, error) {
		c := exec.Command("go", args...)
		c.Dir = "gen"
		c.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOOS=", "GOARCH=")
		return c.CombinedOutput()
	}
	if out, err := goCommand("mod", "download"); err != nil {
		t.Skipf("avo cannot be downloaded: %v\n%s", err, out)
	}
	dir := t.TempDir()
	if out, err := goCommand("run", ".", "-dir", dir); err != nil {
		t.Fatalf("the generator failed: %v\n%s", err, out)
	}
	for _, pattern := range []string{"*_avx2_amd64.*", "*_avx512_amd64.*"} {
		want, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(want) == 0 {
			t.Fatalf("the generator wrote no %s: %v", pattern, err)
		}
		have, _ := filepath.Glob(pattern)
		if len(have) != len(want) {
			t.Errorf("%d files %s, want %d", len(have), pattern, len(want))
		}
		for _, file := range want {
			generated, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			kept, err := os.ReadFile(filepath.Base(file))
			if err != nil || !bytes.Equal(generated, kept) {
				t.Errorf("%s is not what the generator writes (%v): run go generate ./internal/vec", filepath.Base(file), err)
			}
		}
	}
}
