package simcuda

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kernelSources are n kernels that store their number, made distinct by salt, so that no cache knows them.
func kernelSources(n int, salt string) (s []Source) {
	common := File{"common.cu", "__device__ int plus(int a, int b) { return a + b; } // " + salt}
	for i := range n {
		s = append(s, Source{Name: fmt.Sprintf("k%d", i), Files: []File{common},
			Text: fmt.Sprintf("extern \"C\" __global__ void k%d(int* out) { out[0] = plus(%d, 1000); }\n", i, i)})
	}
	return s
}

func TestBuild(t *testing.T) {
	needCompiler(t)
	t.Setenv("GODCEM_CACHE", t.TempDir())
	sources := kernelSources(30, t.TempDir())
	check := func(what string, sources []Source) {
		t.Helper()
		kernels, err := Build(sources)
		if err != nil {
			t.Fatal(err)
		}
		for i, k := range kernels {
			out := make([]int32, 1)
			if err := k.Launch(1, 1, 0, out); err != nil {
				t.Fatal(err)
			}
			var want int32
			if _, err := fmt.Sscanf(sources[i].Name, "k%d", &want); err != nil || out[0] != want+1000 {
				t.Errorf("%s: kernel %s gives %d, want %d", what, sources[i].Name, out[0], want+1000)
			}
		}
	}
	images := func() int {
		m, err := filepath.Glob(filepath.Join(cacheDir(), "*.image"))
		if err != nil {
			t.Fatal(err)
		}
		return len(m)
	}
	check("compiled", sources)
	n := images()
	if n == 0 || n > 8 {
		t.Errorf("%d images for 30 kernels, want a few", n)
	}
	check("from memory", append(sources[20:], sources[:20]...))
	forget()
	check("from the folder", sources)
	if images() != n {
		t.Errorf("%d images after kernels were taken from the folder, want %d", images(), n)
	}

	// What is damaged in the folder is compiled again.
	all, _ := filepath.Glob(filepath.Join(cacheDir(), "*.image"))
	for _, f := range all {
		if err := os.WriteFile(f, []byte("SIMCUBIN, but not quite"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	check("compiled again", sources)

	// The kernel that is wrong is named, and stops none of the others.
	bad := kernelSources(6, t.TempDir())
	bad[3].Text = "extern \"C\" __global__ void k3(int* out) {\n  out[0] = nonsense;\n}\n"
	_, err := Build(bad)
	var ce *CompileError
	if !errors.As(err, &ce) || !strings.Contains(err.Error(), "kernel k3") || !strings.Contains(err.Error(), "k3:2:") {
		t.Errorf("error %v, want one of kernel k3, line 2", err)
	}
	bad[3].Text = "extern \"C\" __global__ void other(int* out) {}\n"
	if _, err := Build(bad); err == nil || !strings.Contains(err.Error(), "k3: its source has no __global__ function") {
		t.Errorf("error %v, want one that says what the source of k3 lacks", err)
	}
}

// forget empties the memory of what was compiled.
func forget() {
	compiled.Lock()
	defer compiled.Unlock()
	clear(compiled.kernels)
	clear(compiled.images)
}

func TestPrune(t *testing.T) {
	t.Setenv("GODCEM_CACHE", t.TempDir())
	for _, name := range []string{"a.image", "b.ref", "lib-c/x", "other"} {
		path := filepath.Join(cacheDir(), name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(cacheDir(), "b.ref"), old, old); err != nil {
		t.Fatal(err)
	}
	left := func() (names string) {
		entries, err := os.ReadDir(cacheDir())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names += e.Name() + " "
		}
		return names
	}
	if prune(time.Now().Add(-time.Minute)); left() != "a.image lib-c other " {
		t.Errorf("of what is an hour and no time old remain %s", left())
	}
	if prune(time.Now().Add(time.Minute)); left() != "other " {
		t.Errorf("of what is ours remain %s", left())
	}
}

func TestMemory(t *testing.T) {
	needCompiler(t)
	for _, n := range []int{0, 1, 511, 512, 4096, 5000} {
		m, err := NewMemory(n)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Bytes()) != n || uintptr(m.Pointer())%512 != 0 && n > 0 {
			t.Errorf("%d bytes: %d at %p", n, len(m.Bytes()), m.Pointer())
		}
		for _, b := range m.Bytes() {
			if b != 0xff {
				t.Fatalf("%d bytes begin with %#x, want 0xff", n, b)
			}
		}
		m.Free()
		m.Free()
	}
	if _, err := NewMemory(-1); err == nil {
		t.Error("-1 bytes: no error")
	}
}
