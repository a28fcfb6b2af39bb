package main

import (
	"fmt"

	"github.com/godcem/godcem/internal/vec"
)

// Cases that measure the machine, for the percentages of other cases: the rate of a product of square matrices, the
// best that anyone has here, and that of copying arrays that no cache holds.
const (
	limitMatmul = "limit matmul"
	limitMemory = "limit memory"
	limitSide   = 1536
	limitBytes  = 512 << 20
)

func matmulLimit() *kernelCase {
	c := sgemm(limitSide, limitSide, limitSide)
	c.tolerance = 1e-5 // long sums
	return c
}

// A copyJob copies megabytes.
type copyJob struct{ dst, src []byte }

func (j *copyJob) Run(from, to int) { copy(j.dst[from<<20:to<<20], j.src[from<<20:to<<20]) }

func (b *bench) memoryLimit(about result) error {
	about.Bytes = limitBytes
	if b.log.recent(about, b.racing([]string{"godcem"}), b.resume) || !contains(b.only, "godcem") {
		return nil
	}
	j := &copyJob{make([]byte, limitBytes/2), make([]byte, limitBytes/2)}
	for i := range j.src {
		j.src[i] = byte(i)
	}
	own := &contestant{name: "godcem", rounds: b.rounds, run: timed(func(n int) error {
		for range n {
			vec.Parallel(len(j.dst)>>20, 8, j)
		}
		return nil
	})}
	if _, err := own.run(1); err != nil {
		return err
	}
	for i := range j.dst {
		if j.dst[i] != j.src[i] {
			return fmt.Errorf("byte %d is %d, want %d", i, j.dst[i], j.src[i])
		}
	}
	return b.raceAndNote(about, []*contestant{own})
}
