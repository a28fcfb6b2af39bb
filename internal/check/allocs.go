package check

import "testing"

// NoAllocs fails t if f allocates in the steady state, on average over some calls after a first one. Under the race
// detector it calls f but only logs that nothing was measured: there a sync.Pool drops entries at random.
func NoAllocs(t testing.TB, name string, f func()) {
	t.Helper()
	if raceDetector {
		f()
		f()
		t.Logf("%s: allocations not measured under the race detector", name)
		return
	}
	if a := testing.AllocsPerRun(50, f); a != 0 {
		t.Errorf("%s: %v allocations per call, want 0", name, a)
	}
}

// NoAllocsAfter is NoAllocs for an f before each call of which before must run, whose own allocations do not count.
func NoAllocsAfter(t testing.TB, name string, before, f func()) {
	t.Helper()
	both := func() {
		before()
		f()
	}
	if raceDetector {
		NoAllocs(t, name, both)
		return
	}
	own := testing.AllocsPerRun(50, before)
	if a := testing.AllocsPerRun(50, both); a != own {
		t.Errorf("%s: %v allocations per call, want 0", name, a-own)
	}
}
