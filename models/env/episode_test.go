package env

import (
	"errors"
	"image"
	"math"
	"slices"
	"strings"
	"testing"
)

func taskOf(t *testing.T, name string) Task {
	t.Helper()
	task, err := TaskByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// played is an episode of at most n steps under actions that reach beyond the bounds: observations and rewards.
func played(t *testing.T, task Task, seed uint64, n int) (all []float64, last Status) {
	t.Helper()
	obs, u := make([]float64, task.ObsDim()), make([]float64, task.ActDim())
	if err := task.Reset(seed, obs); err != nil {
		t.Fatal(err)
	}
	_, upper := task.Bounds()
	all = slices.Clone(obs)
	for i := 0; i < n && !last.Over(); i++ {
		for j := range u {
			u[j] = 1.3 * upper[j] * math.Sin(float64(3*i+j)+float64(seed))
		}
		r, s, err := task.Step(u, obs)
		if err != nil {
			t.Fatal(err)
		}
		all, last = append(append(all, obs...), r), s
	}
	return all, last
}

// The pendulum is gymnasium 1.4.0's Pendulum-v1: states and rewards from states that were set there. An angle is kept
// as cosine and sine here, which rounds otherwise: 1e-13 after a few steps.
func TestGymPendulum(t *testing.T) {
	type step struct{ u, cos, sin, spin, reward float64 }
	for _, c := range []struct {
		theta, spin float64
		steps       []step
	}{
		{3, 0.5, []step{
			{2, -0.9953666744664567, 0.09615187653700201, 0.9058400060449003, -9.029},
			{-2, -0.9980535672018295, 0.06236246463781911, 0.6779539134476519, -9.359857978759992},
			{5, -0.9999376533937889, 0.011166437449917717, 1.0247257619260162, -9.531371334672217},
			{0.3, -0.9990868552990906, -0.04272535042072908, 1.0781005900134544, -9.904663130461927},
			{-1.7, -0.9966159904304932, -0.08219834315998766, 0.7910565771979076, -9.722018021231381}}},
		{-0.7, 7.9, []step{ // at the greatest speed
			{2, 0.9510568568583632, -0.3090159462271986, 7.716836734571732, -6.735},
			{2, 0.9971816521154591, 0.07502501372398104, 7.785074774901333, -6.057652270353639},
			{-0.5, 0.8945321974710695, 0.4470035208894664, 7.766343535194319, -6.066628270536224}}},
		{1.2, -7.95, []step{
			{-2, 0.6804267801762546, 0.7328160729807821, -7.550970685524581, -7.7642500000000005},
			{-2, 0.8972110041078261, 0.44160209930187905, -7.301358630788994, -6.382142242836334},
			{1, 0.9932359894833805, 0.1161131740801616, -6.820157056312585, -5.5411834828826345}}},
	} {
		o := tasks[slices.IndexFunc(tasks, func(s taskSpec) bool { return s.name == "pendulum" })].o
		o.Start = func(_ func() float64, x []float64) {
			x[1], x[0] = math.Sincos(c.theta)
			x[2] = c.spin
		}
		task, err := NewEpisodes(Pendulum{}, o)
		if err != nil {
			t.Fatal(err)
		}
		obs := make([]float64, 3)
		if err := task.Reset(0, obs); err != nil {
			t.Fatal(err)
		}
		for i, s := range c.steps {
			r, _, err := task.Step([]float64{s.u}, obs)
			if err != nil {
				t.Fatal(err)
			}
			for j, want := range []float64{s.cos, s.sin, s.spin, s.reward} {
				if got := append(slices.Clone(obs), r)[j]; !(math.Abs(got-want) <= 1e-13) {
					t.Errorf("from %v rad, %v rad/s, step %d: number %d is %v, want %v", c.theta, c.spin, i+1, j, got, want)
				}
			}
		}
	}
	obs := make([]float64, 3)
	fast := false
	for seed := range uint64(200) {
		if err := taskOf(t, "pendulum").Reset(seed, obs); err != nil {
			t.Fatal(err)
		}
		if !(math.Abs(obs[2]) <= 1) || !(math.Abs(math.Hypot(obs[0], obs[1])-1) <= 1e-15) {
			t.Errorf("seed %d begins at %v", seed, obs)
		}
		fast = fast || math.Abs(obs[2]) > 0.9
	}
	if !fast {
		t.Error("no episode of 200 begins faster than 0.9 rad/s")
	}
}

// Seeds say all; episodes end by time; wrong calls are errors that change nothing.
func TestTasks(t *testing.T) {
	for _, name := range TaskNames() {
		task := taskOf(t, name)
		obs, u := make([]float64, task.ObsDim()), make([]float64, task.ActDim())
		img := image.NewRGBA(image.Rect(0, 0, 80, 60))
		task.Draw(img)
		if _, _, err := task.Step(u, obs); !errors.Is(err, ErrEnded) {
			t.Errorf("%s: a step before the first reset: %v", name, err)
		}
		want, last := played(t, task, 7, 1000)
		if n := task.Steps(); last != TimeLimit || len(want) != len(obs)+n*(len(obs)+1) || n != 200 {
			t.Errorf("%s: %d numbers of an episode of %d steps that ends by %v", name, len(want), n, last)
		}
		if _, s, err := task.Step(u, obs); !errors.Is(err, ErrEnded) || s != TimeLimit {
			t.Errorf("%s: a step after the end: %v, %v", name, s, err)
		}
		if again, _ := played(t, task, 7, 1000); !slices.Equal(again, want) {
			t.Errorf("%s: the same seed gives another episode", name)
		}
		if fresh, _ := played(t, taskOf(t, name), 7, 1000); !slices.Equal(fresh, want) {
			t.Errorf("%s: the same seed gives another episode in another task", name)
		}
		if other, _ := played(t, task, 8, 1000); slices.Equal(other[:len(obs)], want[:len(obs)]) {
			t.Errorf("%s: two seeds begin alike", name)
		}
		before, _ := played(t, task, 7, 3)
		for _, err := range []error{
			stepError(task.Step([]float64{math.NaN()}, obs)), stepError(task.Step([]float64{math.Inf(-1)}, obs)),
			stepError(task.Step(nil, obs)), stepError(task.Step(u, obs[1:])), task.Reset(1, obs[1:]),
		} {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: a wrong call: %v", name, err)
			}
		}
		_, upper := task.Bounds()
		if _, _, err := task.Step([]float64{1e300}, obs); err != nil {
			t.Error(err)
		}
		clamped := slices.Clone(obs)
		if after, _ := played(t, task, 7, 3); !slices.Equal(after, before) {
			t.Errorf("%s: wrong calls changed an episode", name)
		}
		if _, _, err := task.Step(upper, obs); err != nil || !slices.Equal(obs, clamped) {
			t.Errorf("%s: beyond the bound %v, on it %v, %v", name, clamped, obs, err)
		}
		shown := slices.Clone(img.Pix)
		task.Draw(img)
		if slices.Equal(shown, img.Pix) {
			t.Errorf("%s: the picture of a state is that of none", name)
		}
		for range 2 {
			if err := task.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := task.Reset(0, obs); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: a reset after Close: %v", name, err)
		}
	}
	if _, err := TaskByName("spider"); err == nil || !strings.Contains(err.Error(), "cartpole, pendulum") {
		t.Errorf("an unknown task: %v", err)
	}
	if _, err := NewEpisodes(nil, EpisodeOptions{}); err == nil {
		t.Error("episodes of nil")
	}
	if _, err := NewEpisodes(Cartpole{}, EpisodeOptions{Steps: -1}); err == nil {
		t.Error("episodes of -1 steps")
	}
}

