package emit

import (
	"slices"

	"github.com/godcem/godcem/engine/plan"
)

// Bounds of what goes into one kernel.
const (
	maxParams = 480 // of 8 bytes: a kernel's arguments take 4 KiB at most
	maxLanes  = 16
	lookBack  = 64 // launches past which a part may move forward
)

// Slack is what plan.Options.Slack should be for programs whose steps share kernels.
const Slack = 24

// Graphs is the number of graphs of launches that a run starts: the host's steps part them.
func (p *Program) Graphs() (n int) {
	device := false
	for i := range p.Launches {
		d := p.Launches[i].onDevice()
		if d && !device {
			n++
		}
		device = d
	}
	return n
}

// A grouper puts parts into kernels. Parts come in the plan's order; each goes into the last group that it may not
// overtake, behind what it needs there if they work on the same rows, or else beside the parts of a group that it is
// independent of, or into a group of its own.
//
// What is independent is decided by the places in the arena: buffers that follow each other in one place are not.
type grouper struct {
	e      *emitter
	rows   bool // parts may follow each other
	beside bool // parts may share a grid
	groups []group
	counts []int // of rows that kernels have, for loops that could have any
}

// group says which parts become one kernel.
func (e *emitter) group() []group {
	g := &grouper{e: e, rows: !e.o.off("rows"), beside: !e.o.off("side-by-side")}
	for i := range e.stages {
		if r := e.stages[i].rows; r > 0 && !slices.Contains(g.counts, r) {
			g.counts = append(g.counts, r)
		}
	}
	for _, q := range e.stages {
		g.place(q)
	}
	for i := range g.groups {
		at := &g.groups[i]
		at.few = !at.host() && (at.blocks() <= e.o.SMs || at.onRows(e))
	}
	return g.groups
}

// off reports whether an ability of that name is switched off.
func (o *Options) off(name string) bool { return slices.Contains(o.Disable, name) }

// place puts a part where it goes.
func (g *grouper) place(q part) {
	best := -1
	for i, n := len(g.groups)-1, 0; i >= 0 && n < lookBack && !q.host; i, n = i-1, n+1 {
		at := &g.groups[i]
		if at.host() {
			break
		}
		lanes := g.needs(at, &q)
		if len(lanes) > 0 {
			if g.rows && g.follow(at, lanes, &q) {
				return
			}
			break
		}
		if g.beside && g.fits(at, &q) && g.worth(at, &q) {
			best = i
		}
	}
	if best >= 0 {
		at := &g.groups[best]
		at.lanes = append(at.lanes, lane{[]part{q}})
		return
	}
	g.groups = append(g.groups, group{lanes: []lane{{[]part{q}}}})
}

// host reports whether the group is the host's.
func (g *group) host() bool { return g.lanes[0].parts[0].host }

// onRows reports whether a kernel of package kernels is in the group: it is bound by latency, not by occupancy.
func (g *group) onRows(e *emitter) bool {
	for q := range g.all() {
		if q.rows > 0 && e.ofRow(q) {
			return true
		}
	}
	return false
}

// needs are the group's lanes that must be done before q, or whose memory q takes.
func (g *grouper) needs(at *group, q *part) (lanes []int) {
	for i := range at.lanes {
		parts := at.lanes[i].parts
		for j := range parts {
			if any, _ := g.e.clash(&parts[j], q); any {
				lanes = append(lanes, i)
				break
			}
		}
	}
	return lanes
}

// follow appends q to the lanes of a group that it needs, made one, if all there is of the same rows or can be, and q
// needs nothing but its own rows.
func (g *grouper) follow(at *group, lanes []int, q *part) bool {
	counts := g.counts
	if q.rows > 0 {
		counts = []int{q.rows}
	}
	var before []*part
	for _, l := range lanes {
		for i := range at.lanes[l].parts {
			p := &at.lanes[l].parts[i]
			if p.rows > 0 {
				counts = []int{p.rows}
			}
			before = append(before, p)
		}
	}
	for _, rows := range counts {
		if parts, ok := g.sequence(before, q, rows); ok && g.fits(at, &parts[len(parts)-1]) {
			at.lanes[lanes[0]].parts = parts
			for _, l := range slices.Backward(lanes[1:]) {
				at.lanes = slices.Delete(at.lanes, l, l+1)
			}
			return true
		}
	}
	return false
}

// sequence is the parts, with q behind them, on so many rows.
func (g *grouper) sequence(before []*part, q *part, rows int) ([]part, bool) {
	next, ok := g.e.byRows(q, rows)
	if !ok {
		return nil, false
	}
	var parts []part
	for _, p := range before {
		if any, byRows := g.e.clash(p, &next); any && !byRows && p.rows == rows {
			return nil, false
		}
		p, ok := g.e.byRows(p, rows)
		if !ok {
			return nil, false
		}
		if any, byRows := g.e.clash(&p, &next); any && !byRows {
			return nil, false
		}
		parts = append(parts, p)
	}
	return append(parts, next), true
}

