package mpc

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
	"github.com/godcem/godcem/models/env"
)

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var silent = run.ProgressOptions{Silent: true}

// tiny is a configuration of a few milliseconds.
func tiny(name string) Config {
	c := Default()
	c.Env, c.Steps, c.Horizon, c.Samples, c.Elites, c.Iterations = name, 6, 5, 30, 6, 2
	return c
}

// Ten of ten pendulums swing up, within their bounds at every step; where velocity is dear none does.
func TestSwingUp(t *testing.T) {
	c := DefaultSwingUp()
	s, err := c.Swing(context.Background(), nil)
	noError(t, err)
	if n := Count(s.Up); n != 10 {
		t.Errorf("%d of 10 are upright throughout the last 50 steps", n)
	}
	for i, e := range s.Up {
		if len(e.U) != 200 || len(e.X) != 201 || !e.Finite() {
			t.Fatalf("episode %d: %d controls, %d states, finite: %v", i, len(e.U), len(e.X), e.Finite())
		}
		for step, u := range e.U {
			if !(math.Abs(u[0]) <= 2) {
				t.Errorf("episode %d: control %v at step %d", i, u[0], step)
			}
		}
		if at := e.Arrival(); at < 10 || at > 150 {
			t.Errorf("episode %d: upright from step %d on", i, at)
		}
	}
	if slices.Equal(s.Up[0].U[0], s.Up[1].U[0]) {
		t.Error("two pendulums have the same noise")
	}
	for _, x := range s.Down[0].X {
		if x[0] > 0 {
			t.Errorf("with velocity weighed fully the pendulum rises to cos theta = %v", x[0])
			break
		}
	}
}

// An episode is the same alone and beside others.
func TestEpisodesAreTheirOwn(t *testing.T) {
	for _, name := range env.Names() {
		c := tiny(name)
		c.KeepElites, c.Colour, c.SampleMean, c.Smoothing, c.RatePenalty, c.Repeat = 2, 1, true, 0.1, 0.01, 2
		_, plant, err := c.systems()
		noError(t, err)
		start := c.start(plant)
		other := slices.Clone(start)
		other[len(other)-1] += 0.1
		alone, err := Simulate(context.Background(), c, [][]float64{start}, nil)
		noError(t, err)
		beside, err := Simulate(context.Background(), c, [][]float64{start, other}, nil)
		noError(t, err)
		for i := range alone[0].X {
			if !slices.Equal(alone[0].X[i], beside[0].X[i]) {
				t.Fatalf("%s: state %d is %v alone and %v beside another", name, i, alone[0].X[i], beside[0].X[i])
			}
		}
		if len(alone[0].Plan) != 3 {
			t.Errorf("%s: %d plans for 6 steps of controls held for 2", name, len(alone[0].Plan))
		}
	}
}

// What is controlled may differ from what the planner believes in.
func TestPlantDiffersFromModel(t *testing.T) {
	c := tiny("pendulum")
	same, err := Simulate(context.Background(), c, [][]float64{{-1, 0, 0}}, nil)
	noError(t, err)
	c.Plant = "mass=2"
	heavy, err := Simulate(context.Background(), c, [][]float64{{-1, 0, 0}}, nil)
	noError(t, err)
	if !slices.Equal(same[0].U[0], heavy[0].U[0]) {
		t.Errorf("the first plans differ: %v and %v", same[0].U[0], heavy[0].U[0])
	}
	if a, b := same[0].X[1][2], heavy[0].X[1][2]; !(math.Abs(a/b-2) < 1e-12) {
		t.Errorf("velocities %v and %v after a step, want twice as much for half the mass", a, b)
	}
}

// Where the plant blows up the controls stay numbers within the bounds, and the program says so.
func TestBlowUp(t *testing.T) {
	c := tiny("cartpole")
	c.Plant, c.Start, c.Steps, c.Figures = "length=1e-9", []float64{0, 0, 1, 1e-3, 5}, 30, true
	dir := t.TempDir()
	var out bytes.Buffer
	noError(t, Run(context.Background(), c, run.Options{Out: dir, Progress: silent}, &out))
	if !strings.Contains(out.String(), "blown up") {
		t.Errorf("the summary says\n%s", &out)
	}
	for _, row := range rows(t, dir)[1:] {
		u, err := strconv.ParseFloat(row[len(row)-1], 64)
		if err != nil || !(math.Abs(u) <= 100) {
			t.Errorf("control %q", row[len(row)-1])
		}
	}
}

