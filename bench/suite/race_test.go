package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func bare(t *testing.T) *bench {
	s := &settings{rounds: 3, slice: time.Millisecond, isas: []string{"avx2"}, plant: 1, device: "cpu", thread: 1,
		only: []string{"godcem", "torch", "jax", "tape"}}
	return &bench{settings: s, log: newLog(filepath.Join(t.TempDir(), "r.json"))}
}

// Who fails while he is timed is left out, at the first run or later, in a race or a cold start; the others' times are
// noted, the record says why, and the command fails in the end. Without godcem there is no case.
func TestRaceGoesOn(t *testing.T) {
	fails := func(after int) func(int) (duration, error) {
		return func(n int) (duration, error) {
			if after--; after < 0 {
				return duration{}, errors.New("out of memory (see /tmp/x.log)")
			}
			return duration{float64(n), float64(n)}, nil
		}
	}
	for name, race := range map[string]func(b *bench, about result, all []*contestant) ([]*contestant, error){
		"race": (*bench).race,
		"cold": func(b *bench, about result, all []*contestant) ([]*contestant, error) {
			return b.coldRace(about, all, true)
		},
	} {
		for _, after := range []int{0, 1, 4} {
			b, about := bare(t), result{Case: "c", Absent: map[string]string{}}
			all := []*contestant{{name: "godcem", run: fails(1 << 30), rounds: 3}, {name: "jax", run: fails(after), rounds: 9},
				{name: "torch", run: fails(1 << 30), rounds: 3}}
			left, err := race(b, about, all)
			if err != nil {
				t.Fatal(err)
			}
			if name == "cold" && after == 4 { // it has no more than three rounds
				continue
			}
			names := []string{}
			for _, x := range left {
				names = append(names, x.name)
				if len(x.times) != 3 {
					t.Errorf("%s, after %d: %s was timed %d times, want 3", name, after, x.name, len(x.times))
				}
			}
			if !slices.Equal(names, []string{"godcem", "torch"}) || about.Absent["jax"] != "jax: out of memory" ||
				len(b.lost) != 1 {
				t.Errorf("%s, after %d: left %v, absent %q, lost %v", name, after, names, about.Absent, b.lost)
			}
			if left, err := race(bare(t), about, []*contestant{{name: "godcem", run: fails(after), rounds: 9}}); err == nil {
				t.Errorf("%s, after %d: godcem failed, and %v are left", name, after, left)
			}
		}
	}
}

func TestCoresIn(t *testing.T) {
	for list, want := range map[string][]int{"\t0-1": {0, 1}, "\t2,4-6": {2, 4, 5, 6}, "\t7": {7}, "": nil, "\tx": nil} {
		if got := coresIn("Name:\tsuite\nCpus_allowed_list:" + list + "\nMems_allowed:\t1\n"); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", list, got, want)
		}
	}
	if coresIn("Name:\tsuite\n") != nil {
		t.Error("cores where nothing is said")
	}
	if _, err := os.Stat("/proc/self/status"); err == nil && len(allowedCores(1)) != 1 {
		t.Errorf("allowed: %v", allowedCores(1))
	}
}

// The yardstick's work is the same with any number of goroutines, and none of godcem's pool.
func TestYardDoesAll(t *testing.T) {
	for _, threads := range []int{1, 3} {
		j := newYard()
		if got := j.times(2, threads); got != 2*len(j.out) {
			t.Errorf("%d goroutines did %d parts, want %d", threads, got, 2*len(j.out))
		}
	}
}
