package paper

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
	"github.com/godcem/godcem/models/control/embed"
)

const (
	ablationFigure = "ablation.png"
	reportFile     = "report.html"
)

// findings are the parts' results.
type findings struct {
	c       Config
	dir     string
	metrics map[string]float64
	seconds float64 // of all parts
	// of the ablation, by inner iterations from 1 on, through DCEM and through gradient descent
	ablations [len(ablated)][2][]float64
}

var methods = [2]string{"dcem", "gd"}

// ablated are what the ablation looks at.
var ablated = [...]struct {
	metric, title, y, short string
	log                     bool
	format                  string
}{
	{"mse", "Error of the prediction", "mean squared error", "mse", true, "%.3g"},
	{"mse_cem", "The same energies, searched by vanilla CEM", "mean squared error", "mse, CEM", true, "%.3g"},
	{"minimum_share", "Least energy at the data", "share of the x", "share", false, "%.2f"},
}

// collect reads the parts' results.
func (c Config) collect(dir string) (*findings, error) {
	f := &findings{c: c, dir: dir, metrics: map[string]float64{}}
	for _, p := range c.parts() {
		r, err := run.ReadResult(filepath.Join(dir, p.name))
		if err != nil {
			return nil, err
		}
		f.seconds += r.Seconds
		if p.name == regressionFolder || p.name == cartpoleFolder {
			for name, v := range r.Metrics {
				f.metrics[p.name+"_"+name] = v
			}
		}
	}
	for k := 1; k <= c.Most; k++ {
		r, err := run.ReadResult(filepath.Join(dir, c.ablationFolder(k)))
		if err != nil {
			return nil, err
		}
		for i, a := range ablated {
			for j, method := range methods {
				v := r.Metrics[method+"_"+a.metric]
				f.ablations[i][j] = append(f.ablations[i][j], v)
				f.metrics[fmt.Sprintf("ablation_%s_%s_%d", method, a.metric, k)] = v
			}
		}
	}
	return f, nil
}

// show writes the figure and the report.
func (f *findings) show() error {
	if err := f.draw(); err != nil {
		return err
	}
	return f.report()
}

// draw writes the figure of the ablation; the others are the parts' own.
func (f *findings) draw() error {
	var x []float64
	for k := 1; k <= f.c.Most; k++ {
		x = append(x, float64(k))
	}
	var plots []viz.Plot
	for i, a := range ablated {
		l := viz.Lines{Axes: viz.Axes{Title: a.title, X: "inner iterations", Y: a.y}, LogY: a.log, Series: []viz.Series{
			{Name: "DCEM", X: x, Y: f.ablations[i][0]}, {Name: "gradient descent", X: x, Y: f.ablations[i][1]}}}
		if !a.log {
			l.YRange = [2]float64{0, 1.04}
		}
		plots = append(plots, l)
	}
	g := viz.SideBySide("", plots...)
	g.Width, g.Height = 1440, 420
	return viz.Save(filepath.Join(f.dir, ablationFigure), g)
}

