package paper

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
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
	// of the ablation, by inner iterations from 1 on: mean squared error and share of the x with the least energy at the
	// data, through DCEM and through gradient descent
	mse, share [2][]float64
}

var methods = [2]string{"dcem", "gd"}

// collect reads the parts' results.
func (c Config) collect(dir string) (*findings, error) {
	f := &findings{c: c, dir: dir, metrics: map[string]float64{}}
	take := func(folder, prefix string) (map[string]float64, error) {
		r, err := run.ReadResult(filepath.Join(dir, folder))
		if err != nil {
			return nil, err
		}
		for name, v := range r.Metrics {
			f.metrics[prefix+name] = v
		}
		return r.Metrics, nil
	}
	if _, err := take(regressionFolder, "regression_"); err != nil {
		return nil, err
	}
	if _, err := take(cartpoleFolder, "cartpole_"); err != nil {
		return nil, err
	}
	for k := 1; k <= c.Most; k++ {
		m, err := run.ReadResult(filepath.Join(dir, ablationFolder, strconv.Itoa(k)))
		if err != nil {
			return nil, err
		}
		for i, method := range methods {
			mse, share := m.Metrics[method+"_mse"], m.Metrics[method+"_minimum_share"]
			f.mse[i], f.share[i] = append(f.mse[i], mse), append(f.share[i], share)
			f.metrics[fmt.Sprintf("ablation_%s_mse_%d", method, k)] = mse
			f.metrics[fmt.Sprintf("ablation_%s_minimum_share_%d", method, k)] = share
		}
	}
	return f, nil
}

// draw writes the figure of the ablation; the others are the parts' own.
func (f *findings) draw() error {
	var x []float64
	for k := 1; k <= f.c.Most; k++ {
		x = append(x, float64(k))
	}
	lines := func(title, y string, log bool, v [2][]float64) viz.Plot {
		return viz.Lines{Axes: viz.Axes{Title: title, X: "inner iterations", Y: y}, LogY: log, Series: []viz.Series{
			{Name: "DCEM", X: x, Y: v[0]}, {Name: "gradient descent", X: x, Y: v[1]}}}
	}
	g := viz.SideBySide("", lines("Error of the prediction", "mean squared error", true, f.mse),
		lines("Least energy at the data", "share of the x", false, f.share))
	g.Width, g.Height = 1120, 420
	return viz.Save(filepath.Join(f.dir, ablationFigure), g)
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
	m, r, e := f.metrics, f.c.regression(), f.c.cartpole()
	table := &viz.Table{Caption: fmt.Sprintf("Regression by the number of inner iterations, %d updates each.", f.c.ablation(1).Updates),
		Header: []string{"inner iterations", "mse, DCEM", "mse, gradient descent", "least energy at the data, DCEM", "gradient descent"}}
	for k := range f.c.Most {
		table.Rows = append(table.Rows, []string{strconv.Itoa(k + 1), fmt.Sprintf("%.3g", f.mse[0][k]), fmt.Sprintf("%.3g", f.mse[1][k]),
			fmt.Sprintf("%.2f", f.share[0][k]), fmt.Sprintf("%.2f", f.share[1][k])})
	}
	note := ""
	if f.c.Preset == Quick && f.c.Updates == 0 {
		note = " This is the quick preset: the trainings are a small part of the paper's, and end before they have converged."
	}
	return viz.WriteReport(filepath.Join(f.dir, reportFile), viz.Report{
		Title: "The differentiable cross-entropy method: the paper's experiments",
		Intro: "Both experiments of Amos and Yarats, The differentiable cross-entropy method (ICML 2020), with an optimiser inside of " +
			"a model: DCEM, and unrolled gradient descent beside it." + note,
		Sections: []viz.Section{
			{Heading: "Regression with an energy", Text: fmt.Sprintf("An energy E(x, y) predicts by the y where it is least. Trained "+
				"through DCEM for %d updates it has its minimum at the data for %.0f%% of the x, through gradient descent for %.0f%%: "+
				"there it is the descent's way that is learnt. Mean squared errors: %.3g and %.3g.", r.Updates,
				100*m["regression_dcem_minimum_share"], 100*m["regression_gd_minimum_share"], m["regression_dcem_mse"], m["regression_gd_mse"]),
				Figures: []viz.Figure{figure("What the models predict.", regressionFolder, "fit.png"),
					figure("Energies over y for each x: pale is low.", regressionFolder, "surface.png"),
					figure("Losses over the updates.", regressionFolder, "loss.png")}},
			{Heading: "How many inner iterations", Text: "Each model is trained and predicts with that many iterations of its search.",
				Figures: []viz.Figure{figure("The same regression with 1 and more inner iterations.", ablationFigure)}, Table: table},
			{Heading: "Planning in a learnt latent space", Text: fmt.Sprintf("A decoder turns %d numbers into a plan of %d forces for the "+
				"cartpole; the search is over the numbers, and the decoder learns through it. After %d updates its plans cost %.4g on average "+
				"from initial states that it has not seen, through gradient descent %.4g; vanilla CEM over the forces themselves, with ten "+
				"times the samples: %.4g.", e.Latent, e.Horizon, e.Updates, m["cartpole_dcem_cost"], m["cartpole_gd_cost"],
				m["cartpole_dcem_expert_cost"]),
				Figures: []viz.Figure{figure("Costs of plans over the updates.", cartpoleFolder, "cost.png"),
					figure("The latent space from the hanging pole.", cartpoleFolder, "latent.png"),
					figure("A plan, and the closed loop.", cartpoleFolder, "trajectories.png"),
					figure("The closed loop with latent DCEM.", cartpoleFolder, "closed-loop-dcem.gif")}},
			{Heading: "Configuration", Code: string(config), Text: "Each part has a folder with a report of its own. The same " +
				"configuration gives the same numbers, bit for bit:\n\ngodcem paper --config config.yaml --out out/again"},
		},
	})
}