func rows(t *testing.T, dir string) [][]string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, TrajectoryFile))
	noError(t, err)
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	noError(t, err)
	return all
}

func TestRun(t *testing.T) {
	for _, name := range env.Names() {
		dir := t.TempDir()
		c := tiny(name)
		if name == "cartpole" {
			c.Float64, c.Temperature, c.Knots = true, 0.5, 3
		}
		var out bytes.Buffer
		noError(t, Run(context.Background(), c, run.Options{Out: dir, Progress: silent}, &out))
		for _, file := range allFigures {
			if file == mapFigure && name != "doubleintegrator" {
				continue
			}
			info, err := os.Stat(filepath.Join(dir, file))
			noError(t, err)
			if info.Size() < 1000 {
				t.Errorf("%s: %s has %d bytes", name, file, info.Size())
			}
		}
		e, err := env.ByName(name)
		noError(t, err)
		all := rows(t, dir)
		if want := slices.Concat([]string{"t"}, e.States(), e.Controls()); !slices.Equal(all[0], want) || len(all) != c.Steps+1 {
			t.Errorf("%s: %d rows under %v, want %d under %v", name, len(all)-1, all[0], c.Steps, want)
		}
		first, err := os.ReadFile(filepath.Join(dir, TrajectoryFile))
		noError(t, err)
		noError(t, Run(context.Background(), c, run.Options{Out: dir, Progress: silent}, &out))
		second, err := os.ReadFile(filepath.Join(dir, TrajectoryFile))
		noError(t, err)
		if !bytes.Equal(first, second) {
			t.Errorf("%s: the same configuration gave another trajectory", name)
		}
		r, err := run.ReadResult(dir)
		noError(t, err)
		for _, metric := range []string{"cost", "plan_ms_median", "plan_ms_p95", "period_share"} {
			if v, ok := r.Metrics[metric]; !ok || v == 0 {
				t.Errorf("%s: %s is %v", name, metric, v)
			}
		}
	}
}

func TestRunInterrupted(t *testing.T) {
	ctx, stop := context.WithCancelCause(context.Background())
	stop(run.ErrInterrupted)
	dir := t.TempDir()
	err := Run(ctx, tiny("pendulum"), run.Options{Out: dir, Progress: silent}, &bytes.Buffer{})
	if !errors.Is(err, run.ErrInterrupted) {
		t.Errorf("error %v, want that it was interrupted", err)
	}
	r, err := run.ReadResult(dir)
	noError(t, err)
	if r.Status != run.StatusInterrupted || len(rows(t, dir)) != 1 {
		t.Errorf("status %q, %d rows", r.Status, len(rows(t, dir)))
	}
}

