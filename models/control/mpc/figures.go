package mpc

import (
	"context"
	"fmt"
	"image"
	"image/draw"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/godcem/godcem/internal/viz"
	"github.com/godcem/godcem/models/env"
)

// Names of the pictures in the out folder.
const (
	trajectoryFigure  = "trajectory.png"
	mapFigure         = "map.png"
	timingFigure      = "timing.png"
	sensitivityFigure = "sensitivity.png"
	movieFigure       = "closed-loop.gif"
	reportFile        = "report.html"
)

var allFigures = []string{trajectoryFigure, mapFigure, timingFigure, sensitivityFigure, movieFigure, reportFile}

// draw writes all pictures, until ctx is done.
func (s *study) draw(ctx context.Context) (err error) {
	s.turn = s.episode.turn(s.c.Horizon)
	if s.moves, err = s.c.sensitivities(ctx, s.episode.X[s.turn]); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		plot viz.Plot
	}{{trajectoryFigure, s.trajectory()}, {mapFigure, s.plane()}, {timingFigure, s.timing()},
		{sensitivityFigure, s.sensitivityPlot()}} {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if f.plot == nil {
			continue
		}
		if err := viz.Save(filepath.Join(s.dir, f.name), f.plot); err != nil {
			return err
		}
	}
	return movie(filepath.Join(s.dir, movieFigure), s.plant, s.episode)
}

// trajectory is states and controls over time, with the first plan beside what came of it.
func (s *study) trajectory() viz.Plot {
	e, dt := s.episode, s.plant.Dt()
	times := func(n int) []float64 {
		t := make([]float64, n)
		for i := range t {
			t[i] = float64(i) * dt
		}
		return t
	}
	column := func(rows [][]float64, j int) []float64 {
		y := make([]float64, len(rows))
		for i := range rows {
			y[i] = rows[i][j]
		}
		return y
	}
	every := func(flat []float64, width, j int) (y []float64) {
		for i := j; i < len(flat); i += width {
			y = append(y, flat[i])
		}
		return y
	}
	var plots []viz.Plot
	tile := func(name, title string, happened, planned []float64) {
		plots = append(plots, viz.Lines{Axes: viz.Axes{Title: title + " " + name, X: "t, s", Y: name}, Series: []viz.Series{
			{Name: "closed loop", X: times(len(happened)), Y: happened},
			{Name: "first plan", X: times(len(planned)), Y: planned},
		}})
	}
	for j, name := range s.plant.States() {
		tile(name, "State", column(e.X, j), every(e.Planned.X, s.plant.StateDim(), j))
	}
	for j, name := range s.plant.Controls() {
		tile(name, "Control", column(e.U, j), every(e.Planned.U, s.plant.ControlDim(), j))
	}
	plots = append(plots, viz.Lines{Axes: viz.Axes{Title: "Cost of each step", X: "t, s", Y: "cost"},
		Series: []viz.Series{{Name: "closed loop", X: times(len(e.Cost)), Y: e.Cost}}})
	g := viz.SideBySide("", plots...)
	g.Columns = min(3, len(plots))
	g.Width, g.Height = 480*g.Columns, 340*((len(plots)+g.Columns-1)/g.Columns)
	return g
}

// mapPoints are those of the map along each side.
const mapPoints = 121

