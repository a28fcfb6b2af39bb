package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/godcem/godcem/bench/record"
)

// A ratio to the yardstick is worse than the record's beyond noise if its interval begins this much above the
// record's end. Two quiet runs of one commit were seen to differ by less.
const slack = 1.10

// A wide interval must not hide a slowdown: medians so far apart in all attempts are one too. Two quiet runs of one
// commit had medians within 6 % of each other.
const apartAtMost = 1.15

// attempts that a case has: what disturbs one is gone in the next.
const attempts = 3

// A verdict compares a case with the record.
type verdict struct {
	name     string
	now, was ratio // godcem's time over the yardstick's
	missing  bool  // the record has no such case
}

// slower reports whether it is beyond noise.
func (v verdict) slower() bool {
	return !v.missing && !(v.now.Low <= v.was.High*slack && v.now.Median <= v.was.Median*apartAtMost)
}

func (v verdict) String() string {
	if v.missing {
		return fmt.Sprintf("%-34s %8.3g %8s  not in the record", v.name, v.now.Median, "")
	}
	judged := "ok"
	if v.slower() {
		judged = "SLOWER"
	}
	return fmt.Sprintf("%-34s %8.3g %8.3g %7.2f  %s", v.name, v.now.Median, v.was.Median, v.now.Median/v.was.Median,
		judged)
}

// judge compares results with those of the record of the same case, godcem's alone.
func judge(fresh, old []result) (all []verdict) {
	was := map[string]result{}
	for _, r := range old {
		was[r.key()] = r
	}
	for _, r := range fresh {
		if r.Contestant != "godcem" || r.Yard == nil {
			continue
		}
		v := verdict{name: strings.TrimSpace(r.title() + " " + r.Dtype), now: *r.Yard}
		if o, ok := was[r.key()]; ok && o.Yard != nil {
			v.was = *o.Yard
		} else {
			v.missing = true
		}
		all = append(all, v)
	}
	return all
}

// compare measures godcem and the yardstick and compares with the record; the record stays as it is.
func (b *bench) compare() error {
	old, err := load(b.json)
	if err != nil {
		return err
	}
	for _, r := range old {
		if cpu := record.Processor(); r.Contestant == "godcem" && r.Processor != cpu {
			return fmt.Errorf("-check: %s is of %q, and this is %q: measure here (make bench-full) or give another -json",
				b.json, r.Processor, cpu)
		}
	}
	dir, err := os.MkdirTemp("", "suite")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.log = newLog(dir + "/fresh.json")
	fmt.Printf("%-34s %8s %8s %7s\n", "godcem's time over the yardstick's", "now", "record", "now/rec")
	compared, slow, missing := 0, 0, 0
	jobs, err := b.plan()
	if err != nil {
		return err
	}
	for _, j := range jobs {
		var v []verdict
		for range attempts {
			b.log.fresh = nil
			if err := j.run(); err != nil {
				return err
			}
			if v = judge(b.log.fresh, old); len(v) == 0 || !v[0].slower() {
				break
			}
		}
		for _, x := range v {
			fmt.Println(x)
			if x.slower() {
				slow++
			}
			if x.missing {
				missing++
			} else {
				compared++
			}
		}
	}
	if compared == 0 {
		return errors.New("-check: nothing was compared: " +
			"the record has none of these cases for this instruction set and number of threads")
	}
	if slow > 0 {
		return fmt.Errorf("-check: %d of %d cases are slower than the record beyond noise", slow, compared)
	}
	if missing > 0 {
		return fmt.Errorf("-check: %d cases are not in the record, and so not held to anything: make bench-full", missing)
	}
	fmt.Printf("%d cases are as fast as in the record\n", compared)
	return nil
}
