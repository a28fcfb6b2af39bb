package viz

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
)

func TestBars(t *testing.T) {
	b := Bars{Axes: Axes{Title: "times", YRange: [2]float64{0, 2}}, Groups: []string{"one", "of two\nlines"},
		Series: []Series{{Name: "a", Y: []float64{1, 20}}, {Name: "b", Y: []float64{math.NaN(), 0.5}}}, Levels: []Mark{{At: 1, Label: "as fast"}}}
	svg, err := encode(".svg", b)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{">one<", ">20<", ">0.5<", ">as fast<"} { // a bar that is cut has its value too
		if !strings.Contains(string(svg), word) {
			t.Errorf("no %s in the figure", word)
		}
	}
	if strings.Contains(string(svg), "NaN") {
		t.Error("NaN in the figure")
	}
	if err := Save(filepath.Join(t.TempDir(), "bars.png"), SideBySide("", b, b)); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Bars){
		"without groups":   func(b *Bars) { b.Groups = nil },
		"values for":       func(b *Bars) { b.Series = []Series{{Name: "a", Y: []float64{1}}} },
		"none below 0":     func(b *Bars) { b.Series = []Series{{Name: "a", Y: []float64{1, -1}}} },
		"y range [2, 1]":   func(b *Bars) { b.YRange = [2]float64{2, 1} },
		"groups or series": func(b *Bars) { b.Series = nil },
	} {
		c := b
		change(&c)
		if _, err := encode(".svg", c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
