//go:build (linux || darwin) && (amd64 || arm64)

package mujoco

import (
	"errors"
	"image"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/godcem/godcem/models/env"
)

// played is what n steps of an episode give: all observations and rewards.
func played(t testing.TB, task env.Task, seed uint64, n int) []float64 {
	t.Helper()
	obs := make([]float64, task.ObsDim())
	if err := task.Reset(seed, obs); err != nil {
		t.Fatal(err)
	}
	all := slices.Clone(obs)
	for _, u := range actionsOf("wave", seed, n, task.ActDim()) {
		r, s, err := task.Step(u, obs)
		if err != nil || s == env.Failed {
			t.Fatal(err, task.Fault())
		}
		all = append(append(all, obs...), r)
	}
	return all
}

// poison sets a velocity behind the task's back.
func poison(tk env.Task, v float64) {
	s := tk.(*task).sim
	qvel := slices.Clone(s.qvel)
	qvel[2] = v
	purego.SyscallN(s.lib.setState, s.model.ptr, s.ptr, uintptr(unsafe.Pointer(&qvel[0])), stateQvel)
}

// A simulation that blows up fails its episode with MuJoCo's words, keeps what was good, writes no file, and leaves
// no trace in the next episode.
func TestBlowUp(t *testing.T) {
	f, err := Find(Options{})
	needs(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		tk := newTask(t, name)
		want := played(t, tk, 3, 40)
		t.Setenv(DirEnv, f.Dir)
		t.Chdir(t.TempDir())
		for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e11, -1e300} {
			good := played(t, tk, 5, 30)
			obs, u := make([]float64, tk.ObsDim()), make([]float64, tk.ActDim())
			poison(tk, v)
			r, s, err := tk.Step(u, obs)
			if r != 0 || s != env.Failed || err != nil {
				t.Fatalf("%s with velocity %v: reward %v, %v, %v, want 0, failed, nil", name, v, r, s, err)
			}
			if fault := tk.Fault(); !errors.Is(fault, ErrWarning) || !strings.Contains(fault.Error(),
				"step 31: MuJoCo warned: ") ||
				!strings.Contains(strings.ToLower(fault.Error()), "unstable") {
				t.Errorf("%s with velocity %v: %v", name, v, fault)
			}
			if last := good[len(good)-1-len(obs) : len(good)-1]; !slices.Equal(obs, last) {
				t.Errorf("%s with velocity %v: the observation is %v, want the last good one %v", name, v, obs, last)
			}
			if _, s, err := tk.Step(u, obs); !errors.Is(err, env.ErrEnded) || s != env.Failed {
				t.Errorf("%s: a step after the failure: %v, %v", name, s, err)
			}
			tk.Draw(image.NewRGBA(image.Rect(0, 0, 64, 48)))
			if got := played(t, tk, 3, 40); !slices.Equal(got, want) || tk.Fault() != nil {
				t.Errorf("%s with velocity %v: the next episode is another, or has fault %v", name, v, tk.Fault())
			}
		}
		if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind: %v, %v", name, left, err)
		}
	}
}

