//go:build gpu

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnGPU: the two programs beside each other, on the GPU that there is, simulated or not.
func TestOnGPU(t *testing.T) {
	path, err := binary() // without the tag
	if err != nil {
		t.Fatal(err)
	}
	gpu := filepath.Join(filepath.Dir(path), gpuProgram)
	if out, err := exec.Command("go", "build", "-tags", "gpu", "-o", gpu, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, args := range [][]string{{"doctor", "--device", "cuda:0"}, {"devices"},
		append([]string{"bumps", "--device", "cuda:0"}, quick...)} {
		if code, stdout, stderr := outcome(t, args...); code != 0 || args[0] == "devices" && !strings.Contains(stdout, "\ncuda:0 ") {
			t.Errorf("%v: %d, %s%s", args, code, stdout, stderr)
		}
	}
	if code, stdout, stderr := outcome(t, "explain", "bumps", "--iterations", "1", "--device", "cuda:0"); code != 0 || !strings.Contains(stdout, "cuda:0") {
		t.Errorf("explain: %d, %s%s", code, stdout, stderr)
	}

	// A driver that lacks functions, as an older one does, is no reason not to start, nor is an absent one.
	for _, c := range []struct {
		path string
		code int
		want string
	}{{withDriver(t), 0, "Stub GPU"}, {"", 1, "godcem (built with -tags gpu): no NVIDIA driver (libcuda.so.1) found"}} {
		cmd := exec.Command(gpu, "devices")
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+c.path)
		out, _ := cmd.CombinedOutput() // its code is looked at
		if c.path == "" && strings.Contains(string(out), "\ncuda:0 ") {
			t.Log("not run: this machine has an NVIDIA driver, and the rest is about having none")
		} else if cmd.ProcessState.ExitCode() != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("with the driver of %q: %v, %s, want code %d and %q", c.path, cmd.ProcessState, out, c.code, c.want)
		}
	}

	// Without a device both say so in their own words: the one with the tag before gorgonia.org/cu ends it.
	t.Setenv("CUDA_VISIBLE_DEVICES", "")
	t.Setenv("GODCEM_SIM_DEVICES", "0")
	if code, _, stderr := outcome(t, "bumps", "--device", "cuda:0"); code != 1 || !strings.Contains(stderr, "finds no GPU") {
		t.Errorf("no device: %d, %s", code, stderr)
	}
	out, err := exec.Command(gpu, "version").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "godcem (built with -tags gpu): the NVIDIA driver finds no GPU") || strings.Contains(string(out), "Error in initialization") {
		t.Errorf("no device, %s: %v, %s", gpuProgram, err, out)
	}
}
