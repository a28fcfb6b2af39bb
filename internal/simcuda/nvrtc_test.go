package simcuda_test

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/nvrtc"
	"github.com/godcem/godcem/internal/simcuda"
)

// TestNVRTC: the look-alike is opened and used as NVIDIA's library is.
func TestNVRTC(t *testing.T) {
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skipf("no C++ compiler: install g++: %v", err)
	}
	dir, err := simcuda.Libraries(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(nvrtc.Env, filepath.Join(dir, "libnvrtc.so.12"))
	l, err := nvrtc.Open()
	if err != nil {
		t.Fatal(err)
	}
	if major, minor := l.Version(); major != 12 || minor != 9 && !simcuda.Checking() {
		t.Errorf("version %d.%d, want 12.9", major, minor)
	}
	const good = "extern \"C\" __global__ void twice(float* x) { __syncwarp(); x[threadIdx.x] *= 2; }\n"
	options := []string{"--fmad=false", "--std=c++14", "-default-device", "-arch=sm_90"}
	image, log, err := l.Compile("good.cu", good, options...)
	if err != nil || !strings.HasPrefix(string(image), "SIMCUBIN") {
		t.Errorf("an image of %d bytes, log %q, error %v", len(image), log, err)
	}
	for _, bad := range []struct {
		source, option, want string
	}{
		{"__global__ void f() { y = 1; }", "--fmad=false", "bad.cu:1"},
		{"#include <math.h>\n" + good, "-w", "math.h"},
		{"__device__ void f() { __shared__ int x[4]; }", "-w", "line 1: shared memory outside of a kernel"},
		{"__global__ void f() { __shared__ int x[4]; x[0] = 1; }\n__global__ g", "-w",
			"line 2: __global__ without a function"},
		{good, "-arch=sm_12", "NVRTC_ERROR_INVALID_OPTION"},
		{good, "--use_fast_math", "NVRTC_ERROR_INVALID_OPTION"},
		{good, "--ftz=true", "NVRTC_ERROR_INVALID_OPTION"},
		{good, "--no-such-option", "NVRTC_ERROR_INVALID_OPTION"},
	} {
		_, _, err := l.Compile("bad.cu", bad.source, "-arch=sm_90", bad.option)
		var ce *nvrtc.CompileError
		if !errors.As(err, &ce) || !strings.Contains(err.Error()+ce.Log, bad.want) {
			t.Errorf("%q with %s: error %v, want one with %q", bad.source, bad.option, err, bad.want)
		}
	}
}

// TestNoContraction: a product and a sum are two operations, unless the kernel says fma.
func TestNoContraction(t *testing.T) {
	if err := simcuda.Available(); err != nil {
		t.Skip(err)
	}
	m, err := simcuda.Compile(`extern "C" __global__ void k(double* out, double a, double b, double c) {
  out[0] = a * b + c;
  out[1] = fma(a, b, c);
}`)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	a, out := 1+0x1p-30, make([]float64, 2)
	if err := m.Launch("k", 1, 1, 0, out, a, a, -a*a); err != nil {
		t.Fatal(err)
	}
	if out[0] != 0 || out[1] != 0x1p-60 {
		t.Errorf("a*b+c and fma: %v, want 0 and 2^-60", out)
	}
}
