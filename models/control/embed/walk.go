package embed

import (
	"math"

	G "gorgonia.org/gorgonia"
)

// walkers are closed loops of the controller that is being trained: from update to update each takes the first control
// of the plan that its update has found. They give updates the states that a closed loop meets.
type walkers struct {
	next G.Value   // where the plans of an update lead in one step, (B,S)
	at   []float64 // where the walkers are, (Along,S); nil before the first update
}

// lost is the cost of a state without a force from which on a walker starts anew: of carts 6 m or more away, whose
// cost would outweigh all others.
const lost = 3

// put puts the walkers in place of the first of the random states x0 of an update. Each starts anew from its random
// state after a closed loop's number of steps, one after the other.
func (w *walkers) put(c Config, x0 []float64, step int) {
	if w.at == nil {
		return
	}
	e := c.system()
	size, still := e.StateDim(), make([]float64, e.ControlDim())
	for i := range c.Along {
		x := w.at[i*size : (i+1)*size]
		over := (step+i*c.Episode/c.Along)%c.Episode == 0
		if cost := e.CostGo(x, still, nil); cost < lost && finite(x) && !over { // a cost that is no number is not less
			copy(x0[i*size:], x)
		}
	}
}

func finite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
