package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godcem/godcem/engine/ir"
)

// apply returns the program that an outcome describes.
func (r *remater) apply(o outcome) *Program {
	r.decide(o.set)
	r.order()
	p := *r.p
	p.Buffers = slices.Clone(r.p.Buffers)
	p.Steps = make([]Step, 0, r.steps+len(r.clones))
	second := make([]BufID, len(r.p.Buffers)) // the buffer of what is computed again
	renew := func(b BufID) BufID {
		x := r.p.Buffers[b]
		x.Role, x.Over, x.First, x.Last, x.Offset = Temp, -1, 0, 0, 0
		p.Buffers = append(p.Buffers, x)
		return BufID(len(p.Buffers) - 1)
	}
	for b, t := range r.need {
		if t > 0 {
			second[b] = renew(BufID(b))
		}
	}
	at := func(b BufID, time int32) BufID {
		if b >= 0 && r.need[b] > 0 && time >= r.need[b] {
			return second[b]
		}
		return b
	}
	count := make([]int, r.steps)
	k := 0
	for i := range r.p.Steps {
		for ; k < len(r.clones) && r.clones[k].time <= int32(2*i); k++ {
			c := &r.clones[k]
			scratch := make(map[BufID]BufID)
			s := c.body.rename(func(b BufID) BufID { return at(b, c.time) }, func(b BufID) BufID {
				if slices.Contains(c.outs, b) {
					return second[b]
				}
				if scratch[b] == 0 {
					scratch[b] = renew(b)
				}
				return scratch[b]
			})
			if s.Again = !r.gone[c.step] || count[c.step] > 0; s.Again {
				p.Recomputed++
				s.Name += " again"
			}
			if count[c.step]++; count[c.step] > 1 {
				s.Name += fmt.Sprintf(" %d", count[c.step])
			}
			p.Steps = append(p.Steps, s)
		}
		if !r.gone[i] {
			s := &r.p.Steps[i]
			p.Steps = append(p.Steps, s.rename(func(b BufID) BufID { return at(b, int32(2*i+1)) },
				func(b BufID) BufID { return b }))
		}
	}
	p.compact()
	p.number()
	return &p
}

// number makes the numbers in the steps' names those of the steps.
func (p *Program) number() {
	for i := range p.Steps {
		if s := &p.Steps[i]; strings.HasPrefix(s.Name, "#") {
			if k := strings.IndexByte(s.Name, ' '); k > 0 {
				s.Name = fmt.Sprintf("#%d%s", i, s.Name[k:])
			}
		}
	}
}

// compact drops Temp buffers that no step touches.
func (p *Program) compact() {
	used := make([]bool, len(p.Buffers))
	for i := range p.Steps {
		for _, list := range [...][]BufID{p.Steps[i].Reads, p.Steps[i].Writes} {
			for _, b := range list {
				used[b] = true
			}
		}
	}
	for i := len(p.Buffers) - 1; i >= 0; i-- { // a view keeps what it is a view of
		if b := &p.Buffers[i]; b.Over >= 0 && used[i] {
			used[b.Over] = true
		}
	}
	number := make([]BufID, len(p.Buffers))
	n := BufID(0)
	for i := range p.Buffers {
		number[i] = -1
		if used[i] || p.Buffers[i].Role != Temp {
			number[i] = n
			p.Buffers[n] = p.Buffers[i]
			n++
		}
	}
	if int(n) == len(p.Buffers) {
		return
	}
	p.Buffers = p.Buffers[:n]
	to := func(b BufID) BufID {
		if b < 0 {
			return b
		}
		return number[b]
	}
	for i := range p.Buffers {
		p.Buffers[i].Over = to(p.Buffers[i].Over)
	}
	for i := range p.Steps {
		p.Steps[i] = p.Steps[i].rename(to, to)
	}
	for _, list := range [...]*[]Binding{&p.Inputs, &p.Outputs} {
		*list = slices.Clone(*list)
		for i := range *list {
			(*list)[i].Buf = to((*list)[i].Buf)
		}
	}
}

// rename returns a copy of the step with other buffers. Negative numbers are kept.
func (s *Step) rename(read, write func(BufID) BufID) Step {
	c := *s
	all := func(list []BufID, to func(BufID) BufID) []BufID {
		list = slices.Clone(list)
		for i, b := range list {
			list[i] = to(b)
		}
		return list
	}
	loop := func(l *Loop) *Loop {
		n := *l
		n.Loads, n.Stores, n.Body = slices.Clone(l.Loads), slices.Clone(l.Stores), slices.Clone(l.Body)
		for i := range n.Loads {
			if b := &n.Loads[i].Buf; *b != Acc {
				*b = read(*b)
			}
		}
		for i := range n.Body {
			if op := n.Body[i].Op; op == ir.Normal || op == ir.Uniform {
				n.Body[i].Run = read(n.Body[i].Run)
			}
		}
		for i := range n.Stores {
			n.Stores[i].Buf = write(n.Stores[i].Buf)
		}
		return &n
	}
	switch {
	case s.Loop != nil:
		c.Loop = loop(s.Loop)
	case s.Dot != nil:
		d := *s.Dot
		d.A.Buf, d.B.Buf = read(d.A.Buf), read(d.B.Buf)
		d.Epilogue = *loop(&s.Dot.Epilogue)
		c.Dot = &d
	case s.Custom != nil:
		k := *s.Custom
		k.In, k.Out = all(k.In, read), write(k.Out)
		c.Custom = &k
	case s.Update != nil:
		u := *s.Update
		u.Params, u.Grads = all(u.Params, write), all(u.Grads, read)
		u.M, u.V, u.Velocity = all(u.M, write), all(u.V, write), all(u.Velocity, write)
		u.Rate, u.Steps, u.Info = read(u.Rate), write(u.Steps), write(u.Info)
		if u.Loss >= 0 {
			u.Loss = read(u.Loss)
		}
		c.Update = &u
	}
	c.Reads, c.Writes = all(s.Reads, read), all(s.Writes, write)
	return c
}