func stepError(_ float64, _ Status, err error) error { return err }

// blowsUp is a cartpole whose third step leads nowhere.
func blowsUp(t *testing.T, v float64) Task {
	t.Helper()
	n := 0
	task, err := NewEpisodes(Cartpole{}, EpisodeOptions{Dynamics: func(next, x, u []float64) {
		Cartpole{}.StepGo(next, x, u, nil)
		if n++; n == 3 {
			next[1] = v
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// A state that is not finite fails the episode; what was before is kept.
func TestFailedEpisode(t *testing.T) {
	good, _ := played(t, taskOf(t, "cartpole"), 1, 2)
	for _, v := range []float64{math.NaN(), math.Inf(1)} {
		task := blowsUp(t, v)
		all, s := played(t, task, 1, 10)
		want := append(append(slices.Clone(good), good[len(good)-6:len(good)-1]...), 0)
		if s != Failed || !slices.Equal(all, want) || !errors.Is(task.Fault(), ErrNotFinite) ||
			!strings.Contains(task.Fault().Error(), "step 3") {
			t.Errorf("%v, %v, fault %v, want %v and a failure at step 3", s, all, task.Fault(), want)
		}
		if _, s := played(t, task, 1, 10); s != Running || task.Fault() != nil {
			t.Errorf("the next episode: %v, %v", s, task.Fault())
		}
	}
	for _, o := range []EpisodeOptions{
		{Reward: func(_, _, _ []float64) float64 { return math.NaN() }},
		{Reward: func(_, _, _ []float64) float64 { return math.Inf(-1) }},
	} {
		task, err := NewEpisodes(Pendulum{}, o)
		if err != nil {
			t.Fatal(err)
		}
		if all, s := played(t, task, 1, 5); s != Failed || all[len(all)-1] != 0 || len(all) != 3+4 {
			t.Errorf("a reward that is not finite: %v, %v", s, all)
		}
	}
	bad, err := NewEpisodes(Pendulum{}, EpisodeOptions{Start: func(_ func() float64, x []float64) { x[0] = math.NaN() }})
	if err != nil {
		t.Fatal(err)
	}
	if err := bad.Reset(0, make([]float64, 3)); !errors.Is(err, ErrNotFinite) {
		t.Errorf("a start that is not finite: %v", err)
	}
}

// An action held for n steps gives what it gives n times.
func TestRepeat(t *testing.T) {
	const n = 3
	task, err := Repeat(taskOf(t, "pendulum"), n)
	if err != nil {
		t.Fatal(err)
	}
	if task.Steps() != 67 || !(math.Abs(task.Dt()-0.15) <= 1e-15) {
		t.Errorf("%d steps of %v s, want 67 of 0.15", task.Steps(), task.Dt())
	}
	single := taskOf(t, "pendulum")
	obs, want := make([]float64, 3), make([]float64, 3)
	if err := errors.Join(task.Reset(5, obs), single.Reset(5, want)); err != nil {
		t.Fatal(err)
	}
	for i := range 67 {
		u := []float64{math.Sin(float64(i))}
		r, s, err := task.Step(u, obs)
		sum, last := 0.0, Running
		for k := 0; k < n && !last.Over(); k++ {
			v, now, err := single.Step(u, want)
			if err != nil {
				t.Fatal(err)
			}
			sum, last = sum+v, now
		}
		if err != nil || r != sum || s != last || !slices.Equal(obs, want) || s.Over() != (i == 66) {
			t.Fatalf("step %d: %v %v %v, want %v %v %v", i, obs, r, s, want, sum, last)
		}
	}
	failing, err := Repeat(blowsUp(t, math.NaN()), 5)
	if err != nil {
		t.Fatal(err)
	}
	all, s := played(t, failing, 1, 3)
	if s != Failed || len(all) != 5+6 || !finite(all) || failing.Fault() == nil {
		t.Errorf("%v, %v, %v", all, s, failing.Fault())
	}
	if _, err := Repeat(single, 0); err == nil || !strings.Contains(err.Error(), "at least 1") {
		t.Errorf("repeated 0 times: %v", err)
	}
	if _, err := Repeat(nil, 1); err == nil {
		t.Error("nil repeated")
	}
	if same, err := Repeat(single, 1); err != nil || same != single {
		t.Errorf("repeated once: %v, %v", same, err)
	}
}

// Capsules are where they should be, the far ones behind, and a picture without a body says so.
func TestDrawCapsules(t *testing.T) {
	picture := func(x float64, parts ...Capsule) *image.RGBA {
		img := image.NewRGBA(image.Rect(0, 0, 340, 230)) // a hundred pixels a metre
		DrawCapsules(img, parts, x)
		return img
	}
	body := Capsule{X0: 10, Z0: 0.5, X1: 10, Z1: 1.1, R: 0.1}
	img := picture(10, body)
	// 0.2 m wide, 0.6 m long, and round ends: 0.1514 m^2, but for the pixels at the edge.
	if n := count(img, blue); math.Abs(float64(n)-1514) > 100 {
		t.Errorf("%d pixels of a body of 1514", n)
	}
	behind := body
	behind.Far = true
	if n := count(picture(10, body, behind), sky); n != 0 {
		t.Errorf("%d pixels of what is behind", n)
	}
	if n := count(picture(10, behind), sky); n < 1000 {
		t.Errorf("%d pixels of what is on the far side", n)
	}
	moved := body
	moved.X0, moved.X1 = 12.5, 12.5
	if a, b := picture(10, body), picture(12.5, moved); slices.Equal(a.Pix, b.Pix) || count(a, blue) != count(b, blue) {
		t.Error("a body that moves should stand still in the picture, and the floor's marks move")
	}
	for _, img := range []*image.RGBA{picture(0), picture(math.NaN(), body), picture(10, Capsule{X0: math.Inf(1)}),
		picture(10, body, Capsule{R: math.NaN()})} {
		if count(img, blue) != 0 || count(img, vermilion) < 20 {
			t.Errorf("a body that is nowhere: %d pixels, and %d of the cross", count(img, blue), count(img, vermilion))
		}
	}
}
