package rl

import (
	"math"
	"slices"
)

// moments are the count, mean and sum of squared differences from it of each of several numbers, taken in batches
// (Chan, Golub and LeVeque, 1979).
type moments struct {
	Count float64   `json:"count"`
	Mean  []float64 `json:"mean"`
	M2    []float64 `json:"m2"`
	// Bound is how many standard deviations from the mean standardise cuts at; 0: 10.
	Bound float64 `json:"bound,omitempty"`
}

func newMoments(n int) *moments { return &moments{Mean: make([]float64, n), M2: make([]float64, n)} }

// add takes rows (rows,n) in.
func (m *moments) add(rows []float64) {
	n := len(m.Mean)
	count := float64(len(rows) / n)
	if count == 0 {
		return
	}
	for j := range n {
		mean, m2 := 0.0, 0.0
		for i := j; i < len(rows); i += n {
			mean += rows[i] / count
		}
		for i := j; i < len(rows); i += n {
			m2 += (rows[i] - mean) * (rows[i] - mean)
		}
		off, all := mean-m.Mean[j], m.Count+count
		m.Mean[j] += off * count / all
		m.M2[j] += m2 + off*off*m.Count*count/all
	}
	m.Count += count
}

// std is the standard deviation of number j, 1 before there are two values.
func (m *moments) std(j int) float64 {
	if m.Count < 2 {
		return 1
	}
	return math.Sqrt(m.M2[j] / m.Count)
}

// bound is Bound or what 0 stands for.
func (m *moments) bound() float64 {
	if m.Bound == 0 {
		return 10
	}
	return m.Bound
}

// standardise writes (x - mean) / std, within Bound, for rows x (rows,n).
func (m *moments) standardise(out []float32, x []float64) {
	n, bound := len(m.Mean), m.bound()
	for i, v := range x {
		j := i % n
		z := (v - m.Mean[j]) / (m.std(j) + 1e-8)
		out[i] = float32(math.Max(-bound, math.Min(bound, z)))
	}
}

func (m *moments) clone() *moments {
	return &moments{m.Count, slices.Clone(m.Mean), slices.Clone(m.M2), m.Bound}
}

// A Scale says how an [Agent] standardises observations for its model.
type Scale struct{ seen *moments }
