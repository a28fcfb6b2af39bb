//go:build gpu

package cuda

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/nvrtc"
)

// wantError wants an error of a kind, if that is not nil, with all of the words in it.
func wantError(t *testing.T, what string, err, kind error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	if kind != nil && !errors.Is(err, kind) {
		t.Errorf("%s: %v is no %v", what, err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q is not in %v", what, w, err)
		}
	}
}

// A device that is lost in a run says so when the host next waits; after that all is refused with the first cause. The advice
// is to end the process. To open the device again is an attempt, in which this driver lets the process have it after a
// kernel's fault, and not once it is lost.
func TestLostDevice(t *testing.T) {
	for _, fail := range []string{"lost@3", "fault@3", "ecc@3"} {
		t.Run(fail[:4], func(t *testing.T) {
			if !child(t, "GODCEM_SIM_FAIL="+fail) {
				return
			}
			d, err := New(0)
			if err != nil {
				t.Fatal(err)
			}
			p := program(t, d, halves(4, 6))
			e, other := compile(t, d, p), compile(t, d, p)
			feed(t, e, p, 0.5)
			var late error
			for range 4 { // the third kernel fails, in whichever run it is
				if late = errors.Join(e.Run(nil), e.Sync()); late != nil {
					break
				}
			}
			wantError(t, "the run that loses the device", late, backend.ErrDeviceLost, "cuda:0", "end it, and resume from the last checkpoint")
			var f *failure
			if !errors.As(late, &f) {
				t.Fatalf("%v is no failure", late)
			}
			data := make([]float32, 24)
			for what, err := range map[string]error{
				"Run": e.Run(nil), "Sync": e.Sync(), "Write": e.Write(p.Inputs[0].Buf, data),
				"Read": e.Read(p.Outputs[0].Buf, data), "Run of another program": other.Run(nil),
			} {
				wantError(t, what+" afterwards", err, backend.ErrDeviceLost, "refused after an earlier error", f.cause.Error())
			}
			_, err = d.Compile(p)
			wantError(t, "Compile afterwards", err, backend.ErrDeviceLost, "refused")
			for _, x := range []*executable{e, other} {
				if err := x.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			if err := d.Close(); err != nil {
				t.Errorf("Close of the device: %v", err)
			}
			if strings.HasPrefix(fail, "lost") {
				_, err := New(0)
				wantError(t, "a device that is lost for good", err, backend.ErrDeviceLost, "nvidia-smi", "end the process, and resume", f.cause.Error())
				return
			}
			d = open(t)
			e = compile(t, d, p)
			defer e.Close()
			feed(t, e, p, 0.5)
			if err := e.Run(nil); err != nil {
				t.Fatal(err)
			}
			sum, err := first(e, p, 1)
			if err != nil {
				t.Fatal(err)
			}
			checkHalves(t, sum, 0.5, 4)
		})
	}
}

// Where memory is short the error says how much was needed and how much there is; nothing is left of the attempt.
func TestOutOfMemory(t *testing.T) {
	if !child(t, "GODCEM_SIM_MEMORY=33554432") {
		return
	}
	s, d := simulated(t), open(t)
	small := program(t, d, halves(10, 10))
	e := compile(t, d, small)
	defer e.Close()
	before := s.alive()
	_, err := d.Compile(program(t, d, halves(4096, 4096)))
	wantError(t, "a program of 134 MB on a device of 33 MB", err, backend.ErrOutOfMemory, "arena, 128", "free of 32.0 MiB",
		"MemoryBudget")
	if after := s.alive(); modules(after) != modules(before) {
		t.Errorf("left behind: %q, before it was %q", after, before)
	}
	feed(t, e, small, 0.5)
	if err := e.Run(nil); err != nil {
		t.Fatal(err)
	}
	sum, err := first(e, small, 1)
	if err != nil {
		t.Fatal(err)
	}
	checkHalves(t, sum, 0.5, 10)
}

// modules leaves out what a device keeps until its Close.
func modules(alive string) string {
	var lines []string
	for l := range strings.Lines(alive) {
		if !strings.Contains(l, "module") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "")
}

// Whatever fails while a program is loaded is an error, and what was begun is given back.
func TestFailingLoad(t *testing.T) {
	for _, fail := range []string{"oom@1", "oom@2", "oom@3", "module@1", "graph@1", "copy@1"} {
		t.Run(fail, func(t *testing.T) {
			if !child(t, "GODCEM_SIM_FAIL="+fail, CacheEnv+"="+t.TempDir()) { // what is cached would be compiled again
				return
			}
			s := simulated(t)
			d, err := New(0)
			if err != nil {
				t.Fatal(err)
			}
			p := program(t, d, halves(4, 6))
			e, err := d.Compile(p)
			if err == nil { // a copy comes with the first input
				feed(t, e, p, 0.5)
				err = errors.Join(e.Run(nil), e.Sync())
				wantError(t, "a run afterwards", e.Run(nil), nil, "refused after an earlier error")
				if err := e.Close(); err != nil && d.(*device).broken.Load() == nil {
					t.Errorf("Close: %v", err)
				}
			}
			wantError(t, "the load", err, nil, "cuda:0")
			if err := d.Close(); err != nil {
				t.Errorf("Close of the device: %v", err)
			}
			if left := text(s.leaked); left != "" {
				t.Errorf("left at the context's end: %q", left)
			}
		})
	}
}

// A driver that is too old is an error that says which is wanted.
func TestOldDriver(t *testing.T) {
	if !child(t, "GODCEM_SIM_DRIVER=11020") {
		return
	}
	_, err := New(0)
	wantError(t, "a driver for CUDA 11.2", err, nil, "11.2", "11.4", "update")
}

// A GPU that is too old is an error, and is described all the same.
func TestOldGPU(t *testing.T) {
	if !child(t, "GODCEM_SIM_ARCH=70") {
		return
	}
	_, err := New(0)
	wantError(t, "a GPU of 7.0", err, nil, "7.0", "at least 7.5")
	i, err := Describe(0)
	wantError(t, "a GPU of 7.0, described", err, nil, "7.0", "at least 7.5")
	if i.Compute != "7.0" || i.Model == "" || i.Memory == 0 {
		t.Errorf("it is described as %+v", i)
	}
}

// A description takes nothing of the device.
func TestDescribe(t *testing.T) {
	s := simulated(t)
	before := s.alive()
	i, err := Describe(0)
	if err != nil || i.Name != "cuda:0" || i.Compute == "" || s.alive() != before {
		t.Errorf("%+v, error %v, alive are %q, want %q", i, err, s.alive(), before)
	}
	open(t)
	if s.alive() == before {
		t.Errorf("with an opened device alive are %q, as without: a context does not show", before)
	}
}

// Errors of the driver say what can be done, and end the context or not.
func TestAdvice(t *testing.T) {
	if !child(t) { // what ends a context is remembered
		return
	}
	for s, want := range map[status]struct {
		words   string
		lasting bool
	}{
		222: {"update the driver", false}, 218: {"update the driver", false}, 221: {"ptxjitcompiler", false}, 209: {"update the driver", false},
		46: {"compute mode", false}, 802: {"fabricmanager", false}, 304: {"--gpus all", false},
		700: {"resume from the last checkpoint", true}, 719: {"GODCEM_CUDA_SYNC=1", true}, 721: {"resume from the last checkpoint", true},
		999: {"resume from the last checkpoint", true}, 214: {"Xid", true},
	} {
		d := &device{}
		wantError(t, s.Error(), d.fail("trying", s), nil, want.words)
		if got := d.broken.Load() != nil; got != want.lasting {
			t.Errorf("%v ends the context: %v, want %v", s, got, want.lasting)
		}
	}
}

// An absent compiler is an error that says how to get it, once there is something to compile.
func TestNoCompiler(t *testing.T) {
	if !child(t, nvrtc.Env+"="+filepath.Join(t.TempDir(), "libnvrtc.so.12"), CacheEnv+"="+t.TempDir()) {
		return
	}
	d := open(t)
	_, err := d.Compile(program(t, d, halves(4, 6)))
	wantError(t, "no NVRTC", err, nil, "nvrtc", "pip install")
}

// wrong is a kernel whose source is no CUDA C.
type wrong struct{}

func (wrong) String() string              { return "wrong" }
func (wrong) Run(out any, in []any) error { return nil }

func (wrong) Source(out int, _ []int) *ir.Source {
	return &ir.Source{Rows: 1, Width: 1, Call: "this is not CUDA C;"}
}

// What does not compile leaves its numbered source and the log in a file that the error names, and the device usable.
func TestFailingCompile(t *testing.T) {
	d := open(t)
	_, err := d.Compile(program(t, d, func(b *ir.Builder) {
		x := b.Input(ir.F32, []int{7}, ir.InputAttr{Name: "x"})
		b.Output(b.Custom(wrong{}, ir.F32, []int{7}, x))
	}))
	var c *nvrtc.CompileError
	if !errors.As(err, &c) {
		t.Fatalf("error %v, want one of the compiler", err)
	}
	wantError(t, "a kernel that is no CUDA C", err, nil, c.Path)
	saved, err := os.ReadFile(c.Path)
	if err != nil || !strings.Contains(string(saved), "this is not CUDA C") || !strings.Contains(string(saved), "    1  ") {
		t.Errorf("%s: %v, %q", c.Path, err, saved)
	}
	p := program(t, d, halves(4, 6))
	e := compile(t, d, p)
	defer e.Close()
	feed(t, e, p, 0.5)
	if err := e.Run(nil); err != nil {
		t.Fatal(err)
	}
	sum, err := first(e, p, 1)
	if err != nil {
		t.Fatal(err)
	}
	checkHalves(t, sum, 0.5, 4)
}

// The cache serves what it has, and whatever else lies there does no harm.
func TestCache(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(CacheEnv, dir)
	c := cacheFolder()
	if got := c.get("a"); got != nil {
		t.Errorf("an empty cache has %q", got)
	}
	c.put("a", []byte("code"))
	if got := c.get("a"); string(got) != "code" {
		t.Errorf("the cache has %q, want code", got)
	}
	if got := c.get("b"); got != nil {
		t.Errorf("for another key the cache has %q", got)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.bin"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, error %v, want one file", files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		spoilt := append([]byte(nil), whole...)
		spoilt[i] ^= 1
		for _, file := range [][]byte{spoilt, whole[:i]} {
			if err := os.WriteFile(files[0], file, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := c.get("a"); got != nil {
				t.Fatalf("spoilt at byte %d, the cache has %q", i, got)
			}
		}
	}
	for _, at := range []string{"off", filepath.Join(files[0], "below a file")} {
		t.Setenv(CacheEnv, at)
		none := cacheFolder()
		none.put("a", []byte("code"))
		if got := none.get("a"); got != nil {
			t.Errorf("%s has %q", at, got)
		}
	}
}

// What the driver does not take of the cache is compiled again.
func TestCacheOfAnotherKind(t *testing.T) {
	t.Setenv(CacheEnv, t.TempDir())
	d := open(t)
	p := program(t, d, halves(4, 6))
	e := compile(t, d, p)
	c, err := d.compiler()
	if err != nil {
		t.Fatal(err)
	}
	source, err := c.compile(e.e.Kernels)
	if err != nil || !source.cached {
		t.Fatalf("compiled again: error %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(os.Getenv(CacheEnv), "*.bin"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, error %v, want one file", files, err)
	}
	text, err := emit.Text(e.e.Kernels)
	if err != nil {
		t.Fatal(err)
	}
	c.cache.put(c.key(text), []byte("this is machine code of another kind"))
	again := open(t)
	x := compile(t, again, p)
	defer x.Close()
	feed(t, x, p, 0.5)
	if err := x.Run(nil); err != nil {
		t.Fatal(err)
	}
	sum, err := first(x, p, 1)
	if err != nil {
		t.Fatal(err)
	}
	checkHalves(t, sum, 0.5, 4)
}

func TestChooseArch(t *testing.T) {
	for _, c := range []struct {
		own     int
		known   []int
		arch    int
		virtual bool
	}{
		{90, []int{75, 80, 90}, 90, false}, {90, nil, 90, false}, {120, []int{75, 80, 90}, 90, true}, {70, []int{75}, 70, false},
	} {
		if arch, virtual := chooseArch(c.own, c.known); arch != c.arch || virtual != c.virtual {
			t.Errorf("chooseArch(%d, %v) = %d, %v, want %d, %v", c.own, c.known, arch, virtual, c.arch, c.virtual)
		}
	}
}
