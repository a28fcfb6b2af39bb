package rl

import "math"

// promises compares what plans are worth by the model with the rewards that came in their time: of a model that is
// exploited, the search finds what it gets wrong, and the first is far above the second. The plan is made anew at
// each decision, so that what comes may well be more.
type promises struct {
	horizon  int
	scale    float64     // a reward of 1 by the model, in the environment's units
	promised [][]float64 // by environment and decision
	rewards  [][]float64
}

func newPromises(n, horizon int, scale float64) *promises {
	return &promises{horizon, scale, make([][]float64, n), make([][]float64, n)}
}

// add takes a decision of environment i: the worth of its plan, by the model, and the reward of its first action.
func (p *promises) add(i int, worth float32, reward float64) {
	p.promised[i] = append(p.promised[i], float64(worth)*p.scale)
	p.rewards[i] = append(p.rewards[i], reward)
}

// means are those of both over the decisions that were followed by as many others as a plan has; NaN if none was.
func (p *promises) means() (promised, kept float64) {
	count := 0.0
	for i, rewards := range p.rewards {
		for t := range max(0, len(rewards)-p.horizon+1) {
			count++
			promised += p.promised[i][t]
			for _, r := range rewards[t : t+p.horizon] {
				kept += r
			}
		}
	}
	if count == 0 {
		return math.NaN(), math.NaN()
	}
	return promised / count, kept / count
}
