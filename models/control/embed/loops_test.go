package embed

import (
	"math"
	"slices"
	"testing"
)

func TestLoops(t *testing.T) {
	nan := math.NaN()
	l := loops{
		{x: [][]float64{{0}, {1}, {nan}, {3}}, cost: []float64{1, 4, 9, 0}},
		{x: [][]float64{{0}, {1}, {2}, {3}}, cost: []float64{3, 2, nan, 2}},
		{x: [][]float64{{0}, {1}, {2}, {3}}, cost: []float64{5, 600, 1, 1}},
	}
	if got := l.costs(); got[0] != 3 || got[1] != 4 || got[3] != 1 {
		t.Errorf("medians %v, want 3, 4, any, 1", got)
	}
	if got := l[:2].costs(); got[0] != 2 {
		t.Errorf("median of 1 and 3 is %v", got[0])
	}
	for i, v := range []struct {
		h    int
		want float64
	}{{1, 3}, {2, 1}} { // the fall from 9 is from a state that is no number
		if got := l[0].turn(v.h); !slices.Equal(got, []float64{v.want}) {
			t.Errorf("%d: the turn is at %v, want %v", i, got, v.want)
		}
	}
	if got := l[2].turn(1); !slices.Equal(got, []float64{1}) {
		t.Errorf("the turn is at %v, want 1", got)
	}
}
