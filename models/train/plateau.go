package train

import "math"

// A Plateau halves the learning rate when validation scores have stopped falling, by the rule of PyTorch's
// ReduceLROnPlateau with its defaults: a score is better if it is below the best so far by more than 1e-4 of that;
// after more than `patience` scores in a row that are not, the rate is halved and the count begins anew. Its fields
// are what a checkpoint keeps. (PyTorch's rule takes a score slightly above a best below 0 for a better one. This
// does not.)
type Plateau struct {
	Scores   int     `json:"scores"`   // seen so far
	Best     float64 `json:"best"`     // least of them; 0 before the first finite one
	Bad      int     `json:"bad"`      // in a row without improvement
	Halvings []int   `json:"halvings"` // updates after which the rate was halved
	Any      bool    `json:"any"`      // Best is set
}

const plateauThreshold = 1e-4

// Observe takes the score after an update. Patience 0 never halves.
func (p *Plateau) Observe(score float64, step, patience int) {
	p.Scores++
	below := p.Best * (1 - plateauThreshold)
	if p.Best < 0 {
		below = p.Best * (1 + plateauThreshold)
	}
	if finite := !math.IsNaN(score) && !math.IsInf(score, 0); finite && (!p.Any || score < below) {
		p.Best, p.Any, p.Bad = score, true, 0
		return
	}
	p.Bad++
	if patience > 0 && p.Bad > patience {
		p.Bad = 0
		p.Halvings = append(p.Halvings, step)
	}
}

// Rate is the learning rate now, given that at the start.
func (p *Plateau) Rate(start float64) float64 { return math.Ldexp(start, -len(p.Halvings)) }