func TestSwingUpRun(t *testing.T) {
	c := DefaultSwingUp()
	c.Episodes, c.Steps, c.Horizon, c.Samples, c.Elites = 2, 60, 5, 30, 6
	dir := t.TempDir()
	var out bytes.Buffer
	noError(t, RunSwingUp(context.Background(), c, run.Options{Out: dir, Progress: silent}, &out))
	if s := out.String(); !strings.Contains(s, "0 of 2 upright") || !strings.Contains(s, "none stands") {
		t.Errorf("plans too short to swing up are told of as\n%s", s)
	}
	if got := latest("; ", map[string]float64{"latest_arrival": 7}); got != "; the last to arrive from step 7 on" {
		t.Errorf("%q", got)
	}
	for _, file := range swingFigures {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
	if got := rows(t, dir); len(got) != 61 || strings.Join(got[0], ",") != "t,cos,sin,dth,u" {
		t.Errorf("%d rows under %v", len(got)-1, got[0])
	}
	for want, change := range map[string]func(*SwingUpConfig){
		"episodes is 0": func(c *SwingUpConfig) { c.Episodes = 0 },
		"velocity is":   func(c *SwingUpConfig) { c.Velocity = math.NaN() },
		"horizon is 0":  func(c *SwingUpConfig) { c.Horizon = 0 },
	} {
		c := DefaultSwingUp()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// The report blames the cost only where a thorough search stays down too.
func TestAboutDown(t *testing.T) {
	c := DefaultSwingUp()
	down := []*Episode{{X: [][]float64{{-1, 0, 0}}}}
	const blame = "the cost's doing"
	if text := c.aboutDown(SwingUp{Down: down, Reach: -0.6, DearReach: -1}); !strings.Contains(text, blame) ||
		!strings.Contains(text, "0 of 1") {
		t.Errorf("staying down: %s", text)
	}
	if text := c.aboutDown(SwingUp{Down: down, Reach: -0.6, DearReach: -0.5}); strings.Contains(text, blame) {
		t.Errorf("a search that rises: %s", text)
	}
	up := &Episode{}
	for range lastSteps + 1 {
		up.X = append(up.X, []float64{1, 0, 0})
	}
	if text := c.aboutDown(SwingUp{Down: []*Episode{up}, Reach: -0.6, DearReach: -1}); strings.Contains(text, blame) ||
		!strings.Contains(text, "1 of 1") {
		t.Errorf("standing: %s", text)
	}
}

func TestValidate(t *testing.T) {
	noError(t, Default().Validate())
	for want, change := range map[string]func(*Config){
		`env is "acrobot"`:                    func(c *Config) { c.Env = "acrobot" },
		`model has "mass"`:                    func(c *Config) { c.Model = "mass" },
		`model names "mas"`:                   func(c *Config) { c.Model = "mas=2" },
		`plant has "mass=x"`:                  func(c *Config) { c.Plant = "mass=x" },
		"plant has mass twice":                func(c *Config) { c.Plant = "mass=1,mass=2" },
		"pendulum's mass is -1":               func(c *Config) { c.Plant = "mass=-1" },
		"start has 2 numbers":                 func(c *Config) { c.Start = []float64{1, 2} },
		"start[1] is NaN":                     func(c *Config) { c.Start = []float64{1, math.NaN(), 0} },
		"steps is 0":                          func(c *Config) { c.Steps = 0 },
		"horizon is 0":                        func(c *Config) { c.Horizon = 0 },
		"samples is 1":                        func(c *Config) { c.Samples = 1 },
		"elites is 201":                       func(c *Config) { c.Elites = 201 },
		"iterations is 0":                     func(c *Config) { c.Iterations = 0 },
		"repeat is 21":                        func(c *Config) { c.Repeat = 21 },
		"keep_elites is 21":                   func(c *Config) { c.KeepElites = 21 },
		"knots is 1":                          func(c *Config) { c.Knots = 1 },
		"sigma is 0":                          func(c *Config) { c.Sigma = 0 },
		"sigma_min is -1":                     func(c *Config) { c.SigmaMin = -1 },
		"temperature is 1e-07":                func(c *Config) { c.Temperature = 1e-7 },
		"colour is NaN":                       func(c *Config) { c.Colour = math.NaN() },
		"smoothing is 1":                      func(c *Config) { c.Smoothing = 1 },
		"rate_penalty is -1":                  func(c *Config) { c.RatePenalty = -1 },
		`spline is "quintic", want one of`:    func(c *Config) { c.Spline = "quintic" },
		`risk is "var", want one of mean`:     func(c *Config) { c.Risk = "var" },
		"ensemble is -1":                      func(c *Config) { c.Ensemble = -1 },
		"spread is -1":                        func(c *Config) { c.Spread = -1 },
		"level is 0, want 0.001 to 1":         func(c *Config) { c.Level = 0 },
		"shrink is 0":                         func(c *Config) { c.Shrink = 0 },
		"carry_elites is set":                 func(c *Config) { c.CarryElites = true },
		"want at most 1e9":                    func(c *Config) { c.Samples, c.Horizon, c.Ensemble = 1_000_000, 100, 11 },
		"milliseconds is -1, want 0 to 1e+06": func(c *Config) { c.Milliseconds = -1 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// An episode that was interrupted, at any step, and resumed is that which was left alone, bit for bit; and so is one
// that was made longer.
func TestResume(t *testing.T) {
	c := tiny("doubleintegrator")
	c.Steps, c.Repeat, c.KeepElites, c.CarryElites, c.RatePenalty, c.Ensemble, c.Figures = 9, 2, 2, true, 0.1, 3, false
	file := func(dir, name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		noError(t, err)
		return string(b)
	}
	whole := t.TempDir()
	noError(t, Run(context.Background(), c, run.Options{Out: whole, Progress: silent}, &bytes.Buffer{}))
	dir := t.TempDir()
	for _, steps := range []int{3, 4, 9} {
		part := c
		part.Steps = steps
		noError(t, Run(context.Background(), part, run.Options{Out: dir, Resume: steps > 3, Progress: silent}, &bytes.Buffer{}))
	}
	for _, name := range []string{TrajectoryFile, run.CheckpointFile} {
		if file(dir, name) != file(whole, name) {
			t.Errorf("%s differs after resuming", name)
		}
	}
	r, err := run.ReadResult(dir)
	noError(t, err)
	if n := r.Metrics["plans_iteration_limit"]; n != 5 {
		t.Errorf("%v of 5 plans went to their limit", n)
	}
	// One that is finished has nothing left to do, and its figures can be drawn all the same.
	c.Figures = true
	var out bytes.Buffer
	noError(t, Run(context.Background(), c, run.Options{Out: dir, Resume: true, Progress: silent}, &out))
	if strings.Contains(out.String(), "planning") {
		t.Errorf("nothing was planned, and yet:\n%s", &out)
	}
	other := c
	other.Samples++
	if err := Run(context.Background(), other, run.Options{Out: dir, Resume: true, Progress: silent}, &out); err == nil ||
		!strings.Contains(err.Error(), "samples is 31, was 30") {
		t.Errorf("error %v", err)
	}
}

// The sensitivity of a plan is what a finite change of a parameter, or of the state, makes of it.
func TestSensitivities(t *testing.T) {
	c := tiny("doubleintegrator")
	x0 := []float64{-1.2, 0.3, 0.4, -0.1}
	all, err := c.sensitivities(context.Background(), x0)
	noError(t, err)
	found := map[string][]float64{}
	for _, s := range all {
		found[s.name] = s.du
	}
	mean := func(c Config, x0 []float64) []float64 { // of the plans with the same noises
		e, _, err := c.systems()
		noError(t, err)
		p := c.plan(e, sensitivityPlans)
		p.Hard, p.Temperature = false, 1
		s, err := dcem.NewController[float64](nil, modelOf(e, nil), p, dcem.ControllerOptions{})
		noError(t, err)
		defer s.Close()
		r, err := s.Plan(context.Background(), slices.Concat(slices.Repeat(x0, sensitivityPlans)))
		noError(t, err)
		u := make([]float64, len(r.Controls)/sensitivityPlans)
		for i, v := range r.Controls {
			u[i%len(u)] += v / sensitivityPlans
		}
		return u
	}
	const h = 1e-5
	compare := func(name string, up, down []float64) {
		t.Helper()
		want := make([]float64, len(up))
		for i := range want {
			want[i] = (up[i] - down[i]) / (2 * h)
		}
		check.Close(t, name, found[name], want, 1e-6) // central differences: h^2 and 1e-16/h
		if slices.Max(want) == 0 && slices.Min(want) == 0 {
			t.Errorf("%s: the plan does not change", name)
		}
	}
	for name, value := range map[string]float64{"mass": 1, "weight_obstacle": 2} {
		with := func(v float64) Config { c := c; c.Model = fmt.Sprintf("%s=%.17g", name, v); return c }
		compare(name, mean(with(value*(1+h)), x0), mean(with(value*(1-h)), x0))
	}
	up, down := slices.Clone(x0), slices.Clone(x0)
	up[1], down[1] = up[1]+h, down[1]-h
	compare("py", mean(c, up), mean(c, down))
}

// The derivatives of a long plan are those of a shorter one, which is as valid.
func TestSensitivityOfALongPlan(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"plain":      func(*Config) {},
		"one repeat": func(c *Config) { c.Repeat = 400 },
		"few knots":  func(c *Config) { c.Knots = 2 },
		"all knots":  func(c *Config) { c.Knots = 400 },
	} {
		c := tiny("pendulum")
		c.Horizon = 400
		change(&c)
		noError(t, c.Validate())
		p := c.sensitivityPlan(env.Pendulum{})
		if p.Horizon != sensitivitySteps || p.Repeat > p.Horizon || p.Knots > p.Horizon || (p.Knots < 2) != (c.Knots == 0) {
			t.Errorf("%s: horizon %d, repeat %d, knots %d", name, p.Horizon, p.Repeat, p.Knots)
		}
		s := &study{c: c}
		if text := s.aboutSensitivity(); !strings.Contains(text, "a plan of 60 steps, not 400") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// Plans for an ensemble whose worst member counts are dearer, by the model's own cost, than plans for the model.
func TestEnsembleOptions(t *testing.T) {
	c := tiny("pendulum")
	c.Ensemble, c.Spread, c.Steps, c.Temperature = 4, 0.3, 1, 1
	e, _, err := c.systems()
	noError(t, err)
	members := c.members(e)
	if len(members) != 3 || len(members["mass"]) != 4 || members["mass"][0] != 1 || members["mass"][1] == 1 || members["weight_u"] != nil {
		t.Errorf("members %v", members)
	}
	first := func(risk string, level float64) []float64 {
		c := c
		c.Risk, c.Level = risk, level
		all, err := Simulate(context.Background(), c, [][]float64{{0.6, 0.8, 1}}, nil)
		noError(t, err)
		return all[0].Planned.U
	}
	if slices.Equal(first("mean", 1), first("worst", 1)) || !slices.Equal(first("worst", 1), first("cvar", 0.25)) ||
		!slices.Equal(first("mean", 1), first("cvar", 1)) {
		t.Error("the mean is the worst, or CVaR is neither at its ends")
	}
	worst := first("worst", 1)
	c.Ensemble = 1
	one, err := Simulate(context.Background(), c, [][]float64{{0.6, 0.8, 1}}, nil)
	noError(t, err)
	if c.members(e) != nil || slices.Equal(one[0].Planned.U, worst) {
		t.Error("an ensemble of one is an ensemble")
	}
}

// The map shows the whole way over the cost of resting; what does not move in a plane has none.
func TestPlane(t *testing.T) {
	c := tiny("doubleintegrator")
	c.Steps, c.Model, c.Start = 6, "goal_y=0.5", []float64{-5, 0.2, 0, 0}
	e, _, err := c.systems()
	noError(t, err)
	all, err := Simulate(context.Background(), c, [][]float64{c.start(e)}, nil)
	noError(t, err)
	s := &study{c: c, plant: e, episode: all[0]}
	f, ok := s.plane().(viz.Samples2D)
	if !ok || len(f.Path) != 7 || f.Path[0] != (viz.Point{X: -5, Y: 0.2}) || len(f.Curves[0].X) != c.Horizon+1 {
		t.Fatalf("the map is %+v", f)
	}
	if f.Target[0] != (viz.Point{X: 1.5, Y: 0.5}) || f.Field.X[0] > -5 || f.Field.X[mapPoints-1] < 1.5 {
		t.Errorf("target %v, from x = %v to %v", f.Target, f.Field.X[0], f.Field.X[mapPoints-1])
	}
	want := e.CostGo([]float64{f.Field.X[3], f.Field.Y[5], 0, 0}, []float64{0, 0}, env.Defaults(e))
	if got := f.Field.Z[3*mapPoints+5]; got != want {
		t.Errorf("cost %v, want %v", got, want)
	}
	noError(t, viz.Save(filepath.Join(t.TempDir(), mapFigure), f))
	for _, name := range []string{"pendulum", "cartpole"} {
		e, err := env.ByName(name)
		noError(t, err)
		if p := (&study{c: tiny(name), plant: e, episode: &Episode{X: [][]float64{make([]float64, e.StateDim())}}}).plane(); p != nil {
			t.Errorf("%s has a map", name)
		}
	}
}

// A plan is looked at where the cost falls most within its horizon, never where the state is lost.
func TestTurn(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		cost []float64
		lost int // step from which on the state is; 0: never
		h    int
		want int
	}{
		{[]float64{4, 4, 4.5, 1, 0, 0}, 0, 1, 2}, {[]float64{4, 4, 4.5, 1, 0, 0}, 0, 2, 2}, {[]float64{4, 3, 3, 2.9, 0, 0}, 0, 4, 0},
		{[]float64{1, 2, 3}, 0, 1, 2}, {[]float64{nan, nan}, 0, 1, 0}, {[]float64{3, 2, 9, 1}, 2, 1, 0}, {nil, 0, 5, 0},
	} {
		e := &Episode{Cost: c.cost}
		for t := range len(c.cost) + 1 {
			x := []float64{1}
			if c.lost > 0 && t >= c.lost {
				x[0] = nan
			}
			e.X = append(e.X, x)
		}
		if got := e.turn(c.h); got != c.want {
			t.Errorf("costs %v, lost from %d, horizon %d: step %d, want %d", c.cost, c.lost, c.h, got, c.want)
		}
	}
}
