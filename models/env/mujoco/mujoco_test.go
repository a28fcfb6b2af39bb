package mujoco

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// numpy's own numbers.
func TestRandomState(t *testing.T) {
	for _, c := range []struct {
		seed                    uint64
		first, second, thousand float64
	}{
		{0, 0.5488135039273248, 0.7151893663724195, 0.01006369565609333},
		{1, 0.417022004702574, 0.7203244934421581, 0.889827341447375},
		{12345, 0.9296160928171479, 0.3163755545817859, 0.7227707769807971},
		{1<<32 - 1, 0.0976320289940138, 0.9123828453026218, 0.8002617823323771},
		{1<<32 + 5, 0.15727238718789782, 0.2824866316461999, 0.8594481491243984}, // RandomState([5, 1])
		{77<<32 + 123456789, 0.35960702134316336, 0.4423763639633924, 0.5889176656489907},
	} {
		r := newRandomState(c.seed)
		first, second := r.uniform(0, 1), r.uniform(0, 1)
		var last float64
		for range 1000 {
			last = r.uniform(0, 1)
		}
		if first != c.first || second != c.second || last != c.thousand {
			t.Errorf("seed %d: %v, %v, ..., %v, want %v, %v, ..., %v", c.seed, first, second, last, c.first, c.second,
				c.thousand)
		}
	}
}

// Worked by hand from the definitions.
func TestRewards(t *testing.T) {
	for _, c := range []struct{ speed, want float64 }{{-3, 0}, {0, 0}, {2.5, 0.25}, {9.99, 0.999}, {10, 1}, {50, 1}} {
		if got := cheetahReward(c.speed); !(math.Abs(got-c.want) <= 1e-15) {
			t.Errorf("cheetah at %v m/s: %v, want %v", c.speed, got, c.want)
		}
	}
	for _, c := range []struct{ height, upright, speed, want float64 }{
		{1.3, 1, 2, 1},             // all there is
		{1.2, 1, 0.5, 3.5 / 6},     // (5/2 + 1) / 6
		{1.2, 1, -0.1, 1. / 6},     // backwards
		{0.6, 1, 1, (0.3 + 1) / 4}, // half as high: standing is 0.1
		{1.2, -1, 1, 0.75},         // upside down
		{0.9, 0, 0, (3*math.Pow(0.1, 0.25) + 0.5) / 4 / 6}, // a quarter lower: standing is 0.1^(1/4)
	} {
		if got := walkerReward(c.height, c.upright, c.speed); !(math.Abs(got-c.want) <= 1e-15) {
			t.Errorf("walker at %+v: %v", c, got)
		}
	}
	for _, f := range []func(float64) float64{cheetahReward, func(v float64) float64 { return walkerReward(1, 1, v) }} {
		if v := f(math.NaN()); !(v >= 0 && v <= 1) {
			t.Errorf("the reward of a speed that is not a number is %v", v)
		}
	}
}

