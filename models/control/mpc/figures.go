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
	timingFigure      = "timing.png"
	sensitivityFigure = "sensitivity.png"
	movieFigure       = "closed-loop.gif"
	reportFile        = "report.html"
)

var allFigures = []string{trajectoryFigure, timingFigure, sensitivityFigure, movieFigure, reportFile}

// draw writes all pictures, until ctx is done.
func (s *study) draw(ctx context.Context) (err error) {
	if s.moves, err = s.c.sensitivities(ctx, s.episode.X[0]); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		plot viz.Plot
	}{{trajectoryFigure, s.trajectory()}, {timingFigure, s.timing()}, {sensitivityFigure, s.sensitivityPlot()}} {
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
			"the %.0f ms between two", s.c.Samples, s.c.Iterations, s.c.Horizon, 100*s.metrics["period_share"], s.period()), X: "ms", Y: "plans", Height: 400},
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
		short = fmt.Sprintf(" It is of a plan of %d steps, not %d, whose derivatives would take too long.", sensitivitySteps, s.c.Horizon)
	}
	return fmt.Sprintf("By how much each control of the plan from the initial state changes: with the parameters, per share of them "+
		"(1 is 100 %%, so that a hundredth of it is what 1 %% changes), and with the elements of the state, per unit. It is the gradient "+
		"through the whole search by DCEM with tau = %g, the mean over %d noises.%s%s", tau, sensitivityPlans, hard, short)
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
	timing := viz.Section{Heading: "Planning time", Text: "Of this run on this machine. The first plan is not in the table: it finds cold caches."}
	if len(s.episode.Plan) > 0 {
		timing.Figures = []viz.Figure{figure(timingFigure, "How many plans took how long.")}
	} else {
		timing.Text = "The episode was finished before: no plan was made that could be timed."
	}
	moved := viz.Section{Heading: "Sensitivity of the plan", Text: s.aboutSensitivity()}
	if s.sensitivityPlot() != nil {
		moved.Figures = []viz.Figure{figure(sensitivityFigure, "What changes each control of the first plan, and by how much.")}
	}
	return viz.WriteReport(filepath.Join(s.dir, reportFile), viz.Report{
		Title: "Model predictive control: " + s.c.Env,
		Intro: fmt.Sprintf("At every step the cross-entropy method plans %d steps ahead, with %d samples, %d elites and %d "+
			"iterations; the first control is carried out, and the next plan starts from what is left of this one.",
			s.c.Horizon, s.c.Samples, s.c.Elites, s.c.Iterations),
		Sections: []viz.Section{
			{Heading: "The closed loop", Text: "Where the first plan and what came of it part, later plans knew better.",
				Figures: []viz.Figure{figure(movieFigure, "In real time."), figure(trajectoryFigure, "States, controls and costs.")}},
			moved, timing,
			{Heading: "Numbers of the run", Table: t},
			{Heading: "Configuration", Code: config, Text: "The same configuration and seed give the same controls, bit for bit, " +
				"unless plans are limited in time:\n\ngodcem mpc --config config.yaml --out out/again"},
		},
	})
}
