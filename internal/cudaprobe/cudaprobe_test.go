//go:build linux && (amd64 || arm64)

package cudaprobe

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// childEnv makes the test's program probe and print what it found.
const childEnv = "GODCEM_PROBE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	if root := os.Getenv("PROBE_ROOT"); root != "" {
		pciDevices, procDriver, wslLibrary = filepath.Join(root, "pci"), filepath.Join(root, "proc"), filepath.Join(root, "wsl")
	}
	r, err := Probe()
	fmt.Printf("%+v\n%v\n", r, err)
	for name, e := range map[string]error{"no driver": ErrNoDriver, "old": ErrOld, "no device": ErrNoDevice, "failed": ErrFailed} {
		if errors.Is(err, e) {
			fmt.Println("is:", name)
		}
	}
	fmt.Println("check 1:", Check(r, err, 1))
	os.Exit(0)
}

// driverSource is a driver that says what the environment tells it.
const driverSource = `#include <stdlib.h>
#include <string.h>
static int number(const char* name, int otherwise) { const char* s = getenv(name); return s ? atoi(s) : otherwise; }
int cuInit(unsigned flags) { return number("STUB_INIT", 0); }
int cuDriverGetVersion(int* v) { *v = number("STUB_VERSION", 12040); return 0; }
int cuDeviceGetCount(int* n) { *n = number("STUB_COUNT", 2); return 0; }
int cuDeviceGet(int* d, int i) { *d = 7 + i; return 0; }
int cuDeviceGetName(char* name, int n, int d) { strncpy(name, d == 7 ? "Stub A" : "Stub B", n); return 0; }
int cuDeviceTotalMem_v2(size_t* n, int d) { *n = (size_t)3 << 33; return number("STUB_TOTAL", 0); }
int cuDeviceGetAttribute(int* v, int a, int d) {
  *v = a == 16 ? 132 : a == 75 ? (d == 7 ? 9 : 7) : a == 76 ? 0 : -1;
  return 0;
}
#ifndef BROKEN
int cuGetErrorName(int e, const char** name) { *name = "CUDA_ERROR_STUB"; return e == 77; }
#endif
`

// stub builds the driver.
func stub(t *testing.T, flags ...string) (dir string) {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("not run: no C compiler cc, which makes the driver that is probed: install gcc")
	}
	dir = t.TempDir()
	source := filepath.Join(dir, "driver.c")
	if err := os.WriteFile(source, []byte(driverSource), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append(flags, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", filepath.Join(dir, "libcuda.so.1"), source)
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// probed is what a process with that environment prints.
func probed(t *testing.T, env ...string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), append([]string{childEnv + "=1"}, env...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestProbe(t *testing.T) {
	dir := stub(t)
	broken, empty := stub(t, "-DBROKEN"), t.TempDir()
	noLibrary := filepath.Join(empty, "libcuda.so.1")
	if err := os.WriteFile(noLibrary, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		env        []string
		want       []string
	}{
		{"two", dir, nil, []string{"Library:" + dir + "/libcuda.so.1 Driver:12040",
			"{Index:0 Name:Stub A Memory:25769803776 Major:9 Minor:0 SMs:132} {Index:1 Name:Stub B Memory:25769803776 Major:7 Minor:0 SMs:132}",
			"<nil>", "cuda:1 (Stub B) has compute capability 7.0, want at least 7.5"}},
		{"one", dir, []string{"STUB_COUNT=1"}, []string{"check 1: no device cuda:1: the driver has 1, cuda:0 to cuda:0"}},
		{"none", dir, []string{"STUB_COUNT=0", "PROBE_ROOT=/nowhere"}, []string{"is: no device", "this machine shows none", "check 1: the NVIDIA driver finds no GPU"}},
		{"hidden", dir, []string{"STUB_INIT=100", "CUDA_VISIBLE_DEVICES="}, []string{"is: no device", "CUDA_ERROR_STUB (100)", `CUDA_VISIBLE_DEVICES="" hides`}},
		{"old", dir, []string{"STUB_VERSION=11020"}, []string{"is: old", "it serves CUDA 11.2, want at least 11.4; update it"}},
		{"mismatch", dir, []string{"STUB_INIT=803"}, []string{"is: failed", "restart the machine after an update of the driver"}},
		{"unsupported", dir, []string{"STUB_INIT=804"}, []string{"is: failed", "compatibility package"}},
		{"fabric", dir, []string{"STUB_INIT=802"}, []string{"is: failed", "nvidia-fabricmanager"}},
		{"system", dir, []string{"STUB_INIT=304"}, []string{"is: failed", "--gpus all"}},
		{"unknown", dir, []string{"STUB_INIT=999"}, []string{"is: failed", "/dev/nvidia-uvm"}},
		{"unnamed", dir, []string{"STUB_INIT=77"}, []string{"is: failed", "error 77; `nvidia-smi`"}},
		{"memory", dir, []string{"STUB_TOTAL=999"}, []string{"is: failed", "device 0: ", "CUDA_ERROR_STUB (999)"}},
		{"no driver of ours", broken, nil, []string{"is: failed", "cuGetErrorName", "reinstall the driver"}},
		{"text", empty, nil, []string{"is: failed", "libcuda.so.1"}},
	} {
		got := probed(t, append(c.env, "LD_LIBRARY_PATH="+c.path)...)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got\n%swant %q", c.name, got, want)
			}
		}
	}
}

// Without a driver the advice depends on what the machine shows.
func TestNoDriver(t *testing.T) {
	if out := probed(t, "LD_LIBRARY_PATH="); !strings.Contains(out, "is: no driver") {
		t.Skip("not run: this machine has an NVIDIA driver, and the test is about having none")
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root := t.TempDir()
	for _, c := range []struct {
		path, text, want string
	}{
		{"pci/0/vendor", "0x8086\n", "shows no NVIDIA GPU; the CPU runs everything"},
		{"pci/1/vendor", "0x10de\n", "shows no NVIDIA GPU"}, // of no class: a sound device, say
		{"pci/1/class", "0x030200\n", "install its driver, for CUDA 11.4 or later"},
		{"proc", "NVRM version", "start it with --gpus all"},
		{"wsl", "", "add that folder to LD_LIBRARY_PATH"},
	} {
		write(filepath.Join(root, c.path), c.text)
		if got := probed(t, "LD_LIBRARY_PATH=", "PROBE_ROOT="+root); !strings.Contains(got, "is: no driver") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got\n%swant %q", c.path, got, c.want)
		}
	}
}
