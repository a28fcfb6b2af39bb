package plan

import (
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// Options of New. The zero value plans with everything on and no bound.
type Options struct {
	// Disable names what is not done: "fuse", "epilogue", "siblings", "recompute", "schedule", "in-place", "remat",
	// "reuse".
	Disable []string
	// Budget bounds the part of the arena that Temp buffers share, in bytes; 0: no bound.
	Budget int64
	// Slack is the number of steps that a Temp buffer's place stays its own behind the last step that reads it, as far
	// as Budget allows: a device may then do neighbouring steps together, or in another order. A buffer lies over
	// another only if no other step reads that one within as many steps before.
	Slack int
}

// off reports whether the part of planning of that name is switched off.
func (o Options) off(name string) bool { return slices.Contains(o.Disable, name) }

// schedule changes the order of steps where that lowers the peak. New calls it after fusion, then remat, then place.
//
// It tries a few orders in which steps move past others that they do not depend on and keeps the best; the given
// order stays unless another needs less memory. Steps with effects keep their order, updates come last.
func schedule(p *Program, o Options) {
	if o.off("schedule") || len(p.Steps) < 3 {
		return
	}
	s := newScheduler(p)
	best := make([]int32, s.n)
	for i := range best {
		best[i] = int32(i)
	}
	least := s.peak(best)
	changed := false
	try := func(order []int32) []int32 {
		if m := s.peak(order); m < least {
			least, best, changed = m, order, true
		}
		return order
	}
	if least > s.floor() {
		try(s.list(try(s.list(best, false, false)), true, false))
		try(s.list(best, true, false))
	}
	if len(p.Steps) <= 10000 && least > s.floor() {
		try(s.list(best, false, true))
		try(s.list(best, true, true))
	}
	if !changed {
		return
	}
	steps := make([]Step, 0, len(p.Steps))
	for _, i := range best {
		steps = append(steps, p.Steps[i])
	}
	p.Steps = append(steps, p.Steps[s.n:]...)
	p.number()
}

// A scheduler knows what each step needs. The first n steps are scheduled; those behind are updates.
type scheduler struct {
	n          int
	next, prev [][]int32 // per step: those that must come after it, and before it
	touches    [][]BufID // per step: Temp buffers read or written, each once
	size       []int64   // per buffer
	uses       []int32   // per buffer: steps that touch it, updates included
	sum        []int64   // per buffer: the sum of their numbers
	late       []bool    // per buffer: an update touches it
	users      [][]int32 // per buffer: the steps below n that touch it
}

// fewUsers is up to how many users of a buffer are looked at again when it begins to live.
const fewUsers = 64

func newScheduler(p *Program) *scheduler {
	n := len(p.Steps)
	for n > 0 && p.Steps[n-1].Update != nil {
		n--
	}
	s := &scheduler{
		n: n, next: make([][]int32, n), prev: make([][]int32, n), touches: make([][]BufID, len(p.Steps)),
		size: make([]int64, len(p.Buffers)), uses: make([]int32, len(p.Buffers)), sum: make([]int64, len(p.Buffers)),
		late: make([]bool, len(p.Buffers)), users: make([][]int32, len(p.Buffers)),
	}
	root := lifetimes(p).root
	lastWrite, readers := slices.Repeat([]int32{-1}, len(p.Buffers)), make([][]int32, len(p.Buffers))
	edge := func(from, to int32) {
		if from >= 0 && from != to && (len(s.prev[to]) == 0 || s.prev[to][len(s.prev[to])-1] != from) {
			s.next[from] = append(s.next[from], to)
			s.prev[to] = append(s.prev[to], from)
		}
	}
	mark := slices.Repeat([]int32{-1}, len(p.Buffers))
	effect := int32(-1)
	for i := range p.Steps {
		step, i := &p.Steps[i], int32(i)
		for k, list := range [...][]BufID{step.Reads, step.Writes} {
			for _, b := range list {
				b = root[b]
				if p.Buffers[b].Role == Temp && mark[b] != i {
					mark[b] = i
					s.touches[i] = append(s.touches[i], b)
					s.uses[b]++
					s.sum[b] += int64(i)
					if s.late[b] = s.late[b] || int(i) >= n; int(i) < n {
						s.users[b] = append(s.users[b], i)
					}
				}
				if int(i) >= n {
					continue
				}
				edge(lastWrite[b], i)
				if k == 0 {
					readers[b] = append(readers[b], i)
					continue
				}
				for _, r := range readers[b] {
					edge(r, i)
				}
				readers[b] = readers[b][:0]
				lastWrite[b] = i
			}
		}
		if step.Custom != nil && ir.HasEffects(step.Custom.Kernel) {
			edge(effect, i)
			effect = i
		}
	}
	for i := range p.Buffers {
		s.size[i] = int64(p.Buffers[i].Bytes())
	}
	return s
}

// floor is what one step needs alone: no order takes less.
func (s *scheduler) floor() (most int64) {
	for _, list := range s.touches {
		n := int64(0)
		for _, b := range list {
			n += s.size[b]
		}
		most = max(most, n)
	}
	return most
}

// peak is the largest sum of bytes alive at once in an order.
func (s *scheduler) peak(order []int32) (most int64) {
	left := slices.Clone(s.uses)
	now := int64(0)
	run := func(i int32) {
		for _, b := range s.touches[i] {
			if left[b] == s.uses[b] {
				now += s.size[b]
			}
		}
		most = max(most, now)
		for _, b := range s.touches[i] {
			if left[b]--; left[b] == 0 {
				now -= s.size[b]
			}
		}
	}
	for _, i := range order {
		run(i)
	}
	for i := s.n; i < len(s.touches); i++ {
		run(int32(i))
	}
	return most
}

// list builds an order step by step from those whose predecessors are done. A step that frees more than it takes is
// done first; the others follow in the order of base or, if greedy, by what they take more than they free. With back
// it is built from the end: then a step is done as late as possible if it takes more than it frees.
func (s *scheduler) list(base []int32, back, greedy bool) []int32 {
	next, wait := s.next, make([]int32, s.n)
	for i := range wait {
		wait[i] = int32(len(s.prev[i]))
	}
	if back {
		next = s.prev
		for i := range wait {
			wait[i] = int32(len(s.next[i]))
		}
	}
	rank := make([]int64, s.n)
	for k, i := range base {
		rank[i] = int64(k)
		if back {
			rank[i] = int64(s.n - k)
		}
	}
	left, sum := slices.Clone(s.uses), slices.Clone(s.sum)
	if back { // updates are done
		for i := s.n; i < len(s.touches); i++ {
			for _, b := range s.touches[i] {
				left[b]--
				sum[b] -= int64(i)
			}
		}
	}
	begun := func(b BufID) bool { return left[b] < s.uses[b] || back && s.late[b] }
	key := func(i int32) int64 {
		more := int64(0)
		for _, b := range s.touches[i] {
			if !begun(b) {
				more += s.size[b]
			}
			if left[b] == 1 {
				more -= s.size[b]
			}
		}
		switch {
		case greedy:
			return more
		case more < 0:
			return -1
		}
		return 0
	}
	var h heap
	done := make([]bool, s.n)
	push := func(i int32) { h.push(entry{key(i), rank[i], i}) }
	for i := range wait {
		if wait[i] == 0 {
			push(int32(i))
		}
	}
	order := make([]int32, 0, s.n)
	for len(h) > 0 {
		i := h.pop().step
		if done[i] {
			continue
		}
		done[i] = true
		order = append(order, i)
		for _, b := range s.touches[i] {
			first := !begun(b)
			left[b]--
			sum[b] -= int64(i)
			// What is alive costs its other users nothing; the last one frees it.
			if last := sum[b]; left[b] == 1 && int(last) < s.n && wait[last] == 0 && !done[last] {
				push(int32(last))
			} else if first && left[b] > 0 && len(s.users[b]) <= fewUsers {
				for _, j := range s.users[b] {
					if wait[j] == 0 && !done[j] {
						push(j)
					}
				}
			}
		}
		for _, j := range next[i] {
			if wait[j]--; wait[j] == 0 {
				push(j)
			}
		}
	}
	if back {
		slices.Reverse(order)
	}
	return order
}

// A heap gives the entry of the least key, then rank, first.
type heap []entry

type entry struct {
	key, rank int64
	step      int32
}

func (a entry) before(b entry) bool { return a.key < b.key || a.key == b.key && a.rank < b.rank }

func (h *heap) push(e entry) {
	*h = append(*h, e)
	x := *h
	for i := len(x) - 1; i > 0 && x[i].before(x[(i-1)/2]); i = (i - 1) / 2 {
		x[i], x[(i-1)/2] = x[(i-1)/2], x[i]
	}
}

func (h *heap) pop() entry {
	x := *h
	top, n := x[0], len(x)-1
	x[0] = x[n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && x[c+1].before(x[c]) {
			c++
		}
		if !x[c].before(x[i]) {
			break
		}
		x[i], x[c] = x[c], x[i]
		i = c
	}
	*h = x[:n]
	return top
}
