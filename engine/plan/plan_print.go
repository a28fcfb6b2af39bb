package plan

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/godcem/godcem/engine/ir"
)

var roleNames = [...]string{
	Temp: "temp", Input: "input", Param: "param", Const: "const", Output: "output", State: "state",
}

// String returns the role's name.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role%d", uint8(r))
}

var combineNames = [...]string{Set: "=", Sum: "sum=", MaxOf: "max=", MinOf: "min=", ProdOf: "prod="}

// String returns how a listing writes the store: "=" or "sum=", for instance.
func (c Combine) String() string {
	if int(c) < len(combineNames) {
		return combineNames[c]
	}
	return fmt.Sprintf("combine%d=", uint8(c))
}

// String lists the buffers and the steps with their bodies.
//
//	b3 temp f32 (100,128) %17 @4096 #2..#5     the buffer, its node, its place and its life
//	#2 dot+add+softplus: dot f32 ...           a step
//	  v1 = b2[i1]                              a load: element i1 at point (i0, i1)
//	  v2 = add v0 v1                           an instruction
//	  b4[128*i0 + i1] = v2                     a store
func (p *Program) String() string {
	var s printer
	s.line("program: %d steps, arena %d, peak %d, recomputed %d", len(p.Steps), p.Arena, p.Peak, p.Recomputed)
	for i := range p.Buffers {
		b := &p.Buffers[i]
		s.add("b%d %v %v %s", i, b.Role, b.Type, shape(b.Shape))
		if b.Node >= 0 {
			s.add(" %%%d", b.Node)
		}
		s.add(" @%d", b.Offset)
		if b.Role == Temp {
			s.add(" #%d..#%d", b.First, b.Last)
		}
		if b.Over >= 0 {
			s.add(" over b%d", b.Over)
		}
		s.line("")
	}
	for _, list := range []struct {
		name string
		of   []Binding
	}{{"in", p.Inputs}, {"out", p.Outputs}} {
		for _, x := range list.of {
			s.line("%s %%%d: b%d", list.name, x.Node, x.Buf)
		}
	}
	for i := range p.Steps {
		s.step(&p.Steps[i])
	}
	return s.String()
}

type printer struct{ strings.Builder }

func (s *printer) add(format string, args ...any)  { fmt.Fprintf(s, format, args...) }
func (s *printer) line(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

func shape(dims []int) string {
	return "(" + strings.ReplaceAll(strings.Trim(fmt.Sprint(dims), "[]"), " ", ",") + ")"
}

func (s *printer) step(st *Step) {
	s.add("%s: ", st.Name)
	switch {
	case st.Loop != nil:
		s.line("loop %v %s", st.Loop.Type, shape(st.Loop.Dims))
		s.loop(st.Loop)
	case st.Dot != nil:
		d := st.Dot
		s.line("dot %v batch %d, %d x %d x %d", d.Type, d.Batch, d.M, d.K, d.N)
		for i, o := range []Operand{d.A, d.B} {
			s.add("  %c = b%d", 'A'+i, o.Buf)
			if o.Offset > 0 {
				s.add(" + %d", o.Offset)
			}
			s.add(" ld %d", o.Ld)
			if d.Batch > 1 {
				s.add(" batch %d", o.Batch)
			}
			if o.Trans {
				s.add(" trans")
			}
			s.line("")
		}
		s.loop(&d.Epilogue)
	case st.Custom != nil:
		s.add("custom b%d = %v(", st.Custom.Out, st.Custom.Kernel)
		for i, b := range st.Custom.In {
			if i > 0 {
				s.add(", ")
			}
			s.add("b%d", b)
		}
		s.line(")")
	case st.Update != nil:
		u := st.Update
		s.line("update %v params %s grads %s m %s v %s velocity %s rate b%d steps b%d loss b%d info b%d",
			u.Optimizer.Method, bufs(u.Params), bufs(u.Grads), bufs(u.M), bufs(u.V), bufs(u.Velocity), u.Rate, u.Steps, u.Loss, u.Info)
	}
}

func bufs(list []BufID) string {
	var s strings.Builder
	for i, b := range list {
		if i > 0 {
			s.WriteByte(',')
		}
		s.WriteString("b" + strconv.Itoa(int(b)))
	}
	if len(list) == 0 {
		return "none"
	}
	return s.String()
}

// sumOf writes offset + sum(strides*i).
func sumOf(offset int, strides []int) string {
	var s strings.Builder
	for d, c := range strides {
		if c == 0 {
			continue
		}
		if s.Len() > 0 {
			s.WriteString(" + ")
		}
		if c != 1 {
			s.WriteString(strconv.Itoa(c) + "*")
		}
		s.WriteString("i" + strconv.Itoa(d))
	}
	switch {
	case s.Len() == 0:
		return strconv.Itoa(offset)
	case offset > 0:
		s.WriteString(" + " + strconv.Itoa(offset))
	case offset < 0:
		s.WriteString(" - " + strconv.Itoa(-offset))
	}
	return s.String()
}

func (s *printer) loop(l *Loop) {
	for i := range l.Loads {
		x := &l.Loads[i]
		if x.Buf == Acc {
			s.add("  v%d = acc", i)
		} else {
			s.add("  v%d = b%d[%s]", i, x.Buf, sumOf(x.Offset, x.Strides))
		}
		for k := range x.Guards {
			g := &x.Guards[k]
			s.add(" if 0 <= %s < %d", sumOf(g.Start, g.Strides), g.Count*g.Step)
			if g.Step != 1 {
				s.add(" by %d", g.Step)
			}
		}
		s.line("")
	}
	for i := range l.Body {
		n := &l.Body[i]
		s.add("  v%d = %v", len(l.Loads)+i, n.Op)
		switch {
		case n.Op == ir.Const:
			s.add(" %v", n.Imm)
		case n.Index != nil:
			s.add(" seed %d draw %d run b%d [%s]", n.Rand.Seed, n.Rand.Draw, n.Run,
				sumOf(n.Index.Offset, n.Index.Strides))
		case n.Round:
			s.add(" %v", n.Type)
		}
		for _, v := range [...]int32{n.A, n.B, n.C} {
			if v >= 0 {
				s.add(" v%d", v)
			}
		}
		s.line("")
	}
	for i := range l.Stores {
		x := &l.Stores[i]
		s.line("  b%d[%s] %v v%d", x.Buf, sumOf(x.Offset, x.Strides), x.Combine, x.Value)
	}
}
