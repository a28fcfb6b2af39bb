package embed

import (
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
)

// Draw numbers of the initial states. The solver's noise has the draws from 0, one an iteration, and the net's start
// values have hashes of names.
const (
	trainDraw = 1<<20 + iota
	validateDraw
	judgeDraw
	episodeDraw
)

// States returns n random initial states of e, flat: a function of seed, draw and run alone.
func States(e env.Env, n int, seed, draw, run uint64) []float64 {
	const most = 64 // numbers that a state may take
	size := e.StateDim()
	x := make([]float64, n*size)
	var u [1]float64
	for i := range n {
		taken := 0
		e.Reset(func() float64 {
			kernels.Uniform(u[:], seed, draw, run, i*most+taken)
			taken++
			return u[0]
		}, x[i*size:(i+1)*size])
		if taken > most {
			panic("embed: an initial state takes more than 64 random numbers")
		}
	}
	return x
}

// The states that decoders are judged on are the same for every seed: those of validations, which choose the best
// state of a training, and others that only the chosen one sees.
func (c Config) validationStates() []float64 { return States(c.system(), c.States, 0, validateDraw, 0) }
func (c Config) judgedStates() []float64     { return States(c.system(), c.States, 0, judgeDraw, 0) }

// episodeStates are where closed loops start: hanging at rest, and others like those of training.
func (c Config) episodeStates() []float64 {
	return append(append([]float64(nil), hanging...), States(c.system(), c.Episodes-1, 0, episodeDraw, 0)...)
}

// trainingStates are those of update number step.
func (c Config) trainingStates(step int) []float64 {
	return States(c.system(), c.Batch, c.Seed, trainDraw, uint64(step))
}
