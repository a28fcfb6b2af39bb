//go:build linux && (amd64 || arm64)

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// driverSource is a driver with one GPU; no more of it than what the untagged program asks.
const driverSource = `#include <string.h>
int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int* v) { *v = 12040; return 0; }
int cuDeviceGetCount(int* n) { *n = 1; return 0; }
int cuDeviceGet(int* d, int i) { *d = i; return 0; }
int cuDeviceGetName(char* name, int n, int d) { strncpy(name, "Stub GPU", n); return 0; }
int cuDeviceTotalMem_v2(unsigned long* n, int d) { *n = 3ul << 33; return 0; }
int cuDeviceGetAttribute(int* v, int a, int d) { *v = a == 16 ? 132 : a == 75 ? 9 : 0; return 0; }
int cuGetErrorName(int e, const char** name) { *name = "STUB"; return 0; }
`

// withDriver builds that driver and returns its folder.
func withDriver(t *testing.T) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("not run: no C compiler cc, which makes the driver that is asked: install gcc")
	}
	dir := t.TempDir()
	source := file(t, "driver.c", driverSource)
	out, err := exec.Command(cc, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", filepath.Join(dir, "libcuda.so.1"), source).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// withGo builds a program of that source beside a copy of this one, as godcem-gpu, and returns this one's path.
func withGo(t *testing.T, source string, args ...string) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	beside := filepath.Join(dir, "godcem")
	if err := os.Link(path, beside); err != nil {
		text, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(beside, text, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if source != "" {
		main := file(t, "main.go", source)
		args = append(append([]string{"build"}, args...), "-o", filepath.Join(dir, gpuProgram), main)
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return beside
}

func TestDeviceFlag(t *testing.T) {
	code, stdout, stderr := outcome(t, append([]string{"bumps", "--device", "ref"}, quick...)...)
	if code != 0 {
		t.Errorf("on ref: %d, %s%s", code, stdout, stderr)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"bumps", "--device", "qpu"}, `no device "qpu"`},
		{[]string{"bumps", "--device", "cuda"}, `--device "cuda": want cpu, or cuda:0`},
		{[]string{"regression", "--device", "cuda:x"}, `want cpu, or cuda:0`},
		{[]string{"cartpole", "--device", "ref", "--vm", "tape"}, "TapeMachine runs on the cpu alone"},
		{[]string{"explain", "bumps", "--device", "cuda:-1"}, `want cpu, or cuda:0`},
		{[]string{"doctor", "--device", "ref"}, `want cpu, or cuda:0`},
	} {
		if code, _, stderr := outcome(t, c.args...); code != 1 || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: %d, %q, want %q in one line", c.args, code, stderr, c.want)
		}
	}
}

func TestDevices(t *testing.T) {
	dir := withDriver(t)
	t.Setenv("LD_LIBRARY_PATH", dir)
	code, stdout, stderr := outcome(t, "devices")
	if code != 0 || !strings.Contains(stdout, "cuda:0  Stub GPU, 24.0 GiB, compute capability 9.0, 132 multiprocessors\n") || !strings.HasPrefix(stdout, "cpu ") {
		t.Errorf("%d, %s%s", code, stdout, stderr)
	}
	var j devicesJSON
	code, stdout, stderr = outcome(t, "devices", "--json")
	if err := json.Unmarshal([]byte(stdout), &j); err != nil || code != 0 || len(j.GPUs) != 1 || j.GPUs[0].SMs != 132 || j.Driver != "12.4" || j.Problem != "" {
		t.Errorf("%d, %s%s, %v", code, stdout, stderr, err)
	}
	t.Setenv("LD_LIBRARY_PATH", "")
	if code, stdout, stderr := outcome(t, "devices"); code != 0 || !strings.Contains(stdout, "no GPU: ") && !strings.Contains(stdout, "cuda:0") {
		t.Errorf("without the driver: %d, %s%s", code, stdout, stderr)
	}
}

// What is missing is named one after the other, until godcem becomes godcem-gpu.
func TestBecomesGPUProgram(t *testing.T) {
	t.Setenv("LD_LIBRARY_PATH", withDriver(t))
	const program = `package main

import (
	"fmt"
	"os"
)

func main() { fmt.Println("this is the other program:", os.Args[1:]) }
`
	for _, c := range []struct {
		name, path, device string
		code               int
		want               string
	}{
		{"absent", withGo(t, ""), "cuda:0", 1, "built without CUDA, and there is no godcem-gpu beside it"},
		{"untagged", withGo(t, program), "cuda:0", 1, "is built without the tag gpu: `make gpu`"},
		{"there", withGo(t, program, "-tags", "gpu"), "cuda:0", 0, "this is the other program: [bumps --device cuda:0]"},
		{"other device", withGo(t, program, "-tags", "gpu"), "cuda:1", 1, "no device cuda:1: the driver has 1, cuda:0 to cuda:0"},
	} {
		cmd := exec.Command(c.path, "bumps", "--device", c.device)
		cmd.Dir = t.TempDir()
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %v, %s, want code %d and %q", c.name, err, &out, c.code, c.want)
		}
	}
	text := filepath.Join(filepath.Dir(withGo(t, "")), gpuProgram)
	if err := os.WriteFile(text, []byte("text"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(filepath.Dir(text), "godcem"), "doctor", "--device", "cuda:0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--  program") || !strings.Contains(string(out), "is no program of Go's") ||
		!strings.Contains(string(out), "ok  driver    serves CUDA 12.4") || !strings.Contains(string(out), "ok  cuda:0    Stub GPU") {
		t.Errorf("doctor: %v, %s", err, out)
	}
}

func TestDoctor(t *testing.T) {
	t.Setenv("LD_LIBRARY_PATH", withDriver(t))
	missing := filepath.Join(t.TempDir(), "none.so")
	t.Setenv("GODCEM_NVRTC", missing)
	t.Setenv("GODCEM_CACHE", file(t, "file", ""))
	path := withGo(t, "package main\n\nfunc main() {}\n", "-tags", "gpu")
	out, err := exec.Command(path, "doctor").CombinedOutput()
	for _, want := range []string{"ok  processor", "ok  driver    serves CUDA 12.4", "--  compiler", missing, "ok  program   " + path + "-gpu",
		"compiled kernels are not kept", "godcem runs on cpu\n"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("got %v, %s, want %q", err, out, want)
		}
	}
	if out, err := exec.Command(path, "doctor", "--device", "cuda:0").CombinedOutput(); err == nil || !strings.Contains(string(out), "godcem: cuda:0 cannot be used: nvrtc: no NVRTC") {
		t.Errorf("got %v, %s", err, out)
	}
}
