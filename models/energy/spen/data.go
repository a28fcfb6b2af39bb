package spen

import (
	"math/rand/v2"
	"slices"
)

// The made task. Exactly [Holding] of [Labels] labels hold, and of the pairs (0, 1), (2, 3), ... at most one each.
const (
	Labels   = 16
	Holding  = 4
	Features = 12 // numbers of x
)

// A Dataset is rows of x (rows, Features) and of y (rows, Labels), which is 0 or 1.
type Dataset struct{ X, Y []float32 }

// Rows is how many there are.
func (d Dataset) Rows() int { return len(d.X) / Features }

// A rule labels x: a random linear map scores the labels, and the best are taken in turn, passing over those whose
// partner was.
type rule [Features][Labels]float64

func newRule(r *rand.Rand) (s rule) {
	for i := range s {
		for l := range s[i] {
			s[i][l] = r.NormFloat64()
		}
	}
	return s
}

func (s *rule) label(y, x []float32) {
	var score [Labels]float64
	for i, v := range x {
		for l, w := range s[i] {
			score[l] += float64(v) * w
		}
	}
	var order [Labels]int
	for l := range order {
		order[l] = l
	}
	slices.SortStableFunc(order[:], func(a, b int) int {
		switch {
		case score[a] > score[b]:
			return -1
		case score[a] < score[b]:
			return 1
		}
		return 0
	})
	clear(y)
	for taken, i := 0, 0; taken < Holding; i++ {
		if l := order[i]; y[l^1] == 0 {
			y[l] = 1
			taken++
		}
	}
}

func (s *rule) rows(r *rand.Rand, n int) Dataset {
	d := Dataset{make([]float32, n*Features), make([]float32, n*Labels)}
	for i := range d.X {
		d.X[i] = float32(r.NormFloat64())
	}
	for i := range n {
		s.label(d.Y[i*Labels:(i+1)*Labels], d.X[i*Features:(i+1)*Features])
	}
	return d
}

// Data makes the sets of a seed: to train on, to choose the best state by, and to judge on.
func Data(c Config) (train, validation, test Dataset) {
	r := rand.New(rand.NewPCG(c.Seed, 0x5be4))
	s := newRule(r)
	return s.rows(r, c.Rows), s.rows(r, c.ValidationRows), s.rows(r, c.TestRows)
}

// batch copies the rows of an update, drawn at random: a function of seed and step.
func (d Dataset) batch(x, y []float32, seed uint64, step int) {
	r := rand.New(rand.NewPCG(seed, 1<<32+uint64(step)))
	for i := range len(x) / Features {
		j := r.IntN(d.Rows())
		copy(x[i*Features:(i+1)*Features], d.X[j*Features:])
		copy(y[i*Labels:(i+1)*Labels], d.Y[j*Labels:])
	}
}

// Scores say how good predictions are: rows (rows, Labels) above a half are labels that hold.
type Scores struct {
	Subset  float64 // share of the rows with every label right
	Hamming float64 // share of wrong labels
	Lawful  float64 // share of the rows that keep the rules
	Counts  [Labels + 1]float64
}

// Score judges predictions p of labels y.
func Score(p, y []float32) (s Scores) {
	rows := len(y) / Labels
	for i := range rows {
		right, holding, lawful := true, 0, true
		for l := range Labels {
			at := i*Labels + l
			holds := p[at] > 0.5
			if holds != (y[at] > 0.5) {
				right = false
				s.Hamming++
			}
			if holds {
				holding++
				lawful = lawful && !(p[at^1] > 0.5)
			}
		}
		s.Counts[holding] += 1 / float64(rows)
		if right {
			s.Subset++
		}
		if lawful && holding == Holding {
			s.Lawful++
		}
	}
	s.Subset /= float64(rows)
	s.Lawful /= float64(rows)
	s.Hamming /= float64(rows * Labels)
	return s
}
