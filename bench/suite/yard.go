package main

import (
	"sync"
	"sync/atomic"
)

// A yardJob is the yardstick's work: sums of products in four plain chains over an array that stays in the
// first-level cache, on goroutines of its own. Only the compiler and the machine make it faster or slower: a slower
// pool of godcem's threads does not.
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
		j.times(n, b.thread)
		return nil
	})})
}

// times does the work n times on so many goroutines, each of which takes the next part that nobody has, and returns how
// many parts were done.
func (j *yardJob) times(n, threads int) int {
	var next, done atomic.Int64
	var all sync.WaitGroup
	for range threads {
		all.Go(func() {
			own := yardJob{j.a, make([]float32, len(j.out))}
			for i := next.Add(1) - 1; i < int64(n*len(j.out)); i = next.Add(1) - 1 {
				k := int(i) % len(j.out)
				own.Run(k, k+1)
				done.Add(1)
			}
		})
	}
	all.Wait()
	return int(done.Load())
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
