package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/internal/vec"
)

// mainAgain makes the test's binary the command itself.
const mainAgain = "GODCEM_SUITE_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(mainAgain) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// command runs the command as a process in the repository's root.
func command(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), mainAgain+"=1")
	raw, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(raw)
}

// The gate's process ends with 1 where cases are slower than the record says, where there is nothing to compare with
// and where the record is another machine's; with 0 else. What is measured does not matter: the records are of times
// that no machine keeps, or that every machine keeps.
func TestGateExits(t *testing.T) {
	for _, c := range []struct {
		name   string
		yard   float64
		change func(*result)
		code   int
		want   string
	}{
		{"as fast", 1e12, nil, 0, "cases are as fast as in the record"},
		{"slower", 1e-12, nil, 1, "of 2 cases are slower than the record beyond noise"},
		{"other cases", 1, func(r *result) { r.Case = "something else" }, 1, "nothing was compared"},
		{"another machine", 1, func(r *result) { r.Processor = "a machine of another kind" }, 1, "and this is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLog(filepath.Join(t.TempDir(), "cpu.json"))
			var old []result
			for _, name := range []string{"topk 100x100 k=10", "topk 100x1000 k=100"} {
				r := result{Case: name, Dtype: "float32", ISA: vec.ISA(), Threads: 1, Contestant: "godcem", Median: 1,
					Checked:   true,
					Processor: record.Processor(), Yard: &ratio{c.yard, c.yard, c.yard}}
				if c.change != nil {
					c.change(&r)
				}
				old = append(old, r)
			}
			if err := save(l.path, old); err != nil {
				t.Fatal(err)
			}
			code, out := command(t, "-check", "-json", l.path, "-cases", "topk", "-rounds", "1", "-patience", "0s",
				"-threads", "1", "-slice", "1ms")
			if code != c.code || !strings.Contains(out, c.want) {
				t.Errorf("it ended with %d, want %d and %q:\n%s", code, c.code, c.want, out)
			}
		})
	}
}
