package bumps

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

func distance(a, b [2]float64) float64 { return math.Hypot(a[0]-b[0], a[1]-b[1]) }

// The page's texts. A line break within a paragraph is a space in the page.
const (
	introText = `The cross-entropy method (CEM) finds the minimum of a function without derivatives: it samples
points from a Gaussian, keeps the best of them, fits the Gaussian to those, and repeats. The differentiable
cross-entropy method (DCEM) softens that choice just enough for derivatives to pass, so that the answer of the
search can be differentiated with respect to the function that is searched.

Here that function is Z(x, y), a tilted plane with three bumps, with %d parameters: depth and centre of each bump.
First vanilla CEM finds its minimum. Then DCEM changes the parameters, by gradient descent through the whole search,
until the search ends at a target of our choice, (%g, %g).`

	movieText = `The animation begins with one search: %d iterations of %d samples each, the earlier the lighter,
contract around a minimum; the ellipse is the Gaussian (one standard deviation). Then each frame is one update of
the parameters, with fresh noise: the surface changes, and the black line is the way of its minimum. At the end the
last search is shown by iterations again.

The start, (%g, %g), lies between bumps, so that in the first updates noise decides which one a search falls into;
the loss may jump then.`

	lossText = `The loss is the mean squared distance, over both coordinates, of the search's answer from the
target. Update number n moves the parameters by the gradient of one search on its own noise; every %d updates %d
further searches on fixed noise judge the result: %s. What is trained is the answer of a search of %d iterations,
which ends near the minimum, not quite in it.`

	cemText = `The same search with a hard choice of the best %d samples, from a wider start, on the first
objective. It ends at (%.3f, %.3f), %.2g from the least minimum in the picture, (%.3f, %.3f).`

	configText = `The same configuration and seed give the same run, bit for bit: godcem bumps --config
config.yaml`
)

// report writes the page that explains the pictures.
func (p *pictures) report() error {
	config, err := os.ReadFile(filepath.Join(p.dir, run.ConfigFile))
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	text := fmt.Sprintf
	figure := func(name, caption string) viz.Figure {
		return viz.Figure{Path: filepath.Join(p.dir, name), Caption: caption}
	}
	r, c := p.result, p.c
	cem, least := r.cem.Answer, r.least
	return viz.WriteReport(filepath.Join(p.dir, reportFile), viz.Report{
		Title: "Moving a minimum",
		Intro: text(introText, NumParams, c.Target[0], c.Target[1]),
		Sections: []viz.Section{
			{
				Heading: "The minimum on its way",
				Text:    text(movieText, c.Iterations, c.Samples, c.Mu[0], c.Mu[1]),
				Figures: []viz.Figure{
					figure(movieFigure, "The objective while it is learnt. Pale is low, the star is the target."),
					figure(surfaceFigure, "The first and the last search, in the same colours."),
				},
			},
			{
				Heading: "The loss",
				Text:    text(lossText, c.ValidateEvery, validationSolves, r.verdict(), c.Iterations),
				Figures: []viz.Figure{figure(lossFigure, "Loss over the updates, on a logarithmic axis.")},
			},
			{
				Heading: "Vanilla CEM",
				Text:    text(cemText, c.Elites, cem[0], cem[1], distance(cem, least), least[0], least[1]),
				Figures: []viz.Figure{figure(cemFigure, "Samples of all iterations, with the Gaussian after each.")},
			},
			{Heading: "Numbers", Table: p.table()},
			{Heading: "Configuration", Text: configText, Code: string(config)},
		},
	})
}

func (p *pictures) table() *viz.Table {
	r := p.result
	num := func(format string, v ...any) string { return fmt.Sprintf(format, v...) }
	first, last := p.task.Params(0), p.task.Params(p.steps)
	t := &viz.Table{Header: []string{"quantity", "before", "after"}, Rows: [][]string{
		{num("mean loss of %d searches", validationSolves), num("%.4g", r.start.Mean), num("%.4g", r.end.Mean)},
		{"worst of them", num("%.4g", r.start.Worst), num("%.4g", r.end.Worst)},
		{"share of them below 0.05", num("%.0f%%", 100*r.start.Below), num("%.0f%%", 100*r.end.Below)},
		{"mean answer, x", num("%.4f", r.start.X), num("%.4f", r.end.X)},
		{"mean answer, y", num("%.4f", r.start.Y), num("%.4f", r.end.Y)},
	}}
	for i := range first {
		name := num("%s of bump %d", [...]string{"depth a", "centre p (x)", "centre q (y)"}[i%3], 1+i/3)
		t.Rows = append(t.Rows, []string{name, num("%.4f", first[i]), num("%.4f", last[i])})
	}
	return t
}
