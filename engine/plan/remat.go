package plan

import (
	"fmt"
	"math"
	"slices"
)

// remat brings the part of the arena that Temp buffers share, as place lays it out, to at most budget bytes: values
// which lie idle for long are dropped after their last early use, and the steps that compute them run again just
// before the first late one. A value is computed at most twice. 0: no bound. The results stay the same bit for bit.
//
// What is dropped follows from thresholds on size, on how long a value lies idle, and on how long what is computed
// again would wait for its own use (beyond that it is kept: a checkpoint). They are searched so that the budget is
// met with as few operations more as found.
func remat(p *Program, budget int64) error {
	if budget <= 0 {
		return nil
	}
	used, err := tempBytes(p)
	if err != nil || used <= budget {
		return err
	}
	r := newRemater(p)
	plain := r.try(setting{size: math.MaxInt})
	// The search goes by the bytes alive at once; packing and in-place reuse change them by a factor.
	target := int64(float64(budget) * max(1, float64(plain.peak)/float64(used)))
	for round := 1; ; round++ {
		best, ok := r.search(target)
		if !ok || round == rounds { // last, what needs least whatever the budget
			best, _ = r.search(0)
		}
		c := r.apply(best)
		have, err := tempBytes(c)
		switch {
		case err != nil:
			return err
		case have <= budget:
			*p = *c
			return nil
		case !ok || round == rounds:
			return fmt.Errorf("plan: MemoryBudget = %d bytes, the least found for this graph is %d", budget, min(have, used))
		}
		target = min(target-1, int64(float64(target)*min(0.98, float64(budget)/float64(have))))
	}
}

// rounds is how often the target is lowered where a plan that should fit does not.
const rounds = 8

// tempBytes is what Temp buffers take in the arena once p is placed.
func tempBytes(p *Program) (int64, error) {
	l := lifetimes(p)
	over := make([]BufID, len(p.Buffers))
	for i := range p.Buffers {
		over[i] = p.Buffers[i].Over
	}
	l.inPlace(p, 0)
	blocks, _ := l.blocks(p)
	for i := range p.Buffers {
		p.Buffers[i].Over = over[i]
	}
	return int64(pack(blocks, len(p.Steps))), nil
}

// A setting decides what is computed again. Times count two per step.
type setting struct {
	size int   // buffers below it are kept
	gap  int32 // a buffer is dropped if it lies idle for longer
	idle int32 // and is not if, computed again, it would lie idle for longer than this
	all  bool  // products and kernels too, not only loops
	cut  int32 // what follows from another result of its step by a loop is dropped for this gap already; 0: it is not
	keep []bool
}

// An outcome is what a setting leads to.
type outcome struct {
	set   setting
	peak  int64 // bytes alive at once
	flops int64 // done again
}

// search finds the setting with the fewest operations done again whose peak is at most target; if there is none, ok
// is false and it returns one with the lowest peak. Target 0 looks for the lowest peak everywhere.
func (r *remater) search(target int64) (best outcome, ok bool) {
	better := func(o outcome) bool {
		fits := o.peak <= target
		switch {
		case best.peak == 0 || fits && !ok:
			return true
		case fits:
			return o.flops < best.flops || o.flops == best.flops && o.peak < best.peak
		}
		return !ok && o.peak < best.peak
	}
	try := func(s setting) bool {
		o := r.try(s)
		if better(o) {
			best = o
			ok = ok || o.peak <= target
		}
		return o.peak <= target
	}
	gaps := geometric(int(2*r.steps), 6, 0.92)
	sizes, idles := r.sizes(6), geometric(int(2*r.steps), 8, 0.5)
	if r.steps > 4000 { // near linear: fewer, not finer
		sizes, idles = r.sizes(2), geometric(int(2*r.steps), 64, 0.25)
	}
	for k, mode := range [...]struct{ all, cut bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		if ok && k == 2 || mode.all && r.loops {
			break // loops alone do, or there is nothing else
		}
		if mode.cut && !r.bases {
			continue
		}
		for _, size := range sizes {
			for _, idle := range idles {
				s := setting{size: size, idle: int32(idle), all: mode.all}
				at := func(gap int) bool {
					s.gap = int32(gap)
					switch {
					case mode.cut && mode.all:
						s.cut = min(s.gap, s.idle)
					case mode.cut:
						s.cut = s.gap
					}
					return try(s)
				}
				if target == 0 {
					for k := 0; k < len(gaps); k += 5 {
						at(gaps[k])
					}
					continue
				}
				// The longer the gap must be, the less is dropped: the longest that still fits.
				hi := len(gaps) - 1
				if !at(gaps[hi]) {
					if !at(idle) {
						continue
					}
					for hi > 0 && gaps[hi] < idle {
						hi--
					}
				}
				for lo := 0; lo < hi; {
					mid := (lo + hi) / 2
					if at(gaps[mid]) {
						hi = mid
					} else {
						lo = mid + 1
					}
				}
			}
		}
	}
	if ok {
		best = r.spare(best, target)
	}
	return best, ok
}

// geometric returns from, from*by, ... down to about to.
func geometric(from, to int, by float64) (list []int) {
	for x := float64(from); ; x *= by {
		if n := int(x); n <= to {
			return append(list, min(from, to))
		} else if len(list) == 0 || n < list[len(list)-1] {
			list = append(list, n)
		}
	}
}

// sizes are at most n sizes of buffers, from small to large, that divide those which can be dropped.
func (r *remater) sizes(n int) []int {
	var all []int
	for b, ok := range r.able {
		if ok {
			all = append(all, r.size[b])
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) <= n {
		return all
	}
	var list []int
	for k := range n {
		list = append(list, all[k*(len(all)-1)/(n-1)])
	}
	return list
}

// spare keeps what the target leaves room for, the costly first.
func (r *remater) spare(best outcome, target int64) outcome {
	r.try(best.set)
	type item struct {
		buf   BufID
		worth float64
	}
	var list []item
	for i := range r.clones {
		c := &r.clones[i]
		for _, b := range c.outs {
			list = append(list, item{b, float64(r.p.Steps[c.step].Flops) / float64(r.size[b])})
		}
	}
	slices.SortStableFunc(list, func(a, b item) int {
		switch {
		case a.worth > b.worth:
			return -1
		case a.worth < b.worth:
			return 1
		}
		return int(a.buf - b.buf)
	})
	keep := slices.Clone(best.set.keep)
	if keep == nil {
		keep = make([]bool, len(r.p.Buffers))
	}
	// Halving: a run of the list is kept if it fits, else its halves are tried.
	visits := 96
	if r.steps > 4000 {
		visits = 16
	}
	var add func(list []item)
	add = func(list []item) {
		if len(list) == 0 || visits == 0 {
			return
		}
		visits--
		for _, x := range list {
			keep[x.buf] = true
		}
		s := best.set
		s.keep = keep
		if o := r.try(s); o.peak <= target && o.flops <= best.flops {
			o.set.keep = slices.Clone(keep)
			best = o
			return
		}
		for _, x := range list {
			keep[x.buf] = false
		}
		if len(list) > 1 {
			add(list[:len(list)/2])
			add(list[len(list)/2:])
		}
	}
	add(list)
	return best
}
