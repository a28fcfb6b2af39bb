package embed

import (
	"context"
	"math"
	"slices"

	"github.com/godcem/godcem/models/env"
)

// A loop is a closed loop: plan, take the first control, plan anew.
type loop struct {
	x, u [][]float64 // x_0, x_1, ... and u_0, u_1, ...
	cost []float64   // of each step
}

func (l loop) states() [][]float64 { return l.x }

func (l loop) forces() [][]float64 { return l.u }

// loops are closed loops from several starts.
type loops []loop

// upright is the least cosine of a pole that counts as standing.
const upright = 0.95

// planningOf is a planner's part in closed loops: the plans alone.
func planningOf(p Planner) planning {
	return func(_ context.Context, x0 []float64, run uint64) ([]float64, error) {
		plan, err := p.Plan(x0, run)
		if err != nil {
			return nil, err
		}
		return plan.U, nil
	}
}

// closeLoops controls the systems that start from the states x0 (B,S), side by side, for that many steps. Plans have
// the run numbers downwards from the greatest but one: updates count upwards from 1.
func closeLoops(ctx context.Context, e env.Env, x0 []float64, steps int, plan planning) (loops, error) {
	size, width := e.StateDim(), e.ControlDim()
	x := append([]float64(nil), x0...)
	all := make(loops, len(x0)/size)
	for i := range all {
		all[i].x = append(all[i].x, x0[i*size:(i+1)*size])
	}
	for t := range steps {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		plans, err := plan(ctx, x, math.MaxInt64-1-uint64(t))
		if err != nil {
			return nil, err
		}
		for i := range all {
			u := append([]float64(nil), plans[i*len(plans)/len(all):][:width]...)
			at, next := x[i*size:(i+1)*size], make([]float64, size)
			all[i].cost = append(all[i].cost, e.CostGo(at, u, nil))
			e.StepGo(next, at, u, nil)
			copy(at, next)
			all[i].x, all[i].u = append(all[i].x, next), append(all[i].u, u)
		}
	}
	return all, nil
}

// turn is the state from which the cost falls most within h steps: there a plan is no toss-up, as it is from the hanging
// pole, which may swing to either side.
func (l loop) turn(h int) []float64 {
	at, most := 0, math.Inf(-1)
	for t, c := range l.cost {
		if fall := c - l.cost[min(t+h, len(l.cost)-1)]; fall > most && finite(l.x[t]) { // a NaN is no fall
			at, most = t, fall
		}
	}
	return l.x[at]
}

// meanCost is the mean cost of a step.
func (l loops) meanCost() float64 {
	sum := 0.0
	for _, one := range l {
		sum += mean(one.cost)
	}
	return sum / float64(len(l))
}

// costs are the medians over the loops of the cost of each step: of a mean, one cart that runs away is all one sees.
func (l loops) costs() []float64 {
	v := make([]float64, len(l[0].cost))
	for t := range v {
		var all []float64
		for _, one := range l {
			all = append(all, one.cost[t])
		}
		slices.Sort(all)
		v[t] = (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	}
	return v
}

// standing are the shares of the loops whose pole stands, before each step.
func (l loops) standing() []float64 {
	v := make([]float64, len(l[0].cost))
	for _, one := range l {
		for t := range one.cost {
			if one.x[t][2] > upright {
				v[t] += 1 / float64(len(l))
			}
		}
	}
	return v
}

// stood is the share of the second half of the steps, and of the loops, in which the pole stands.
func (l loops) stood() float64 {
	v := l.standing()
	return mean(v[len(v)/2:])
}
