package regression

import (
	"strings"
	"testing"
)

// The page states what the numbers of the run say, not what runs usually say.
func TestReportClaimsOnlyWhatTheNumbersSay(t *testing.T) {
	text := func(dcem, gd float64) (about, title string) {
		c := tiny(Both)
		side := func(method string, share float64) *study {
			c := c
			c.Method = method
			return &study{c: c, metrics: map[string]float64{"minimum_share": share, "mse": 1, "mse_cem": 2}}
		}
		p := &pictures{c: c, studies: []*study{side(DCEM, dcem), side(GD, gd)}}
		return p.aboutSurfaces(), p.surfacesTitle()
	}
	const minimum, barriers, learns = "has come to have its minimum", "slopes and barriers", "DCEM learns where"
	for _, c := range []struct {
		dcem, gd float64
		about    map[string]bool
		title    bool
	}{
		{0.95, 0.05, map[string]bool{minimum: true, barriers: true}, true},
		{0.25, 0.25, map[string]bool{minimum: false, barriers: true}, false},
		{0.95, 0.9, map[string]bool{minimum: true, barriers: false}, false},
	} {
		about, title := text(c.dcem, c.gd)
		for phrase, want := range c.about {
			if strings.Contains(about, phrase) != want {
				t.Errorf("shares %v and %v: %q stands in the text: %v, want %v", c.dcem, c.gd, phrase, !want, want)
			}
		}
		if strings.Contains(title, learns) != c.title {
			t.Errorf("shares %v and %v: title %q", c.dcem, c.gd, title)
		}
	}
}
