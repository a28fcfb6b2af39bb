package spen

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

// Names of the pictures in the out folder.
const (
	accuracyFigure = "accuracy.png"
	countsFigure   = "counts.png"
	pairsFigure    = "pairs.png"
	searchFigure   = "search.png"
	reportFile     = "report.html"
)

var allFigures = []string{accuracyFigure, countsFigure, pairsFigure, searchFigure, reportFile}

// pictures draws what the studies have to show.
type pictures struct {
	c       Config
	dir     string
	studies []*study
}

// draw writes all pictures, until ctx is done.
func (p *pictures) draw(ctx context.Context) error {
	for _, f := range []struct {
		name string
		plot func() viz.Plot
	}{{accuracyFigure, p.accuracy}, {countsFigure, p.counts}, {pairsFigure, p.pairs}, {searchFigure, p.search}} {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		plot := f.plot()
		if plot == nil {
			continue
		}
		if err := viz.Save(filepath.Join(p.dir, f.name), plot); err != nil {
			return err
		}
	}
	return nil
}

// accuracy is that of validations over the updates.
func (p *pictures) accuracy() viz.Plot {
	f := viz.Lines{Axes: viz.Axes{Title: fmt.Sprintf("Rows with all %d labels right, of %d rows of validation", Labels,
		p.c.ValidationRows), X: "update", Y: "share of the rows", Height: 460}}
	for _, s := range p.studies {
		x, y := s.table.Series("subset")
		f.Series = append(f.Series, viz.Series{Name: s.title(), X: x, Y: y})
	}
	return f
}

// counts is how many labels the nets say hold.
func (p *pictures) counts() viz.Plot {
	f := viz.Lines{Axes: viz.Axes{Title: "Labels predicted to hold", X: "number of labels", Y: "share of the rows",
		XRange: [2]float64{0, 2 * Holding}, Height: 400},
		Marks: []viz.Mark{{At: Holding, Label: "the rule"}}}
	for _, s := range p.studies {
		f.Series = append(f.Series, viz.Series{Name: s.title(), Y: s.scores.Counts[:2*Holding+1]})
	}
	return f
}

// cells is a field that is constant around each of nx by ny whole numbers: labels are no axis to interpolate along.
func cells(nx, ny int, z []float64) (f viz.Field) {
	const fine = 8 // points per cell, so that the outer cells are whole but for half of one
	axis := func(n int) (v []float64) {
		for i := range n * fine {
			v = append(v, (float64(i)+0.5)/fine-0.5)
		}
		return v
	}
	f.X, f.Y = axis(nx), axis(ny)
	for i := range f.X {
		for j := range f.Y {
			f.Z = append(f.Z, z[i/fine*ny+j/fine])
		}
	}
	return f
}

// pairs is how often two labels are predicted together.
func (p *pictures) pairs() viz.Plot {
	_, _, test := Data(p.c)
	labels := viz.Axes{X: "label", Y: "label"}
	off := func(share []float64) []float64 { // a label with itself says nothing here
		share = slices.Clone(share)
		for l := range Labels {
			share[l*Labels+l] = math.NaN()
		}
		return share
	}
	greatest := 0.0 // one scale for all
	for _, share := range append([][]float64{together(test.Y)}, sharesOf(p.studies)...) {
		for _, v := range off(share) {
			if v > greatest {
				greatest = v
			}
		}
	}
	tile := func(title string, share []float64) viz.Plot {
		a := labels
		a.Title = title
		return viz.Samples2D{Axes: a, Field: cells(Labels, Labels, off(share)), Bar: "share of rows", Cells: true,
			Colours: [2]float64{0, max(greatest, 1e-3)}}
	}
	plots := []viz.Plot{tile("Labels that hold together", together(test.Y))}
	for _, s := range p.studies {
		plots = append(plots, tile("Predicted by the "+s.title(), s.pairs))
	}
	g := viz.SideBySide("", plots...)
	g.Columns = 2
	return g
}

// sharesOf are the studies' pairs.
func sharesOf(studies []*study) (all [][]float64) {
	for _, s := range studies {
		all = append(all, s.pairs)
	}
	return all
}

