package train

import (
	"math"
	"testing"
)

// torchPlateau is PyTorch's ReduceLROnPlateau.step(metrics), mode 'min', threshold 1e-4 'rel', cooldown 0, with
// factor 0.5.
type torchPlateau struct {
	best, lr float64
	bad      int
}

func (p *torchPlateau) step(metrics float64, patience int) {
	if metrics < p.best*(1-1e-4) {
		p.best, p.bad = metrics, 0
	} else {
		p.bad++
	}
	if p.bad > patience {
		p.lr, p.bad = p.lr*0.5, 0
	}
}

func TestPlateau(t *testing.T) {
	scores := []float64{3, 2, 2.1, 1.99985, 2.5, 1.9998, 1.9999, 2, math.NaN(), 5, math.Inf(1), 1.5, 1.6, 1.7, 1.8, 1.9,
		1.49, 1.491, 1.492, 1.493, 1.494, 1.495, 1.496}
	for patience := 1; patience < 5; patience++ {
		var p Plateau
		torch := torchPlateau{best: math.Inf(1), lr: 1e-3}
		for i, s := range scores {
			p.Observe(s, 10*(i+1), patience)
			torch.step(s, patience)
			if got := p.Rate(1e-3); got != torch.lr {
				t.Fatalf("patience %d: rate %v after score %d, want %v", patience, got, i, torch.lr)
			}
		}
		if len(p.Halvings) == 0 {
			t.Errorf("patience %d: never halved, nothing was compared", patience)
		}
	}
	var p Plateau
	for step := range 100 {
		p.Observe(1, step, 0)
	}
	if len(p.Halvings) > 0 {
		t.Error("patience 0 halves")
	}
	// Below 0, too, better means lower.
	p = Plateau{}
	for step, score := range []float64{-10, -9.9999, -10.0001, -10.1, -10.05} {
		p.Observe(score, step, 1)
		if want := []int{0, 1, 0, 0, 1}[step]; p.Bad != want { // at the third the rate is halved, and the count is 0
			t.Errorf("score %v: %d in a row without improvement, want %d", score, p.Bad, want)
		}
	}
	if p.Best != -10.1 || len(p.Halvings) != 1 {
		t.Errorf("best %v and %d halvings, want -10.1 and 1", p.Best, len(p.Halvings))
	}
}
