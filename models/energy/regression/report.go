package regression

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

// report writes the page that explains the pictures.
func (p *pictures) report() error {
	config, err := os.ReadFile(filepath.Join(p.dir, run.ConfigFile))
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	figure := func(name, caption string) []viz.Figure {
		return []viz.Figure{{Path: filepath.Join(p.dir, name), Caption: caption}}
	}
	return viz.WriteReport(filepath.Join(p.dir, reportFile), viz.Report{
		Title: "Regression by a learnt energy",
		Intro: p.intro(),
		Sections: []viz.Section{
			{
				Heading: "Where the energy is least", Text: p.aboutSurfaces(),
				Figures: figure(surfaceFigure, "Learnt energies, pale where low. The energies of each x are scaled to [0, 1], "+
					"since only their differences over y matter, and the colours are logarithmic. What the search tried is "+
					"shown for some of the x, light at first and black at last."),
			},
			{
				Heading: "Predictions", Text: p.aboutFit(),
				Figures: figure(fitFigure, "Predictions at all points, on the noise of the validations."),
			},
			{
				Heading: "How many minima", Text: p.aboutSlices(),
				Figures: figure(slicesFigure, "Energies over y at four x, each scaled to [0, 1]. A minimum at an end of the grid counts as one."),
			},
			{
				Heading: "Training", Text: p.aboutTraining(),
				Figures: figure(lossFigure, "The loss of the updates, its validation, and the share of the x at which the "+
					"least energy lies within 0.75 of the data."),
			},
			{Heading: "Numbers of the run", Table: p.table()},
			{
				Heading: "Configuration", Code: string(config),
				Text: "The same configuration and seed give the same run, bit for bit:\n\n" +
					"godcem regression --config config.yaml --out out/again",
			},
		},
	})
}

func (p *pictures) intro() string {
	const dcem = "the differentiable cross-entropy method (DCEM), which samples y from a Gaussian, softly chooses the best, " +
		"fits the Gaussian to those, and repeats"
	gd := fmt.Sprintf("gradient descent on y, %d steps from y = %g, itself differentiated through", p.c.Iterations, p.c.Start)
	search := "Here the search is " + dcem + "."
	switch p.c.Method {
	case GD:
		search = "Here the search is " + gd + "."
	case CEMForward:
		search += " Predictions are then made by the cross-entropy method as it always was, with its hard choice of the best."
	case Both:
		search = "Two searches are compared: " + dcem + "; and " + gd + "."
	}
	model := map[string]string{
		ModelMLP: "a net of both", ModelFeedForward: "here |f(x) - y|² with a net f", ModelICNN: "a net of both, convex in y",
	}[p.c.Model]
	return "What is learnt is no function from x to y but an energy E(x, y), " + model + ". The prediction for x is what a search " +
		"over y for the least energy finds. Training changes the energy until the search ends at the data, y = x sin x: it follows " +
		"the gradient of the squared error through the whole search.\n\n" + search
}

// atMinimum says that the search ends where the energy is least; awayFromMinimum that it ends elsewhere. Between the two
// the text claims neither. The bounds are those that the experiment is judged by.
func (s *study) atMinimum() bool       { return s.metrics["minimum_share"] >= 0.7 }
func (s *study) awayFromMinimum() bool { return s.metrics["minimum_share"] <= 0.3 }

func (p *pictures) aboutSurfaces() string {
	text := ""
	for _, s := range p.studies {
		if s.c.Method == GD {
			text += fmt.Sprintf("Gradient descent sees no more of the energy than its slope on the way from y = %g, %d steps of it. ",
				s.c.Start, s.c.Iterations)
			if s.awayFromMinimum() {
				text += "It has learnt slopes and barriers that bring the descent to the data, not a minimum there. "
			}
		} else {
			text += "DCEM looks at energies all over y, and only at which of them are lower. "
			if s.atMinimum() {
				text += "So the energy has come to have its minimum where the data is. "
			}
		}
		text += fmt.Sprintf("For %.0f%% of the x the least energy over y in [%d, %d] lies within %g of the data. The cross-entropy method "+
			"with its hard choice, as another search on the same energy, has the mean squared error %.3g, where the one trained with has %.3g.\n\n",
			100*s.metrics["minimum_share"], gridLow, gridHigh, near, s.metrics["mse_cem"], s.metrics["mse"])
	}
	return text
}

func (p *pictures) aboutFit() string {
	text := ""
	for _, s := range p.studies {
		text += fmt.Sprintf("%s: mean squared error %.3g", capital(s.title()), s.metrics["mse"])
		if fresh, ok := s.metrics["mse_fresh"]; ok {
			text += fmt.Sprintf(", and %.3g on other noise", fresh)
		}
		text += ". "
	}
	return text + fmt.Sprintf("The best constant has %.2g. (The method's paper trains for 100,000 updates.)", variance(p.c.Points))
}

// variance is the mean squared error of predicting the mean.
func variance(n int) float64 {
	_, y := Points(n)
	mean := 0.0
	for _, v := range y {
		mean += v / float64(n)
	}
	sum := 0.0
	for _, v := range y {
		sum += (v - mean) * (v - mean) / float64(n)
	}
	return sum
}

func (p *pictures) aboutTraining() string {
	c := p.c
	text := fmt.Sprintf("Each update learns from one of %d points, chosen at random, with fresh noise. Every %d updates all points are "+
		"predicted, on noise that is always the same; the state that does best there is the one shown. Adam, learning rate %g",
		c.Points, c.ValidateEvery, c.Rate)
	if c.Clip > 0 {
		text += fmt.Sprintf(", gradient norm clipped to %g", c.Clip)
	}
	if c.Patience > 0 {
		text += fmt.Sprintf("; the rate is halved after more than %d validations in a row without improvement", c.Patience)
	}
	return text + "."
}

func (p *pictures) table() *viz.Table {
	t := &viz.Table{Header: []string{"quantity"}}
	for _, s := range p.studies {
		t.Header = append(t.Header, s.title())
	}
	for _, r := range []struct{ name, metric, format string }{
		{"mean squared error, best validation", "mse", "%.4f"},
		{"the same on other noise", "mse_fresh", "%.4f"},
		{"the same energy searched by DCEM", "mse_dcem", "%.4f"},
		{"the same energy searched by vanilla CEM", "mse_cem", "%.4f"},
		{"the same energy searched by gradient descent", "mse_gd", "%.4f"},
		{"mean squared error after the last update", "mse_last", "%.4f"},
		{"loss, mean of the last 100 updates", "loss", "%.4f"},
		{"share of x with the least energy at the data", "minimum_share", "%.2f"},
		{"the same after the last update", "minimum_share_last", "%.2f"},
		{"minima of the energy over y, mean over x", "minima", "%.2f"},
		{"update of the best validation", "best_update", "%.0f"},
		{"updates", "updates", "%.0f"},
		{"updates skipped (loss or gradient not finite)", "skipped", "%.0f"},
		{"halvings of the learning rate", "halvings", "%.0f"},
		{"parameters", "parameters", "%.0f"},
	} {
		row, any := []string{r.name}, false
		for _, s := range p.studies {
			v, ok := s.metrics[r.metric]
			if any = any || ok; !ok || math.IsNaN(v) {
				row = append(row, "–")
				continue
			}
			row = append(row, fmt.Sprintf(r.format, v))
		}
		if any {
			t.Rows = append(t.Rows, row)
		}
	}
	row := []string{"seconds"}
	for _, s := range p.studies {
		row = append(row, fmt.Sprintf("%.0f", s.outcome.Seconds))
	}
	t.Rows = append(t.Rows, row)
	return t
}