// search is how the labels of a row come about, nil without one.
func (p *pictures) search() viz.Plot {
	var plots []viz.Plot
	for _, s := range p.studies {
		if len(s.tried) < 2 {
			continue
		}
		plots = append(plots, viz.Samples2D{Axes: viz.Axes{
			Title: fmt.Sprintf("One row by the %s; its labels are%s", s.title(), list(s.truth)), X: "iteration", Y: "label"},
			Field: cells(len(s.tried), Labels, slices.Concat(s.tried...)), Bar: "y", Cells: true, Colours: [2]float64{0, 1}})
	}
	if plots == nil {
		return nil
	}
	return viz.SideBySide("", plots...)
}

func list(y []float32) (s string) {
	for l, v := range y {
		if v > 0.5 {
			s += fmt.Sprintf(" %d", l)
		}
	}
	return s
}

// report writes the page that explains the pictures.
func (p *pictures) report() error {
	config, err := os.ReadFile(filepath.Join(p.dir, run.ConfigFile))
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	figure := func(name, caption string) []viz.Figure {
		return []viz.Figure{{Path: filepath.Join(p.dir, name), Caption: caption}}
	}
	sections := []viz.Section{
		{Heading: "Accuracy", Text: p.aboutAccuracy(), Figures: figure(accuracyFigure,
			"Validations, each on the same rows and noise.")},
		{Heading: "Rules", Text: fmt.Sprintf("Of %d labels exactly %d hold, and of labels 0 and 1, 2 and 3, and so on, at "+
			"most one. Nobody tells the nets.", Labels, Holding),
			Figures: append(figure(countsFigure, "How many labels the nets predict for a row not seen before."),
				figure(pairsFigure, "How often two labels hold together: the palest squares beside the diagonal, 0 with 1, 2 with 3 and so on, never do. A label with itself is left out.")...)},
	}
	if p.c.Method != FeedForward {
		sections = append(sections, viz.Section{Heading: "A search", Text: "An energy network predicts by search: every label " +
			"begins as likely as the next, and the search over all of them together, in [0, 1], ends at 0 or 1 for most.",
			Figures: figure(searchFigure, "The centre of the search by iteration, for the first row not seen before.")})
	}
	sections = append(sections, viz.Section{Heading: "Numbers of the run", Table: p.table()},
		viz.Section{Heading: "Configuration", Code: string(config),
			Text: "The same configuration and seed give the same run, bit for bit:\n\n" +
				"godcem spen --config config.yaml --out out/again"})
	return viz.WriteReport(filepath.Join(p.dir, reportFile), viz.Report{
		Title: "Labels that depend on each other", Intro: p.intro(), Sections: sections})
}

func (p *pictures) intro() string {
	return fmt.Sprintf("A feed-forward net predicts each of %d labels by itself. A structured prediction energy network "+
		"has an energy over all of them, E(x, y) = -<f(x), y> + net(y), and predicts the y in [0, 1]^%d where it is least; "+
		"how labels go together is in net. It is trained through the search for that y, by the cross entropy of "+
		"what the search ends with.", Labels, Labels)
}

func (p *pictures) aboutAccuracy() string {
	text := fmt.Sprintf("Of %d rows not seen before, ", p.c.TestRows)
	for i, s := range p.studies {
		if i > 0 {
			text += "; "
		}
		text += fmt.Sprintf("the %s has all labels right for %.1f%%, and %.2f%% of all labels wrong", s.title(),
			100*s.scores.Subset, 100*s.scores.Hamming)
	}
	return text + ". Each is the state with the best validation."
}

func (p *pictures) table() *viz.Table {
	t := &viz.Table{Header: []string{"quantity"}}
	for _, s := range p.studies {
		t.Header = append(t.Header, s.title())
	}
	for _, r := range []struct{ name, metric, format string }{
		{"rows with all labels right, not seen before", "subset", "%.3f"},
		{"the same of the rows of validation", "validation_subset", "%.3f"},
		{"the same of the rows trained on", "train_subset", "%.3f"},
		{"wrong labels", "hamming", "%.4f"},
		{"predictions that keep the rules", "lawful", "%.3f"},
		{"parameters", "parameters", "%.0f"},
		{"update of the best validation", "best_update", "%.0f"},
		{"skipped updates", "skipped", "%.0f"},
	} {
		row := []string{r.name}
		for _, s := range p.studies {
			row = append(row, fmt.Sprintf(r.format, s.metrics[r.metric]))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