// plane is the way of what moves in a plane, from above, over the cost of resting there; nil of all else.
func (s *study) plane() viz.Plot {
	names := s.plant.States()
	at := slices.Index(names, "px") // py follows
	if at < 0 || at != slices.Index(names, "py")-1 {
		return nil
	}
	low, high := [2]float64{-2.1, -1.7}, [2]float64{2.1, 1.7} // what the movie shows, or more where the way leads out
	way := func(x []float64, width int) (pts []viz.Point) {
		for ; len(x) >= width; x = x[width:] {
			pts = append(pts, viz.Point{X: x[at], Y: x[at+1]})
			for j, v := range []float64{x[at], x[at+1]} {
				if math.Abs(v) <= 100 {
					low[j], high[j] = min(low[j], v-0.2), max(high[j], v+0.2)
				}
			}
		}
		return pts
	}
	f := viz.Samples2D{Axes: viz.Axes{Title: "The closed loop from above", X: "px, m", Y: "py, m", Height: 580},
		Path: way(slices.Concat(s.episode.X...), s.plant.StateDim()), PathName: "closed loop", Bar: "cost of resting there"}
	plan := viz.Series{Name: "first plan"}
	for _, p := range way(s.episode.Planned.X, s.plant.StateDim()) {
		plan.X, plan.Y = append(plan.X, p.X), append(plan.Y, p.Y)
	}
	f.Curves = []viz.Series{plan}
	believed, _, err := s.c.systems()
	if err != nil {
		return nil // cannot be: they have been controlled
	}
	params := believed.Params()
	if x, y := param(params, "goal_x"), param(params, "goal_y"); !math.IsNaN(x + y) {
		f.Target = []viz.Point{{X: x, Y: y}}
	}
	x, u := make([]float64, s.plant.StateDim()), make([]float64, s.plant.ControlDim())
	f.Field = viz.NewField(low[0], high[0], mapPoints, low[1], high[1], mapPoints, func(px, py float64) float64 {
		x[at], x[at+1] = px, py
		return believed.CostGo(x, u, env.Defaults(believed))
	})
	return f
}

// param is the value of that name, NaN if there is none.
func param(params []env.Param, name string) float64 {
	for _, p := range params {
		if p.Name == name {
			return p.Value
		}
	}
	return math.NaN()
}

// timing is the histogram of the plans' times.
func (s *study) timing() viz.Plot {
	plans := sorted(s.episode.Plan)
	if len(plans) == 0 {
		return nil // of an episode that was finished before
	}
	top := quantile(plans, 0.99) * 1.2
	const bins = 40
	var x, y []float64
	for i := range bins {
		lo, hi := top*float64(i)/bins, top*float64(i+1)/bins
		n := 0.0
		for _, ms := range plans {
			if ms >= lo && (ms < hi || i == bins-1) {
				n++
			}
		}
		x, y = append(x, lo, hi), append(y, n, n)
	}
	return viz.Lines{
		Axes: viz.Axes{Title: fmt.Sprintf("Time of a plan: %d samples, %d iterations, %d steps ahead; the median is %.1f %% of "+
			"the %.0f ms between two", s.c.Samples, s.c.Iterations, s.c.Horizon, 100*s.metrics["period_share"],
			s.period()), X: "ms", Y: "plans", Height: 400},
		Series: []viz.Series{{Name: "plans", X: x, Y: y}},
		Marks:  []viz.Mark{{At: quantile(plans, 0.5), Label: "median"}, {At: quantile(plans, 0.95), Label: "95 %"}},
	}
}

// longestMovie is the most steps that are drawn.
const longestMovie = 1000

// movie shows closed loops in real time, side by side.
func movie(path string, plant env.Env, episodes ...*Episode) error {
	m := viz.Movie{Delay: time.Duration(math.Round(plant.Dt()*100)) * 10 * time.Millisecond}
	size := image.Rect(0, 0, 320, 320)
	if slices.Contains(plant.States(), "x") { // a cart needs room beside it
		size = image.Rect(0, 0, 480, 240)
	}
	for i := range episodes[0].X[:min(longestMovie, len(episodes[0].X))] {
		frame := image.NewRGBA(image.Rect(0, 0, size.Dx()*len(episodes), size.Dy()))
		for j, e := range episodes {
			img := image.NewRGBA(size)
			var u []float64
			if i < len(e.U) {
				u = e.U[i]
			}
			plant.Draw(img, e.X[i], u)
			draw.Draw(frame, size.Add(image.Pt(j*size.Dx(), 0)), img, image.Point{}, draw.Src)
		}
		m.Frames = append(m.Frames, frame)
	}
	return viz.SaveMovie(path, m)
}