// refusing is a function of MuJoCo that calls its error handler where its second argument is no set of components of
// a state: the address of one, for example.
func refusing(t *testing.T, l *library) uintptr {
	t.Helper()
	h, err := purego.Dlopen(l.path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		t.Fatal(err)
	}
	f, err := purego.Dlsym(h, "mj_stateSize")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// What MuJoCo cannot return from, and would end the program for, is a failed episode too, on any thread and again and
// again.
func TestFatal(t *testing.T) {
	tk := newTask(t, "walker-walk")
	l := tk.(*task).sim.lib
	want := played(t, tk, 3, 40)
	refused := refusing(t, l)
	obs, u := make([]float64, tk.ObsDim()), make([]float64, tk.ActDim())
	for range 20 {
		played(t, tk, 5, 3)
		step := l.step
		l.step = refused
		r, s, err := tk.Step(u, obs)
		l.step = step
		if r != 0 || s != env.Failed || err != nil || !errors.Is(tk.Fault(), ErrFatal) ||
			!strings.Contains(tk.Fault().Error(), "invalid state signature") {
			t.Fatalf("reward %v, %v, %v, %v, want a failed episode", r, s, err, tk.Fault())
		}
		tk.Draw(image.NewRGBA(image.Rect(0, 0, 64, 48)))
		if got := played(t, tk, 3, 40); !slices.Equal(got, want) {
			t.Fatal("the next episode is another")
		}
	}
	forward := l.forward
	l.forward = refused
	err := tk.Reset(1, obs)
	l.forward = forward
	if !errors.Is(err, ErrFatal) {
		t.Errorf("a reset that fails: %v", err)
	}
	if _, _, err := tk.Step(u, obs); !errors.Is(err, env.ErrEnded) {
		t.Errorf("a step after it: %v", err)
	}
	if got := played(t, tk, 3, 40); !slices.Equal(got, want) {
		t.Error("the next episode is another")
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if err := l.guarded(func() { purego.SyscallN(refused, tk.(*task).model.ptr, 1<<30) }); !errors.Is(err, ErrFatal) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// A warning is the fault of the simulation that it was about, whatever the others do at the time.
func TestFaultsAmongMany(t *testing.T) {
	want := played(t, newTask(t, "cheetah-run"), 9, 300)
	var all sync.WaitGroup
	for i := range 8 {
		tk := newTask(t, "cheetah-run")
		all.Go(func() {
			if i%2 == 0 {
				for range 3 {
					if got := played(t, tk, 9, 300); !slices.Equal(got, want) {
						t.Error("an episode beside failing ones is another")
					}
				}
				return
			}
			obs, u := make([]float64, tk.ObsDim()), make([]float64, tk.ActDim())
			for n := range 60 {
				if err := tk.Reset(uint64(n), obs); err != nil {
					t.Error(err)
					return
				}
				poison(tk, math.NaN())
				if _, s, err := tk.Step(u, obs); s != env.Failed || err != nil || !errors.Is(tk.Fault(), ErrWarning) {
					t.Errorf("%v, %v, %v, want a failed episode", s, err, tk.Fault())
				}
			}
		})
	}
	all.Wait()

	// One warns while another is within a call.
	tk := newTask(t, "cheetah-run").(*task)
	played(t, tk, 1, 3)
	poison(tk, math.NaN())
	has, goOn, ended := make(chan bool), make(chan bool), make(chan error)
	err := tk.sim.lib.guarded(func() {
		go func() {
			ended <- tk.sim.lib.guarded(func() {
				tk.sim.advance(1)
				has <- true
				<-goOn
			})
		}()
		<-has
	})
	close(goOn)
	if theirs := <-ended; err != nil || !errors.Is(theirs, ErrWarning) {
		t.Errorf("the one that warned has %v, the other %v", theirs, err)
	}
	if len(warnings.of) > 0 {
		t.Errorf("warnings that nobody took: %v", warnings.of)
	}
}

// Wrong calls are errors and change nothing.
func TestCalls(t *testing.T) {
	for _, name := range Names() {
		tk, err := New(name, Options{})
		needs(t)
		if err != nil {
			t.Fatal(err)
		}
		obs, u := make([]float64, tk.ObsDim()), make([]float64, tk.ActDim())
		tk.Draw(image.NewRGBA(image.Rect(0, 0, 64, 48)))
		if _, _, err := tk.Step(u, obs); !errors.Is(err, env.ErrEnded) {
			t.Errorf("%s: a step before the first reset: %v", name, err)
		}
		want := played(t, tk, 4, 50)
		if err := tk.Reset(4, obs); err != nil {
			t.Fatal(err)
		}
		got := slices.Clone(obs)
		for i, a := range actionsOf("wave", 4, 50, tk.ActDim()) {
			for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				wrong := slices.Clone(a)
				wrong[i%len(a)] = bad
				if _, s, err := tk.Step(wrong, obs); !errors.Is(err, env.ErrAction) || s != env.Running {
					t.Fatalf("%s: action %v: %v, %v", name, wrong, s, err)
				}
			}
			for _, err := range []error{second(tk.Step(a[:5], obs)), second(tk.Step(a, obs[1:])), tk.Reset(1, obs[1:])} {
				if err == nil || !strings.Contains(err.Error(), "want") {
					t.Fatalf("%s: a slice of the wrong length: %v", name, err)
				}
			}
			r, _, err := tk.Step(a, obs)
			if err != nil {
				t.Fatal(err)
			}
			got = append(append(got, obs...), r)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: wrong calls changed the episode", name)
		}
		// Any finite action will do: beyond the bounds it is the bound's.
		var ends [2][]float64
		for i, scale := range []float64{1, 1e300} {
			if err := tk.Reset(4, obs); err != nil {
				t.Fatal(err)
			}
			for j := range u {
				u[j] = scale * float64(1-j%2*2)
			}
			if _, s, err := tk.Step(u, obs); s != env.Running || err != nil {
				t.Errorf("%s: action %v: %v, %v, %v", name, u, s, err, tk.Fault())
			}
			ends[i] = slices.Clone(obs)
		}
		if !slices.Equal(ends[0], ends[1]) {
			t.Errorf("%s: actions beyond the bounds are not clamped", name)
		}
		for range 2 {
			if err := tk.Close(); err != nil {
				t.Error(err)
			}
		}
		tk.Draw(image.NewRGBA(image.Rect(0, 0, 64, 48)))
		if _, _, err := tk.Step(u, obs); !errors.Is(err, env.ErrClosed) {
			t.Errorf("%s: a step after Close: %v", name, err)
		}
		if err := tk.Reset(1, obs); !errors.Is(err, env.ErrClosed) {
			t.Errorf("%s: a reset after Close: %v", name, err)
		}
	}
}

func second(_ float64, _ env.Status, err error) error { return err }

// Many on several threads are what each is alone.
func TestMany(t *testing.T) {
	needs(t)
	const n, steps = 7, 60
	for _, name := range Names() {
		alone := newTask(t, name)
		width := 1 + alone.ObsDim()
		for _, threads := range []int{1, 2, 5} {
			v, err := env.NewVec(n, threads, func(int) (env.Task, error) { return New(name, Options{}) })
			if err != nil {
				t.Fatal(err)
			}
			seeds, got := make([]uint64, n), make([][]float64, n)
			obs, rewards, status := make([]float64, n*v.Task(0).ObsDim()), make([]float64, n), make([]env.Status, n)
			u := make([]float64, n*v.Task(0).ActDim())
			for i := range seeds {
				seeds[i] = uint64(i) * 1e9
			}
			if err := v.Reset(seeds, obs); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				got[i] = slices.Clone(obs[i*(width-1) : (i+1)*(width-1)])
			}
			for s := range steps {
				for i := range n {
					copy(u[i*alone.ActDim():], actionsOf("wave", seeds[i], s+1, alone.ActDim())[s])
				}
				if err := v.Step(u, obs, rewards, status); err != nil {
					t.Fatal(err)
				}
				for i := range got {
					got[i] = append(append(got[i], obs[i*(width-1):(i+1)*(width-1)]...), rewards[i])
				}
			}
			for i := range got {
				if !slices.Equal(got[i], played(t, alone, seeds[i], steps)) {
					t.Errorf("%s on %d threads: episode %d is another than alone", name, threads, i)
				}
			}
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// Close gives everything back, models too, also after failures: the C library's allocator says so.
func TestClose(t *testing.T) {
	needs(t)
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("not run: the allocator's statistics are read on linux/amd64 alone")
	}
	h, err := purego.Dlopen("libc.so.6", purego.RTLD_NOW)
	if err != nil {
		t.Skip("not run: no glibc: ", err)
	}
	statistics, err := purego.Dlsym(h, "mallinfo2")
	if err != nil {
		t.Skip("not run: a glibc before 2.33: ", err)
	}
	inUse := func() uint64 {
		var info [10]uint64 // arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost
		purego.SyscallN(statistics, uintptr(unsafe.Pointer(&info)))
		return info[4] + info[7]
	}
	var one uint64 // a task's memory
	cycle := func() {
		for _, name := range Names() {
			before := inUse()
			tk, err := New(name, Options{})
			if err != nil {
				t.Fatal(err)
			}
			played(t, tk, 1, 5)
			one = inUse() - before
			obs, u := make([]float64, tk.ObsDim()), make([]float64, tk.ActDim())
			poison(tk, math.NaN())
			if _, s, err := tk.Step(u, obs); s != env.Failed || err != nil {
				t.Fatal(s, err)
			}
			played(t, tk, 2, 5)
			l := tk.(*task).sim.lib
			step1 := l.step1
			l.step1 = refusing(t, l)
			_, s, err := tk.Step(u, obs)
			l.step1 = step1
			if s != env.Failed || err != nil || !errors.Is(tk.Fault(), ErrFatal) {
				t.Fatal(s, err, tk.Fault())
			}
			if err := tk.Close(); err != nil {
				t.Fatal(err)
			}
			if len(l.models) != 0 {
				t.Fatalf("%d models are left", len(l.models))
			}
		}
	}
	for range 3 {
		cycle()
	}
	before := inUse()
	for range 6 {
		cycle()
	}
	if grown := float64(int64(inUse() - before)); one < 1e5 || !(math.Abs(grown) < float64(one)) {
		t.Errorf("12 tasks that were closed left %v bytes; one has %d", grown, one)
	} else {
		t.Logf("12 tasks that were closed left %v bytes; one has %d", grown, one)
	}
}

// A model that is not the task's, or a library of another kind, is refused, and the message says what differs.
func TestRefused(t *testing.T) {
	needs(t)
	f, err := Find(Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "dm_control"), os.DirFS(filepath.Join(f.Dir, "dm_control",
		"suite"))); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "dm_control", "suite"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "dm_control", "suite"), os.DirFS(f.Models)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "mujoco"), 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "mujoco", filepath.Base(f.Library))
	if err := os.Symlink(f.Library, link); err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(dir, "dm_control", "suite", "cheetah.xml")
	raw, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, want string }{
		{`timestep="0.01"`, `timestep="0.02"`, "its time is 0.02 s, want 0.01 s"},
		{`settotalmass="14"`, `settotalmass="15"`, "weighs 15"},
		{`<joint name="rootx"`, `<joint name="x"`, `joint "rootx" is number -1, want 0`},
		{`body name="ffoot"`, `body name="foot"`, `body "ffoot" is number -1, want 7`},
		{`<motor name="ffoot" joint="ffoot" gear="30" />`, ``, "5 actuators, want 6"},
		{`subtreelinvel name="torso_subtreelinvel"`, `subtreelinvel name="speed"`, "no sensor"},
		{`gear="120"`, `gear="0.001"`, "self-test"},
		{`timestep="0.01"`, `timestep="0.01" gravity="0 0 9.81"`, "self-test"},
		{`<mujoco`, `<`, "does not read it"},
	} {
		changed := strings.ReplaceAll(string(raw), c.from, c.to)
		if changed == string(raw) {
			t.Fatalf("the model has no %s", c.from)
		}
		if err := os.WriteFile(model, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		tk, err := New("cheetah-run", Options{Dir: dir})
		if tk != nil || !errors.Is(err, ErrLibrary) || !strings.Contains(err.Error(), c.want) ||
			!strings.Contains(err.Error(), model) {
			t.Errorf("%s: %v, want an error about %q", c.to, err, c.want)
		}
	}
	if err := os.WriteFile(model, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	tk, err := New("cheetah-run", Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := tk.Close(); err != nil {
		t.Error(err)
	}

	other := "/usr/lib/x86_64-linux-gnu/libm.so.6"
	if found, _ := filepath.Glob("/lib/*/libm.so.6"); len(found) > 0 {
		other = found[0]
	}
	if _, err := os.Stat(other); err == nil {
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(other, link); err != nil {
			t.Fatal(err)
		}
		if _, err := New("cheetah-run", Options{Dir: dir}); !errors.Is(err, ErrLibrary) ||
			!strings.Contains(err.Error(), "mj_version") {
			t.Errorf("a library of another kind: %v", err)
		}
	}
	for v, want := range map[int32]error{4000000: nil, 3017000: nil, 4000001: ErrVersion, 3006000: ErrVersion} {
		l := &library{version: v, path: "libmujoco"}
		if err := l.accept(false); !errors.Is(err, want) || want != nil &&
			!strings.Contains(err.Error(), "3.17.0 or 4.0.0") {
			t.Errorf("version %d: %v, want %v", v, err, want)
		}
		if err := l.accept(true); err != nil {
			t.Errorf("any version, %d: %v", v, err)
		}
	}
}