// table is the ablation in numbers.
func (f *findings) table() *viz.Table {
	t := &viz.Table{Caption: fmt.Sprintf("Regression by the number of inner iterations, %d updates each: mean squared "+
		"error of the predictions, of predictions by vanilla CEM on the same energy, and share of the x with the least "+
		"energy at the data.", f.c.ablation(1).Updates), Header: []string{"iterations"}}
	for _, a := range ablated {
		t.Header = append(t.Header, "DCEM: "+a.short, "descent: "+a.short)
	}
	for k := range f.c.Most {
		row := []string{strconv.Itoa(k + 1)}
		for i, a := range ablated {
			row = append(row, fmt.Sprintf(a.format, f.ablations[i][0][k]), fmt.Sprintf(a.format, f.ablations[i][1][k]))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// report puts the figures of all parts on one page.
func (f *findings) report() error {
	config, err := os.ReadFile(filepath.Join(f.dir, run.ConfigFile))
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	figure := func(caption string, path ...string) viz.Figure {
		return viz.Figure{Path: filepath.Join(append([]string{f.dir}, path...)...), Caption: caption}
	}
	note := ""
	if f.c.Preset == Quick && f.c.Updates == 0 {
		note = " This is the quick preset: the trainings are a small part of the paper's, and end before they have " +
			"converged."
	}
	e := f.c.cartpole()
	return viz.WriteReport(filepath.Join(f.dir, reportFile), viz.Report{
		Title: "The differentiable cross-entropy method: the paper's experiments",
		Intro: "Both experiments of Amos and Yarats, The differentiable cross-entropy method (ICML 2020): models that " +
			"have an optimiser inside, DCEM, and unrolled gradient descent for comparison." + note,
		Sections: []viz.Section{
			{Heading: "Regression with an energy", Text: f.aboutRegression(),
				Figures: []viz.Figure{
					figure("Predictions at all points: where the search on the energy ends.", regressionFolder, "fit.png"),
					figure("Learnt energies, pale where low; those of each x are scaled to [0, 1], and the colours are "+
						"logarithmic. What the search tried is light at first and black at last.", regressionFolder, "surface.png"),
					figure("Energies over y at four x.", regressionFolder, "slices.png"),
					figure("The loss of the updates, its validation, and the share of the x at which the least energy lies "+
						"within 0.75 of the data.", regressionFolder, "loss.png")}},
			{Heading: "How many inner iterations", Text: "Each model is trained with that many iterations of its search, " +
				"one seed each, and predicts with as many. One step of gradient descent from a fixed y is a feed-forward net, " +
				"the slope of the energy there: the prediction may be good, but there is no energy whose minimum predicts. So " +
				"the learnt energies are searched by vanilla CEM too, with as many iterations, and for the share of the x all " +
				"over a grid.",
				Figures: []viz.Figure{figure("The same regression by the number of inner iterations.", ablationFigure)},
				Table:   f.table()},
			{Heading: "Planning in a learnt latent space", Text: f.aboutCartpole(e),
				Figures: []viz.Figure{
					figure("Validations over the updates, beside vanilla CEM over all forces by the same answer.", cartpoleFolder, "cost.png"),
					figure(fmt.Sprintf("What the plan of each point of the latent space costs from the hanging pole, pale where "+
						"cheap, and where the searches look: the samples of DCEM contract in %d iterations, their ellipse is one "+
						"sigma.", e.Iterations), cartpoleFolder, "latent.png"),
					figure("Latent DCEM, one iteration after the other.", cartpoleFolder, "search.gif"),
					figure("From the hanging pole: one plan carried out to its end, and the closed loop, which plans anew at "+
						"every step.", cartpoleFolder, "trajectories.png"),
					figure("The closed loop with latent DCEM, in real time: above with the answer of the preset, below with the "+
						"other one of the same searches (the mean of the last samples, the best plan tried).",
						cartpoleFolder, "closed-loop-dcem.gif"),
					figure("With latent gradient descent.", cartpoleFolder, "closed-loop-gd.gif"),
					figure("Closed loops from other starts too, beside the expert's.", cartpoleFolder, "closed-loops.png"),
					figure("Sensitivity of the plan: derivatives of its forces with respect to the state it starts from, through "+
						"the search.", cartpoleFolder, "sensitivity.png")}},
			{Heading: "Configuration", Code: string(config), Text: "Each part has a folder with a report of its own. The " +
				"same configuration gives the same numbers, bit for bit:\n\ngodcem paper --config config.yaml --out out/again"},
		},
	})
}

// aboutRegression says what came of the first experiment, and what that means where the numbers bear it out.
func (f *findings) aboutRegression() string {
	m := f.metrics
	through, descent := m["regression_dcem_minimum_share"], m["regression_gd_minimum_share"]
	text := fmt.Sprintf("An energy E(x, y) predicts y by a search for where it is least. Trained through DCEM for %d "+
		"updates the least energy lies at the data for %.0f%% of the x, trained through gradient descent for %.0f%%. "+
		"Mean squared errors of the predictions: %.3g and %.3g.",
		f.c.regression().Updates, 100*through, 100*descent, m["regression_dcem_mse"], m["regression_gd_mse"])
	if through >= 0.7 && descent <= 0.3 {
		text += " Both predict by the search that they were trained with; but gradient descent has learnt a way down " +
			"that ends at the data after so many steps, and no minimum there."
	}
	return text
}

// aboutCartpole says what came of the second.
func (f *findings) aboutCartpole(e embed.Config) string {
	m := f.metrics
	learns := "the decoder learns through it"
	if e.Learn == embed.Best {
		learns = "the decoder learns from the best plan that it has tried, whose numbers are held fixed (that of gradient " +
			"descent through it)"
	}
	const mean, best = "the mean of its last samples", "the best plan of all that it has tried"
	answer, other := mean, best
	if e.Answer == embed.Best {
		answer, other = best, mean
	}
	text := fmt.Sprintf("A decoder turns %d numbers into a plan of %d forces for the cartpole; the search is over the "+
		"numbers, and %s. Of at most %d updates the state with the best validation counts: its plans "+
		"cost %.4g on average, from initial states that no training has seen; through gradient descent %.4g. Vanilla "+
		"CEM over the forces themselves has %.4g with %d samples, %.4g with %d and %.4g with %d, and with %d iterations "+
		"%.4g. Searches by either CEM answer with %s; latent DCEM with %s: %.4g. ",
		e.Latent, e.Horizon, learns, e.Updates, m["cartpole_dcem_cost"], m["cartpole_gd_cost"],
		f.expert("expert_small", e), embed.Small.Samples, f.expert("expert_medium", e), embed.Medium.Samples,
		f.expert("expert", e), embed.Ordinary.Samples, embed.Strong.Iterations, f.expert("expert_strong", e), answer, other,
		m["cartpole_dcem_other_cost"])
	return text + fmt.Sprintf("In closed loop, replanned at every step, poles stand for %.0f%% of the second half of the "+
		"time with latent DCEM (answering with %s: %.0f%%), %.0f%% with latent gradient descent and %.0f%% with vanilla CEM. "+
		"The decoders have been trained from slow carts near the middle alone; godcem cartpole --answer best --along 8 plans "+
		"with the best plan tried and draws half of the states of an update of 16 from closed loops.",
		100*m["cartpole_dcem_episode_upright"], other, 100*m["cartpole_dcem_other_episode_upright"],
		100*m["cartpole_gd_episode_upright"], 100*m["cartpole_dcem_expert_episode_upright"])
}

// expert is an expert's mean cost by the answer of the latent search.
func (f *findings) expert(name string, e embed.Config) float64 {
	if e.Answer == embed.Best {
		name += "_best"
	}
	return f.metrics["cartpole_dcem_"+name+"_cost"]
}
