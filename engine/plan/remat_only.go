package plan

import (
	"slices"
	"strings"

	"github.com/godcem/godcem/engine/ir"
)

// only returns the step without what is not needed for the given of its Writes. What it stores in have, which is not
// among them, is loaded from there rather than computed; a product that this leaves no use for is dropped, and a loop
// stays.
//
// How a sum is ordered, or a product shared out, may depend on what else the step does: a step that combines values
// is kept as it is, and a product keeps some of its epilogue, so that values come out the same.
func (s *Step) only(outs []BufID, have BufID, buffers []Buffer) *Step {
	if len(outs) == len(s.Writes) || s.Loop == nil && s.Dot == nil {
		return s
	}
	l := s.loop()
	n := Loop{Type: l.Type, Dims: l.Dims}
	used := make([]bool, len(l.Loads)+len(l.Body))
	for _, st := range l.Stores {
		if slices.Contains(outs, st.Buf) {
			if st.Combine != Set {
				return s
			}
			n.Stores = append(n.Stores, st)
			used[st.Value] = true
		}
	}
	known := l.known(have)
	// A value is needed if a store or a needed value uses it. The known one is a load.
	for k := len(l.Body) - 1; k >= 0; k-- {
		if v := int32(len(l.Loads) + k); used[v] && v != known {
			for _, x := range operands(&l.Body[k]) {
				if x >= 0 {
					used[x] = true
				}
			}
		}
	}
	number := make([]int32, len(used))
	product := false
	if known >= 0 {
		at := slices.IndexFunc(l.Stores, func(st Store) bool { return st.Buf == have })
		n.Loads = append(n.Loads, Load{Buf: have, Offset: l.Stores[at].Offset, Strides: l.Stores[at].Strides})
	}
	for k, d := range l.Loads {
		if used[k] && int32(k) != known {
			number[k] = int32(len(n.Loads))
			n.Loads = append(n.Loads, d)
			product = product || d.Buf == Acc
		}
	}
	for k, in := range l.Body {
		v := int32(len(l.Loads) + k)
		if !used[v] || v == known {
			continue
		}
		use := operands(&in)
		for i, to := range [...]*int32{&in.A, &in.B, &in.C} {
			if use[i] >= 0 {
				*to = number[use[i]]
			}
		}
		number[v] = int32(len(n.Loads) + len(n.Body))
		n.Body = append(n.Body, in)
	}
	if s.Dot != nil && product && len(n.Body) == 0 && len(l.Body) > 0 {
		return s
	}
	for i := range n.Stores {
		n.Stores[i].Value = number[n.Stores[i].Value]
	}
	c := *s
	switch {
	case s.Loop != nil:
		c.Loop = &n
	case product:
		d := *s.Dot
		d.Epilogue = n
		c.Dot = &d
	default:
		c.Dot, c.Loop = nil, n.own()
		mergeDims(c.Loop)
		c.Name, c.Nodes = n.names(s.Name)
	}
	c.account(buffers)
	return &c
}

// loop is the step's loop, or its epilogue; nil if it has none.
func (s *Step) loop() *Loop {
	if s.Dot != nil {
		return &s.Dot.Epilogue
	}
	return s.Loop
}

// known is the value that the loop stores in a buffer, where loading it gives that value again; -1: none.
func (l *Loop) known(b BufID) int32 {
	for _, st := range l.Stores {
		if st.Buf == b && st.Combine == Set {
			return st.Value
		}
	}
	return -1
}

// operands are the values that an instruction uses; -1: none.
func operands(in *Instr) [3]int32 {
	use := [3]int32{-1, -1, -1}
	if in.Op != ir.Const && in.Op != ir.Normal && in.Op != ir.Uniform {
		copy(use[:in.Op.Info().Arity], []int32{in.A, in.B, in.C})
	}
	return use
}

// own is a copy of the loop that shares nothing that mergeDims changes.
func (l *Loop) own() *Loop {
	n := *l
	n.Loads, n.Stores, n.Body = slices.Clone(l.Loads), slices.Clone(l.Stores), slices.Clone(l.Body)
	for i := range n.Loads {
		n.Loads[i].Guards = slices.Clone(n.Loads[i].Guards)
	}
	for i := range n.Body {
		if x := n.Body[i].Index; x != nil {
			c := *x
			n.Body[i].Index = &c
		}
	}
	return &n
}

// names is the name, with the number of another, and the nodes of what the loop computes.
func (l *Loop) names(other string) (string, []ir.ID) {
	var kinds []string
	var nodes []ir.ID
	for i := range l.Body {
		in := &l.Body[i]
		if in.Node >= 0 {
			nodes = append(nodes, in.Node)
		}
		if k := in.Op.String(); in.Op != ir.Const && !slices.Contains(kinds, k) && len(kinds) < 6 {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 {
		kinds = []string{"copy"}
	}
	slices.Sort(nodes)
	number, _, _ := strings.Cut(other, " ")
	return number + " " + strings.Join(kinds, "+"), slices.Compact(nodes)
}

// account fills in Reads, Writes, Flops and Bytes of a step that is a loop or a product.
func (s *Step) account(buffers []Buffer) {
	l := s.loop()
	s.Reads, s.Writes, s.Flops, s.Bytes = nil, nil, 0, 0
	touched := func(list []BufID, b BufID, strides []int) []BufID {
		n := 1
		for d, x := range strides {
			if x != 0 {
				n *= l.Dims[d]
			}
		}
		s.Bytes += int64(min(n, buffers[b].Count()) * buffers[b].Type.Size())
		return append(list, b)
	}
	for i := range l.Loads {
		if d := &l.Loads[i]; d.Buf != Acc {
			s.Reads = touched(s.Reads, d.Buf, d.Strides)
		}
	}
	for i := range l.Body {
		in := &l.Body[i]
		s.Flops += int64(in.Op.Info().Flops)
		if in.Op == ir.Normal || in.Op == ir.Uniform {
			s.Reads = touched(s.Reads, in.Run, nil)
		}
	}
	for i := range l.Stores {
		s.Writes = touched(s.Writes, l.Stores[i].Buf, l.Stores[i].Strides)
	}
	s.Flops *= int64(l.Points())
	if d := s.Dot; d != nil {
		s.Flops += 2 * int64(d.Batch*d.M) * int64(d.N) * int64(d.K)
		s.Reads = append(s.Reads, d.A.Buf, d.B.Buf)
		s.Bytes += int64(d.Batch*(d.M*d.K+d.K*d.N)) * int64(d.Type.Size())
	}
	slices.Sort(s.Reads)
	slices.Sort(s.Writes)
	s.Reads, s.Writes = slices.Compact(s.Reads), slices.Compact(s.Writes)
}
