package plan

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// Verify checks what backends rely on, by other means than those that planned it:
//
//   - steps are well formed, their Reads and Writes are what they access, names are unique;
//   - every access lies inside its buffer at every point, and the stores of a buffer hit each of its elements once;
//   - a value is read only after all of it is written; updates come last, and only they write what is resident;
//   - lifetimes and Peak are right; no two buffers that live at once overlap, but for legal cases of Buffer.Over.
//
// The error names the step and the buffer.
func (p *Program) Verify() error {
	v := &verifier{p: p, stores: make([][]target, len(p.Buffers))}
	for _, check := range [...]func() error{v.buffers, v.steps, v.order, v.bindings, v.placement} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

type verifier struct {
	p      *Program
	stores [][]target // per buffer, what is written
	// Of each buffer, views counted with what they are views of: the first and last step that writes it and the first
	// and last that touches it; -1: none.
	firstWrite, lastWrite, firstUse, lastUse []int
}

// A target is a set of elements that a step writes.
type target struct {
	step    int
	off     int
	dims    []int
	strides []int
}

func (v *verifier) fail(step int, format string, args ...any) error {
	return fmt.Errorf("plan: step %d (%s): %s", step, v.p.Steps[step].Name, fmt.Sprintf(format, args...))
}

func (v *verifier) buffers() error {
	p := v.p
	for i := range p.Buffers {
		b := &p.Buffers[i]
		fail := func(format string, args ...any) error {
			return fmt.Errorf("plan: buffer %d: %s", i, fmt.Sprintf(format, args...))
		}
		if b.Role > State {
			return fail("role %d", b.Role)
		}
		if b.Type == ir.NoType || b.Type > ir.Bool {
			return fail("element type %v", b.Type)
		}
		for _, d := range b.Shape {
			if d < 0 {
				return fail("shape %v", b.Shape)
			}
		}
		if b.Role == Const {
			if t, n := ir.DataType(b.Data); t != b.Type || n != b.Count() {
				return fail("data of %d x %v, want %d x %v", n, t, b.Count(), b.Type)
			}
		}
		if b.Node < -1 || p.Graph != nil && int(b.Node) >= len(p.Graph.Nodes) {
			return fail("node %%%d", b.Node)
		}
		if b.Over < -1 || int(b.Over) >= len(p.Buffers) || int(b.Over) == i {
			return fail("over buffer %d of %d", b.Over, len(p.Buffers))
		}
	}
	return nil
}

// steps checks each step by itself, collects what it writes, and compares Reads and Writes.
func (v *verifier) steps() error {
	p := v.p
	names := make(map[string]int, len(p.Steps))
	updates := false
	for i := range p.Steps {
		s := &p.Steps[i]
		if j, ok := names[s.Name]; ok || s.Name == "" {
			return v.fail(i, "named like step %d", j)
		}
		names[s.Name] = i
		if s.Flops < 0 || s.Bytes < 0 {
			return v.fail(i, "%d flops, %d bytes", s.Flops, s.Bytes)
		}
		for _, id := range s.Nodes {
			if id < 0 || p.Graph != nil && int(id) >= len(p.Graph.Nodes) {
				return v.fail(i, "node %%%d", id)
			}
		}
		kinds := 0
		for _, is := range [...]bool{s.Loop != nil, s.Dot != nil, s.Custom != nil, s.Update != nil} {
			if is {
				kinds++
			}
		}
		if kinds != 1 {
			return v.fail(i, "%d of Loop, Dot, Custom and Update, want one", kinds)
		}
		if updates && s.Update == nil {
			return v.fail(i, "after an update")
		}
		updates = s.Update != nil
		a := &accesses{v: v, step: i}
		switch {
		case s.Loop != nil:
			a.loop(s.Loop, false)
		case s.Dot != nil:
			a.dot(s.Dot)
		case s.Custom != nil:
			a.custom(s.Custom)
		default:
			a.update(s.Update)
		}
		if a.err != nil {
			return a.err
		}
		if err := a.compare(s); err != nil {
			return err
		}
	}
	return v.covered()
}

// covered checks that the stores of a buffer are disjoint and hit each element.
func (v *verifier) covered() error {
	for i, ts := range v.stores {
		b := &v.p.Buffers[i]
		n := 0
		for k := range ts {
			t := &ts[k]
			n += ir.Count(t.dims)
			if ok, why := injective(t); !ok {
				return v.fail(t.step, "stores to buffer %d hit an element twice (dims %v, strides %v)%s",
					i, t.dims, t.strides, why)
			}
		}
		if b.Role != Temp && b.Role != Output || b.Over >= 0 && len(ts) == 0 { // a view has its elements from another
			continue
		}
		if n != b.Count() {
			step := -1
			if len(ts) > 0 {
				step = ts[0].step
			}
			return fmt.Errorf("plan: buffer %d %v: %d elements are written (first in step %d), want each of %d once",
				i, b.Shape, n, step, b.Count())
		}
		// In bounds, injective and as many as there are: then disjoint unless two hit one element.
		for k := range ts {
			for j := range k {
				if ok, why := disjoint(&ts[j], &ts[k]); !ok {
					return v.fail(ts[k].step, "stores to buffer %d hit an element that step %d stores%s", i, ts[j].step, why)
				}
			}
		}
	}
	return nil
}

// order checks that reads come after writes, and fills the first and last steps.
func (v *verifier) order() error {
	p := v.p
	for _, s := range [...]*[]int{&v.firstWrite, &v.lastWrite, &v.firstUse, &v.lastUse} {
		*s = slices.Repeat([]int{-1}, len(p.Buffers))
	}
	for i := range p.Steps {
		for _, b := range p.Steps[i].Writes {
			if v.firstWrite[b] < 0 {
				v.firstWrite[b] = i
			}
			v.lastWrite[b] = i
		}
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		for _, b := range s.Writes {
			if role := p.Buffers[b].Role; role != Temp && role != Output && s.Update == nil {
				return v.fail(i, "writes buffer %d, which the host feeds or an update owns (role %d)", b, role)
			}
			v.touch(b, i)
		}
		for _, b := range s.Reads {
			r, err := v.content(b)
			if err != nil {
				return err
			}
			switch role := p.Buffers[r].Role; {
			case role == State && s.Update == nil:
				return v.fail(i, "reads buffer %d, the state of an update", b)
			case role != Temp && role != Output || p.Buffers[r].Count() == 0:
			case v.lastWrite[r] < 0:
				return v.fail(i, "reads buffer %d, which no step writes", b)
			case v.lastWrite[r] >= i:
				return v.fail(i, "reads buffer %d before step %d has written it", b, v.lastWrite[r])
			}
			v.touch(r, i)
		}
	}
	return nil
}

func (v *verifier) touch(b BufID, step int) {
	if v.firstUse[b] < 0 {
		v.firstUse[b] = step
	}
	v.lastUse[b] = step
}

// content follows views to the buffer whose elements they show.
func (v *verifier) content(b BufID) (BufID, error) {
	for n := 0; v.isView(b); n++ {
		if n > len(v.p.Buffers) {
			return b, fmt.Errorf("plan: buffer %d is a view of itself", b)
		}
		b = v.p.Buffers[b].Over
	}
	return b, nil
}

func (v *verifier) isView(b BufID) bool { return v.p.Buffers[b].Over >= 0 && v.lastWrite[b] < 0 }

func (v *verifier) bindings() error {
	p := v.p
	check := func(what string, list []Binding, ok func(r Role) bool) error {
		for i, x := range list {
			if x.Buf < -1 || int(x.Buf) >= len(p.Buffers) {
				return fmt.Errorf("plan: %s %d: buffer %d of %d", what, i, x.Buf, len(p.Buffers))
			}
			if p.Graph == nil {
				continue
			}
			if x.Node < 0 || int(x.Node) >= len(p.Graph.Nodes) {
				return fmt.Errorf("plan: %s %d: node %%%d", what, i, x.Node)
			}
			n := &p.Graph.Nodes[x.Node]
			if x.Buf < 0 {
				if n.Count() != 0 {
					return fmt.Errorf("plan: %s %d: %s has no buffer", what, i, p.Graph.Label(x.Node))
				}
				continue
			}
			b := &p.Buffers[x.Buf]
			if b.Type != n.Type || b.Count() != n.Count() {
				return fmt.Errorf("plan: %s %d: buffer %d, %v %v, for %s, %v %v",
					what, i, x.Buf, b.Type, b.Shape, p.Graph.Label(x.Node), n.Type, n.Shape)
			}
			if r, err := v.content(x.Buf); err != nil || !ok(p.Buffers[r].Role) {
				return fmt.Errorf("plan: %s %d: buffer %d of role %d", what, i, x.Buf, b.Role)
			}
		}
		return nil
	}
	if err := check("input", p.Inputs, func(r Role) bool { return r == Input || r == Param }); err != nil {
		return err
	}
	return check("output", p.Outputs, func(r Role) bool { return r != Temp && r != State })
}
