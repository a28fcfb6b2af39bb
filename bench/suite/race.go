package main

import (
	"fmt"
	"math"
	"regexp"
	"runtime"
	"slices"
	"time"
)

// raceAndNote times the contestants beside the yardstick and notes what that gave.
func (b *bench) raceAndNote(about result, all []*contestant) error {
	all, err := b.race(about, b.yard(all))
	if err != nil {
		return err
	}
	return b.note(about, all)
}

// leave notes why a contestant is not in a case, and starts it anew if it is a peer: after an error nobody knows what
// it is at. The others are measured, and the command fails in the end; but not on a GPU machine, with whose versions
// of the peers not all may compile.
func (b *bench) leave(name string, about result, why error) error {
	about.Absent[name] = reason(why)
	if !b.gpu() {
		b.lost = append(b.lost, fmt.Errorf("%s %s %s without %s: %w", b.isas[0], about.title(), about.Dtype, name, why))
	}
	for _, p := range b.peers {
		if p.name == name {
			return p.again()
		}
	}
	return nil
}

// enter takes a peer into a case: it makes it ready and adds it, or notes why it is not there.
func (b *bench) enter(p *peer, about result, all *[]*contestant, ready, add func() error) error {
	err, n := ready(), len(*all)
	if err != nil && p.name == "compile" { // what its compiler cannot do is no wrong answer
		about.Absent[p.name] = reason(err)
		return nil
	}
	if err == nil {
		err = add()
	}
	if err == nil {
		return nil
	}
	*all = (*all)[:n]
	return b.leave(p.name, about, err)
}

// logs is where an error says that more is told; these files are gone when the record is read.
var logs = regexp.MustCompile(` \(see [^)]*\)`)

// reason is what the record says of a peer's error.
func reason(err error) string { return logs.ReplaceAllString(err.Error(), "") }

// failed is what becomes of a case whose contestant x failed while it was timed: without godcem or the yardstick there
// is nothing to compare, without another there is.
func (b *bench) failed(x *contestant, about result, why error) error {
	why = fmt.Errorf("%s: %w", x.name, why)
	if x.name == "godcem" || x.name == yardstick {
		return why
	}
	x.gone = true
	return b.leave(x.name, about, why)
}

// race times the contestants in turn, in rounds that begin with another one each, and returns those that came through.
func (b *bench) race(about result, all []*contestant) ([]*contestant, error) {
	patience := time.Now().Add(b.patience)
	for _, x := range all {
		if err := b.warm(x); err != nil {
			if err := b.failed(x, about, err); err != nil {
				return nil, err
			}
		}
	}
	for round := 0; ; round++ {
		ran := false
		for j := range all {
			x := all[(j+round)%len(all)]
			if round >= x.rounds || x.gone {
				continue
			}
			ran = true
			runtime.GC()                      // the last one's garbage is not this one's
			time.Sleep(20 * time.Millisecond) // nor are its spinning threads
			times := x.each
			if x.name == "godcem" && b.plant != 1 {
				times = int(math.Ceil(float64(times) * b.plant))
			}
			d, err := x.undisturbed(times, patience)
			if err != nil {
				if err := b.failed(x, about, err); err != nil {
					return nil, err
				}
				continue
			}
			n := float64(x.each)
			if times != x.each {
				n = float64(times) / b.plant
			}
			x.times = append(x.times, duration{d.wall / n, d.cpu / n})
		}
		if !ran {
			return slices.DeleteFunc(slices.Clone(all), func(x *contestant) bool { return x.gone }), nil
		}
	}
}

// warm runs a contestant until what is compiled or allocated on first use is so, and sets how often it runs in a round.
func (b *bench) warm(x *contestant) error {
	target := b.slice.Seconds() * 1e3
	least, n := math.Inf(1), 1
	for try := 0; try < 3 || float64(n)*least < target/4 && try < 20; try++ {
		d, err := x.run(n)
		if err != nil {
			return err
		}
		least = min(least, d.wall/float64(n))
		if d.wall >= 2*target {
			break
		}
		if try >= 1 { // a better guess, step by step, because the first runs may be much slower
			n = max(n, min(50*n, int(target/4/least)))
		}
	}
	x.each = max(1, int(math.Round(target/least)))
	return nil
}

// disturbed is the share of the cores' time that others may take of a run: what cannot be told from none, since time
// is counted in ticks.
const disturbed = 0.08

// undisturbed runs the contestant n times while the cores are its own; after the deadline it takes what it gets.
func (x *contestant) undisturbed(n int, deadline time.Time) (duration, error) {
	for {
		for time.Now().Before(deadline) && loadOf(100*time.Millisecond) > disturbed {
		}
		busy := busyTime()
		d, err := x.run(n)
		if err != nil {
			return d, err
		}
		busy = busyTime() - busy
		if time.Now().Before(deadline) && (busy-d.cpu)/d.wall/float64(len(ownCores)) > disturbed {
			continue
		}
		x.busy += busy
		x.total.wall, x.total.cpu = x.total.wall+d.wall, x.total.cpu+d.cpu
		return d, nil
	}
}

// loadOf is the share of the cores' time that is taken, by anyone, in the next moment.
func loadOf(moment time.Duration) float64 {
	began, busy := time.Now(), busyTime()
	time.Sleep(moment)
	return (busyTime() - busy) / (time.Since(began).Seconds() * 1e3) / float64(len(ownCores))
}