// aboutSensitivity says what the figure is of.
func (s *study) aboutSensitivity() string {
	tau := s.c.Temperature
	hard := ""
	if tau == 0 {
		tau = 1
		hard = " The episode's own plans choose their elites by a hard cut, which has no gradient."
	}
	short := ""
	if s.c.Horizon > sensitivitySteps {
		short = fmt.Sprintf(" It is of a plan of %d steps, not %d, whose derivatives would take too long.",
			sensitivitySteps, s.c.Horizon)
	}
	from := "the initial state"
	if s.turn > 0 {
		from = fmt.Sprintf("the state at t = %.3g s, after which the closed loop's cost falls most within a plan's horizon,", float64(s.turn)*s.plant.Dt())
	}
	return fmt.Sprintf("By how much each control of the plan from %s changes: with the logarithms of the parameters "+
		"(a hundredth of it is what 1 %% more changes), and with the elements of the state, per unit. It is the gradient "+
		"through the whole search by DCEM with tau = %g, the mean over %d noises.%s%s", from, tau, sensitivityPlans,
		hard, short)
}

// report writes the page that explains the pictures.
func (s *study) report() error {
	config, err := readConfig(s.dir)
	if err != nil {
		return err
	}
	figure := func(name, caption string) viz.Figure {
		return viz.Figure{Path: filepath.Join(s.dir, name), Caption: caption}
	}
	t := &viz.Table{Header: []string{"quantity", "value"}}
	for _, r := range []struct{ name, metric, format string }{
		{"sum of the costs", "cost", "%.5g"},
		{"share of the last 50 steps with cos theta above 0.98", "upright_last_50", "%.2f"},
		{"median time of a plan, ms", "plan_ms_median", "%.3f"},
		{"95 % of the plans took less than, ms", "plan_ms_p95", "%.3f"},
		{"the longest plan, ms", "plan_ms_worst", "%.3f"},
		{"median plan over the time between two", "period_share", "%.4f"},
	} {
		if v, ok := s.metrics[r.metric]; ok {
			t.Rows = append(t.Rows, []string{r.name, fmt.Sprintf(r.format, v)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.metrics)) {
		if status, ok := strings.CutPrefix(name, "plans_"); ok {
			t.Rows = append(t.Rows, []string{"plans that ended with: " + strings.ReplaceAll(status, "_", " "),
				fmt.Sprintf("%.0f", s.metrics[name])})
		}
	}
	timing := viz.Section{Heading: "Planning time",
		Text: "Of this run on this machine. The first plan is not in the table: it finds cold caches."}
	if len(s.episode.Plan) > 0 {
		timing.Figures = []viz.Figure{figure(timingFigure, "How many plans took how long.")}
	} else {
		timing.Text = "The episode was finished before: no plan was made that could be timed."
	}
	moved := viz.Section{Heading: "Sensitivity of the plan", Text: s.aboutSensitivity()}
	if s.sensitivityPlot() != nil {
		moved.Figures = []viz.Figure{figure(sensitivityFigure, "What changes each control of that plan, and by how much.")}
	}
	loops := []viz.Figure{figure(movieFigure, "In real time.")}
	if s.plane() != nil {
		loops = append(loops,
			figure(mapFigure, "The way through the plane, over what it costs to rest at each point of it."))
	}
	loops = append(loops, figure(trajectoryFigure, "States, controls and costs."))
	return viz.WriteReport(filepath.Join(s.dir, reportFile), viz.Report{
		Title: "Model predictive control: " + s.c.Env,
		Intro: fmt.Sprintf("At every step the cross-entropy method plans %d steps ahead, with %d samples, %d elites and %d "+
			"iterations; the first control is carried out, and the next plan starts from what is left of this one.",
			s.c.Horizon, s.c.Samples, s.c.Elites, s.c.Iterations),
		Sections: []viz.Section{
			{Heading: "The closed loop", Text: "Where the first plan and what came of it part, later plans knew better.",
				Figures: loops},
			moved, timing,
			{Heading: "Numbers of the run", Table: t},
			{Heading: "Configuration", Code: config,
				Text: "The same configuration and seed give the same controls, bit for bit, " +
					"unless plans are limited in time:\n\ngodcem mpc --config config.yaml --out out/again"},
		},
	})
}
