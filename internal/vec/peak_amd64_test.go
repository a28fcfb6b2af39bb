//go:build !noasm

package vec

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"
)

// BenchmarkFMAPeak is the rate of multiply-adds alone, none of which waits for another or for memory: what no product
// of matrices can exceed, on one thread and on all.
func BenchmarkFMAPeak(b *testing.B) {
	const turns, sums = 100_000, 12 // sums: those of gen/peak.go
	for _, c := range []struct {
		name  string
		set   isa
		lanes int
		run   func(turns int)
	}{
		{"float32/avx2", isaAVX2, 8, fmaPeak32AVX2}, {"float64/avx2", isaAVX2, 4, fmaPeak64AVX2},
		{"float32/avx512", isaAVX512, 16, fmaPeak32AVX512}, {"float64/avx512", isaAVX512, 8, fmaPeak64AVX512},
	} {
		for _, threads := range []int{1, runtime.GOMAXPROCS(0)} {
			b.Run(fmt.Sprintf("%s/threads=%d", c.name, threads), func(b *testing.B) {
				if c.set > best {
					b.Skipf("this machine or build has no %s", isaNames[c.set])
				}
				least := time.Duration(math.MaxInt64)
				for b.Loop() {
					began := time.Now()
					var all sync.WaitGroup
					for range threads {
						all.Go(func() { c.run(turns) })
					}
					all.Wait()
					least = min(least, time.Since(began))
				}
				b.ReportMetric(2*float64(c.lanes*sums*turns*threads)/least.Seconds()/1e9, "GFLOP/s-at-best")
			})
		}
	}
}