// Without MuJoCo the errors say where it was looked for and how to get it; the first place that is given decides.
func TestFind(t *testing.T) {
	root, err := workingTree()
	if err != nil {
		t.Fatal(err)
	}
	empty, text := t.TempDir(), t.TempDir()
	library := "libmujoco.so.4.0.0"
	write := func(dir, name string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text, "mujoco/"+library)
	write(text, "mujoco/libmujoco.4.0.0.dylib")
	refused := func(what string, o Options, is error, words ...string) {
		t.Helper()
		task, err := New("cheetah-run", o)
		if task != nil || !errors.Is(err, is) {
			t.Fatalf("%s: %v, want %v", what, err, is)
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v: does not say %q", what, err, w)
			}
		}
	}
	if _, err := New("cheetah-run", Options{Dir: empty}); errors.Is(err, ErrPlatform) {
		t.Skip("not run: ", err)
	}
	t.Setenv(DirEnv, empty)
	refused("an empty folder", Options{Dir: empty}, ErrNotFound, "Options.Dir", empty, "make mujoco", "pip install",
		DirEnv)
	refused("the environment", Options{}, ErrNotFound, DirEnv+" \""+empty, "make mujoco")
	refused("no models", Options{Dir: text}, ErrNotFound, "cheetah.xml", "make mujoco")
	for _, s := range specs {
		write(text, "dm_control/suite/"+s.file)
	}
	refused("text", Options{Dir: text}, ErrLibrary, text)
	write(text, "mujoco/libmujoco.so.3.17.0")
	write(text, "mujoco/libmujoco.3.17.0.dylib")
	if _, err := Find(Options{Dir: text}); err == nil || !strings.Contains(err.Error(), "2 libraries") {
		t.Errorf("two libraries: %v", err)
	}
	t.Setenv(DirEnv, "")
	f, err := Find(Options{})
	if fetched := filepath.Join(root, fetched); err == nil && f.Dir != fetched || err != nil &&
		!strings.Contains(err.Error(), fetched) {
		t.Errorf("the working tree's: %v, %v", f, err)
	}
	t.Chdir(empty)
	refused("outside of the working tree", Options{}, ErrNotFound, empty, "make mujoco")
	if _, err := New("cheetah", Options{}); err == nil || !strings.Contains(err.Error(), "cheetah-run, walker-walk") {
		t.Errorf("an unknown task: %v", err)
	}
}

// What is drawn has the place and the half-length of the models' capsules: pos and size of cheetah.xml and
// walker.xml, in metres, to the four digits that the ends have.
func TestCapsules(t *testing.T) {
	for task, want := range map[string][][3]float64{
		"cheetah-run": {{.1, -.13, .145}, {-.14, -.07, .15}, {.03, -.097, .094}, {-.07, -.12, .133}, {.065, -.09, .106},
			{.045, -.07, .07}, {0, 0, .5}, {.6, .1, .15}},
		"walker-walk": {{0, -.225, .225}, {0, 0, .25}, {0, 0, .1}, {0, 0, .3}, {0, -.225, .225}, {0, 0, .25}, {0, 0, .1}},
	} {
		s, err := specByName(task)
		if err != nil || len(s.capsules) != len(want) {
			t.Fatalf("%s: %v, %d capsules, want %d", task, err, len(s.capsules), len(want))
		}
		for i, c := range s.capsules {
			e := c.ends
			got := [3]float64{(e[0] + e[2]) / 2, (e[1] + e[3]) / 2, math.Hypot(e[2]-e[0], e[3]-e[1]) / 2}
			for k := range got {
				if !(math.Abs(got[k]-want[i][k]) <= 2e-4) {
					t.Errorf("%s: capsule %d has centre and half-length %v, want %v", task, i, got, want[i])
				}
			}
		}
	}
}

// Every name has its number.
func TestSpecs(t *testing.T) {
	for _, s := range specs {
		p := pose{qpos: make([]float64, len(s.joints)), qvel: make([]float64, len(s.joints)),
			xpos: make([][3]float64, len(s.bodies)), xmat: make([][9]float64, len(s.bodies))}
		for i := range p.qpos {
			p.qpos[i], p.qvel[i] = 1, 1
		}
		for i := range p.xpos {
			p.xpos[i], p.xmat[i] = [3]float64{1, 1, 1}, [9]float64{1, 1, 1, 1, 1, 1, 1, 1, 1}
		}
		obs := make([]float64, len(s.observed))
		s.observe(&p, obs)
		for i, v := range obs {
			if v != 1 {
				t.Errorf("%s: %s is not observed", s.name, s.observed[i])
			}
		}
		for _, c := range s.capsules {
			if c.body >= len(s.bodies) {
				t.Errorf("%s: a capsule of body %d of %d", s.name, c.body, len(s.bodies))
			}
		}
		if seconds := float64(s.steps*s.substeps) * s.timestep; math.Abs(seconds-map[string]float64{"cheetah-run": 10,
			"walker-walk": 25}[s.name]) > 1e-9 {
			t.Errorf("%s: an episode of %v s", s.name, seconds)
		}
	}
}
