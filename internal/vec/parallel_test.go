package vec

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// jobFunc makes a Job of a function.
type jobFunc func(lo, hi int)

func (f jobFunc) Run(lo, hi int) { f(lo, hi) }

func withThreads(t *testing.T, n int) {
	old := SetThreads(n)
	t.Cleanup(func() { SetThreads(old) })
}

func TestSetThreads(t *testing.T) {
	withThreads(t, 3)
	if Threads() != 3 {
		t.Errorf("Threads() = %d, want 3", Threads())
	}
	if old := SetThreads(0); old != 3 || Threads() != 1 {
		t.Errorf("SetThreads(0) = %d with Threads() = %d after, want 3 and 1", old, Threads())
	}
}

// Every item is run once, in ranges of at least grain items but for the last.
func TestParallelCovers(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8} {
		withThreads(t, threads)
		for _, n := range []int{-1, 0, 1, 2, 7, 64, 1000} {
			for _, grain := range []int{math.MinInt, 0, 1, 3, 64, 5000, math.MaxInt} {
				runs := make([]atomic.Int32, max(n, 0))
				Parallel(n, grain, jobFunc(func(lo, hi int) {
					if lo < 0 || lo >= hi || hi > n || hi < n && hi-lo < grain {
						t.Errorf("threads %d, n %d, grain %d: range [%d, %d)", threads, n, grain, lo, hi)
					}
					for i := lo; i < hi; i++ {
						runs[i].Add(1)
					}
				}))
				for i := range runs {
					if r := runs[i].Load(); r != 1 {
						t.Fatalf("threads %d, n %d, grain %d: item %d was run %d times", threads, n, grain, i, r)
					}
				}
			}
		}
	}
}

// rootJob is a job whose items' values do not depend on the range they come in.
type rootJob struct{ out []float64 }

func (j *rootJob) Run(lo, hi int) {
	for i := lo; i < hi; i++ {
		j.out[i] = math.Sqrt(float64(i)) * math.Sin(float64(i))
	}
}

func TestParallelSameForAnyThreads(t *testing.T) {
	const n = 10007
	want := make([]float64, n)
	(&rootJob{want}).Run(0, n)
	for _, threads := range []int{1, 2, 5, 8} {
		withThreads(t, threads)
		got := make([]float64, n)
		Parallel(n, 16, &rootJob{got})
		if !slices.Equal(got, want) {
			t.Errorf("%d threads: other values than the plain loop", threads)
		}
	}
}

// Jobs that call Parallel, from many goroutines, must all finish: nobody may wait for a worker that waits for him.
func TestParallelNested(t *testing.T) {
	withThreads(t, 4)
	var count atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				Parallel(6, 1, jobFunc(func(lo, hi int) {
					for i := lo; i < hi; i++ {
						Parallel(5, 1, jobFunc(func(lo, hi int) {
							Parallel(hi-lo, 1, jobFunc(func(lo, hi int) { count.Add(int64(hi - lo)) }))
						}))
					}
				}))
			}
		})
	}
	all.Wait()
	if got := count.Load(); got != 8*20*6*5 {
		t.Errorf("%d innermost items were run, want %d", got, 8*20*6*5)
	}
}

// Whoever runs the chunk that panics, the caller gets the panic, with its value; and the pool works on.
func TestParallelPanics(t *testing.T) {
	cause := errors.New("the cause")
	for _, threads := range []int{1, 2, 8} {
		withThreads(t, threads)
		for at := range 40 {
			func() {
				defer func() {
					if got := recover(); got != cause {
						t.Errorf("threads %d, panic in item %d: recovered %v, want %v", threads, at, got, cause)
					}
				}()
				Parallel(40, 1, jobFunc(func(lo, hi int) {
					if lo <= at && at < hi {
						Parallel(3, 1, jobFunc(func(lo, _ int) {
							if lo == 0 {
								panic(cause)
							}
						}))
					}
				}))
				t.Errorf("threads %d: no panic from item %d", threads, at)
			}()
			got := make([]float64, 40)
			Parallel(40, 1, &rootJob{got})
			if got[39] == 0 {
				t.Fatalf("threads %d: nothing was done after the panic in item %d", threads, at)
			}
		}
	}
}

// threadJob notes which threads run it.
type threadJob struct {
	rootJob
	threads [4]atomic.Int32
}

func (j *threadJob) RunOn(thread, lo, hi int) {
	j.threads[thread].Add(1)
	j.Run(lo, hi)
}

// A ThreadJob is told numbers below Threads(); another would be out of the array.
func TestParallelThreads(t *testing.T) {
	withThreads(t, 4)
	for range 50 {
		j := &threadJob{rootJob: rootJob{make([]float64, 1000)}}
		Parallel(1000, 10, j)
		if j.out[999] == 0 {
			t.Fatal("not all items were run")
		}
		total := int32(0)
		for i := range j.threads {
			total += j.threads[i].Load()
		}
		if total == 0 {
			t.Fatal("RunOn was not called")
		}
	}
	withThreads(t, 1)
	j := &threadJob{rootJob: rootJob{make([]float64, 1000)}}
	Parallel(1000, 10, j)
	if j.out[999] == 0 {
		t.Error("not all items were run on one thread")
	}
}

// Workers that went to sleep are woken, and a caller that sleeps until the last worker is done is woken too.
func TestParallelSleeps(t *testing.T) {
	withThreads(t, 3)
	for range 10 {
		time.Sleep(3 * spinTime)
		var done atomic.Int32
		Parallel(3, 1, jobFunc(func(lo, hi int) {
			if lo != 0 {
				time.Sleep(2 * spinTime)
			}
			done.Add(int32(hi - lo))
		}))
		if done.Load() != 3 {
			t.Fatalf("%d of 3 items were run", done.Load())
		}
	}
}

func TestParallelAllocates(t *testing.T) {
	for _, threads := range []int{1, 4} {
		withThreads(t, threads)
		job := &rootJob{make([]float64, 1000)}
		if a := testing.AllocsPerRun(100, func() { Parallel(1000, 10, job) }); a != 0 {
			t.Errorf("%d threads: %v allocations per call, want none", threads, a)
		}
	}
}

func BenchmarkParallel(b *testing.B) {
	for _, n := range []int{100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			job := &rootJob{make([]float64, n)}
			for b.Loop() {
				Parallel(n, 16, job)
			}
		})
	}
}
