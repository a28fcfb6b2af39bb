//go:build linux && (amd64 || arm64)

package nvrtc

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const double = `extern "C" __global__ void twice(float* x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] = 2 * x[i];
}
`

// real opens NVIDIA's library.
func real(t *testing.T) *Library {
	t.Helper()
	l, err := Open()
	if errors.Is(err, ErrMissing) {
		t.Skipf("not run: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestCompile(t *testing.T) {
	l := real(t)
	major, minor := l.Version()
	if major < 11 || major == 11 && minor < 2 || !filepath.IsAbs(l.Path()) || !strings.Contains(l.Identity(), "nvrtc ") {
		t.Fatalf("version %d.%d of %q, %q", major, minor, l.Path(), l.Identity())
	}
	var wait sync.WaitGroup
	for _, arch := range []string{"75", "80", "90"} {
		wait.Go(func() {
			cubin, log, err := l.Compile("twice.cu", double, "-arch=sm_"+arch, "--fmad=false", "--std=c++14", "-default-device")
			if err != nil || log != "" || !bytes.HasPrefix(cubin, []byte("\x7fELF")) || !bytes.Contains(cubin, []byte("twice")) {
				t.Errorf("sm_%s: %d bytes, log %q, %v", arch, len(cubin), log, err)
			}
			ptx, _, err := l.PTX("twice.cu", double, "-arch=compute_"+arch)
			if err != nil || !bytes.Contains(ptx, []byte(".visible .entry twice")) || !bytes.Contains(ptx, []byte(".target sm_"+arch)) {
				t.Errorf("compute_%s: %s, %v", arch, ptx, err)
			}
		})
	}
	wait.Wait()
	if a := l.Archs(); len(a) == 0 || a[0] > 90 || a[len(a)-1] < 90 {
		t.Errorf("architectures %v", a)
	}
}

func TestCompileErrors(t *testing.T) {
	l := real(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv(cacheEnv, "")
	_, log, err := l.Compile("wrong.cu", double+"__global__ void wrong() { y = 1; }\n", "-arch=sm_90")
	var e *CompileError
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *CompileError", err)
	}
	if e.Name != "wrong.cu" || e.Status != "NVRTC_ERROR_COMPILATION" || e.Log != log || !strings.Contains(log, `"y" is undefined`) ||
		!strings.Contains(e.Error(), `wrong.cu(5): error: identifier "y" is undefined`) {
		t.Errorf("%+v: %v", e, err)
	}
	saved, err := os.ReadFile(e.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"    5  __global__ void wrong()", `"y" is undefined`, "-arch=sm_90", l.Path()} {
		if !strings.Contains(string(saved), want) {
			t.Errorf("the saved file lacks %q:\n%s", want, saved)
		}
	}
	for _, c := range []struct {
		name, source string
		options      []string
		want         string
	}{
		{"twice.cu", double, nil, "want -arch=sm_XX"},
		{"twice.cu", double, []string{"-arch=compute_90"}, "want -arch=sm_XX"},
		{"twice.cu", "a\x00b", []string{"-arch=sm_90"}, "byte 1 of the source is 0"},
		{"twice.cu", double, []string{"-arch=sm_999"}, "INVALID_OPTION"},
	} {
		if out, _, err := l.Compile(c.name, c.source, c.options...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %v: %d bytes, %v, want an error with %q", c.source, c.options, len(out), err, c.want)
		}
	}
}

func TestUnwritableCache(t *testing.T) {
	l := real(t)
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", blocked)
	folder := t.TempDir()
	for at, want := range map[string]string{"": "", "off": "", blocked: "", folder: filepath.Join(folder, "failed")} {
		t.Setenv(cacheEnv, at)
		_, _, err := l.Compile("wrong.cu", "nonsense", "-arch=sm_90")
		var e *CompileError
		if !errors.As(err, &e) || (e.Path == "") != (want == "") || strings.Contains(e.Error(), "numbered source") != (want != "") ||
			want != "" && filepath.Dir(e.Path) != want {
			t.Errorf("%s=%s: %v, want a file in %q", cacheEnv, at, err, want)
		}
	}
}

func TestWhatEnvNames(t *testing.T) {
	empty := t.TempDir()
	text := filepath.Join(empty, "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		filepath.Join(empty, "none.so"): "cannot open shared object",
		text:                            "text.so",
		"libc.so.6":                     "is not NVRTC 11.2 or later",
	} {
		t.Setenv(Env, at)
		if _, err := Open(); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s=%s: %v, want %q", Env, at, err, want)
		}
	}
	t.Setenv(Env, filepath.Join(empty, "folder"))
	if err := os.Mkdir(os.Getenv(Env), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "has none") {
		t.Errorf("an empty folder: %v", err)
	}
}

// A library of a later major version than the driver's is passed over, and the error says so if there is no other.
func TestDriverTooOld(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("not run: no C compiler cc, which makes a library of that version: install gcc")
	}
	source := `#define F(name) int name() { return 1; }
const char* nvrtcGetErrorString(int status) { return "STUB"; }
int nvrtcVersion(int* major, int* minor) { *major = 13; *minor = 1; return 0; }
F(nvrtcCreateProgram) F(nvrtcCompileProgram) F(nvrtcDestroyProgram) F(nvrtcGetProgramLogSize) F(nvrtcGetProgramLog)
F(nvrtcGetCUBINSize) F(nvrtcGetCUBIN) F(nvrtcGetPTXSize) F(nvrtcGetPTX)
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "stub.c"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command(cc, "-shared", "-fPIC", "-o", "libnvrtc.so.13", "stub.c")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Setenv(Env, dir)
	l, err := OpenFor(13000)
	if err != nil {
		t.Fatal(err)
	}
	if major, minor := l.Version(); major != 13 || minor != 1 || l.Path() != filepath.Join(dir, "libnvrtc.so.13") {
		t.Errorf("version %d.%d from %s", major, minor, l.Path())
	}
	if _, _, err := l.Compile("twice.cu", double, "-arch=sm_90"); err == nil || !strings.Contains(err.Error(), "create the program: STUB (1)") {
		t.Errorf("a failing library: %v", err)
	}
	if _, err := OpenFor(12080); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "13.1, too new for a driver for CUDA 12.8") {
		t.Errorf("driver 12.8: %v", err)
	}
}
