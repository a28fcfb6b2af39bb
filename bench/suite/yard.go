package main

import "github.com/godcem/godcem/internal/vec"

// A yardJob is the yardstick's work: sums of products in four plain chains over an array that stays in the
// first-level cache. Only the compiler and the machine make it faster or slower.
type yardJob struct {
	a   []float32
	out []float32
}

func newYard() *yardJob {
	j := &yardJob{make([]float32, 2048), make([]float32, 64)}
	for i := range j.a {
		j.a[i] = 1 + float32(i)/4096
	}
	return j
}

// Run is one of 64 equal parts of 40 us or so.
func (j *yardJob) Run(from, to int) {
	for i := from; i < to; i++ {
		total := float32(0)
		for range 16 {
			var s [4]float32
			for k := 0; k+4 <= len(j.a); k += 4 {
				s[0] += j.a[k] * j.a[k]
				s[1] += j.a[k+1] * j.a[k+1]
				s[2] += j.a[k+2] * j.a[k+2]
				s[3] += j.a[k+3] * j.a[k+3]
			}
			total += s[0] + s[1] + s[2] + s[3]
		}
		j.out[i] = total
	}
}

// yard adds the yardstick to a race, if it is wanted.
func (b *bench) yard(all []*contestant) []*contestant {
	if !contains(b.only, yardstick) || b.gpu() {
		return all
	}
	j := newYard()
	return append(all, &contestant{name: yardstick, rounds: b.rounds, run: timed(func(n int) error {
		for range n {
			vec.Parallel(len(j.out), 1, j)
		}
		return nil
	})})
}

// racing are those of the wanted contestants that are in a case, with the yardstick.
func (b *bench) racing(in []string) (names []string) {
	for _, name := range b.only {
		there := contains(in, name) || name == yardstick
		if there && name == "gomlx" || isScript(name) {
			there = there && b.has(name)
		}
		if there {
			names = append(names, name)
		}
	}
	return names
}

// has reports whether a peer runs.
func (b *bench) has(name string) bool {
	for _, p := range b.peers {
		if p.name == name {
			return true
		}
	}
	return false
}

// roundsOf are fewer for those who take seconds.
func (b *bench) roundsOf(about result, name string) int {
	return min(b.rounds, atMost(about.Case, name))
}