// byRows is the part with a block per row: itself, or a loop that can be so and is short.
func (e *emitter) byRows(q *part, rows int) (part, bool) {
	if q.rows == rows {
		return *q, true
	}
	l := e.p.Steps[q.step].Loop
	if q.rows > 0 || q.host || l == nil || e.stageCount(q.step) > 1 || e.long(q) {
		return part{}, false
	}
	// A row is one block's work: that must not take much longer than a launch, unless rows fill the device.
	limit := 4096
	if rows >= e.o.SMs/2 {
		limit = 16384
	}
	if l.Points()/rows > limit {
		return part{}, false
	}
	return e.loopRows(q.step, l, rows)
}

// longBody is how many instructions a loop's body has at least that is a kernel's main work, such as a rollout of many
// steps: what it keeps in registers leaves no room for others, and it wants the whole device, not a block per row.
const longBody = 96

// long reports whether a part is such a loop, or a product with such an epilogue.
func (e *emitter) long(q *part) bool {
	s := &e.p.Steps[q.step]
	return s.Loop != nil && len(s.Loop.Body) >= longBody || s.Dot != nil && len(s.Dot.Epilogue.Body) >= longBody
}

// ofRow reports whether a part is a kernel of package kernels: those work on rows.
func (e *emitter) ofRow(q *part) bool { return e.p.Steps[q.step].Custom != nil }

// stageCount is the number of parts of a step.
func (e *emitter) stageCount(step int) (n int) {
	at, _ := slices.BinarySearchFunc(e.stages, step, func(q part, step int) int { return q.step - step })
	for ; at < len(e.stages) && e.stages[at].step == step; at++ {
		n++
	}
	return n
}

// fits reports whether a part can be in a kernel with others: threads, shared memory, arguments.
func (g *grouper) fits(at *group, q *part) bool {
	params := len(q.params)
	for p := range at.all() {
		if g.e.long(q) && g.e.ofRow(p) || g.e.ofRow(q) && g.e.long(p) {
			return false
		}
	}
	fixed := q.threads
	free := q.threads == 0
	for p := range at.all() {
		params += len(p.params)
		if p.threads > 0 && fixed > 0 && p.threads != fixed {
			return false
		}
		fixed = max(fixed, p.threads)
		free = free || p.threads == 0
	}
	return params <= maxParams && len(at.lanes) < maxLanes && !(free && fixed > maxThreads)
}

// worth reports whether a part gains by sharing a grid: a launch saved is much for what is short; what is long and of
// another kind would lose more by the other's registers and shared memory.
func (g *grouper) worth(at *group, q *part) bool {
	const long = 10e-6 // seconds
	if seconds(q.flops, q.bytes) < long {
		return true
	}
	for p := range at.all() {
		if seconds(p.flops, p.bytes) >= long && (g.e.p.Steps[p.step].Dot == nil) != (g.e.p.Steps[q.step].Dot == nil) {
			return false
		}
	}
	return true
}

// clash reports whether q, which comes after p, touches memory that p writes, or writes what p touches; and, if so,
// whether rows keep to themselves: each touches only what p's same row does.
func (e *emitter) clash(p, q *part) (any, byRows bool) {
	if p.step == q.step || p.host || q.host || sharesScratch(p, q) {
		return true, false
	}
	byRows = p.rows > 0 && p.rows == q.rows
	check := func(a, b []plan.BufID) {
		for _, x := range a {
			for _, y := range b {
				if !e.overlap(x, y) {
					continue
				}
				any = true
				u, v := &e.p.Buffers[x], &e.p.Buffers[y]
				if u.Offset != v.Offset || u.Bytes() != v.Bytes() ||
					!slices.Contains(p.local, x) || !slices.Contains(q.local, y) {
					byRows = false
				}
			}
		}
	}
	check(p.writes, q.reads)
	check(p.writes, q.writes)
	check(p.reads, q.writes)
	return any, byRows
}

// sharesScratch reports whether two parts use one place of the scratch memory.
func sharesScratch(p, q *part) bool {
	for _, a := range p.params {
		for _, b := range q.params {
			if a.arg.Kind == Scratch && b.arg.Kind == Scratch && a.arg.Offset == b.arg.Offset {
				return true
			}
		}
	}
	return false
}

// overlap reports whether two buffers have memory in common.
func (e *emitter) overlap(x, y plan.BufID) bool {
	u, v := &e.p.Buffers[x], &e.p.Buffers[y]
	return x == y && u.Bytes() > 0 || u.Offset < v.Offset+v.Bytes() && v.Offset < u.Offset+u.Bytes()
}

// seconds is what a part takes on an H200, without its launch: the longer of arithmetic and traffic.
func seconds(flops, bytes int64) float64 {
	return max(float64(flops)/60e12, float64(bytes)/4.3e12)
}
