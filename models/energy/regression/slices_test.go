package regression

import (
	"math"
	"testing"

	"github.com/godcem/godcem/internal/viz"
)

func TestLocalMinima(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(x, y float64) float64
		want float64
	}{
		{"a bowl", func(x, y float64) float64 { return (y - x) * (y - x) }, 1},
		{"falling to one end", func(_, y float64) float64 { return y }, 1},
		{"rising to both", func(_, y float64) float64 { return -y * y }, 2},
		{"three waves", func(_, y float64) float64 { return math.Cos(3*math.Pi*y) + 1e-3*y }, 4}, // at -1, -1/3, 1/3 and 1
		{"rounding", func(_, y float64) float64 { return y*y + 1e-4*math.Sin(1e4*y) }, 1},
		{"constant", func(_, _ float64) float64 { return 2 }, 1},
		{"not finite at some x", func(x, y float64) float64 { return y*y + math.Sqrt(x) }, 1},
	} {
		f := viz.NewField(-1, 1, 5, -1, 1, 201, c.f)
		if got := LocalMinima(f); got != c.want {
			t.Errorf("%s: %v minima, want %v", c.name, got, c.want)
		}
	}
	nowhere := viz.NewField(0, 1, 3, 0, 1, 3, func(_, _ float64) float64 { return math.NaN() })
	if got := LocalMinima(nowhere); !math.IsNaN(got) {
		t.Errorf("%v minima of nothing", got)
	}
}
