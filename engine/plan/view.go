package plan

import (
	"encoding/binary"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// A digit is an affine function of a loop's point, off + sum(coef[d]*i[d]), which lies in [0, size) at every point
// where the guards of its view hold.
type digit struct {
	size, off int
	coef      []int
}

// A view says which element of a node's value belongs to a loop's point. The element's row-major number is written in
// mixed radix, most significant digit first; the sizes multiply to the node's count, and digits of size 1 are left
// out. Reshape leaves a view as it is; the other movements permute, drop and shift digits after align has made them
// those of the node's own dimensions.
type view struct {
	digits []digit
	guards []Guard
}

// A split is a request to replace dimension dim of a loop by two, of which the inner one has inner points: only then
// is an access affine.
type split struct{ dim, inner int }

// noSplit, returned with ok = false, says that no split helps.
var noSplit = split{dim: -1}

// align rewrites digits so that they have the given sizes, of the same product.
func align(digits []digit, sizes, dims []int) (out []digit, want split, ok bool) {
	out = make([]digit, len(sizes))
	var cur digit // what is left of the digit that is being split
	j := len(digits)
	for i := len(sizes) - 1; i >= 0; i-- {
		size := sizes[i]
		have := digit{size: 1}
		owned := false // have.coef is ours to change
		for have.size < size {
			for cur.size <= 1 {
				if j--; j < 0 {
					return nil, noSplit, false
				}
				cur = digits[j]
			}
			rest, take := size/have.size, cur
			switch {
			case rest%cur.size == 0:
				cur = digit{}
			case cur.size%rest == 0:
				if cur, take, want, ok = cur.split(rest, dims); !ok {
					return nil, want, false
				}
			default:
				return nil, noSplit, false
			}
			if have.size == 1 {
				have = take
				continue
			}
			if !owned {
				coef := make([]int, len(dims))
				copy(coef, have.coef)
				have.coef, owned = coef, true
			}
			have.off += have.size * take.off
			for d, c := range take.coef {
				have.coef[d] += have.size * c
			}
			have.size *= take.size
		}
		out[i] = have
	}
	return out, split{}, true
}

// split returns the digits d / m and d % m.
func (d digit) split(m int, dims []int) (hi, lo digit, want split, ok bool) {
	off := d.off % m
	if off < 0 {
		off += m
	}
	coef := make([]int, 2*len(dims))
	hi = digit{size: d.size / m, off: (d.off - off) / m, coef: coef[:len(dims):len(dims)]}
	lo = digit{size: m, off: off, coef: coef[len(dims):]}
	most := off
	for k, c := range d.coef {
		switch {
		case c%m == 0:
			hi.coef[k] = c / m
			continue
		case c*(dims[k]-1) >= m:
			if s := m / gcd(c, m); s < dims[k] && dims[k]%s == 0 {
				return hi, lo, split{k, s}, false
			}
			return hi, lo, noSplit, false
		}
		lo.coef[k] = c
		most += c * (dims[k] - 1)
	}
	return hi, lo, noSplit, most < m
}

// address returns the affine function offset + sum(strides*i) of the element's place where its digits have the given
// strides.
func address(digits []digit, strides []int, rank int) (offset int, s []int) {
	s = make([]int, rank)
	for i, d := range digits {
		offset += d.off * strides[i]
		for k, c := range d.coef {
			s[k] += c * strides[i]
		}
	}
	return offset, s
}

// linear is the address in a contiguous array.
func (v *view) linear(rank int) (offset int, s []int) {
	s = make([]int, rank)
	unit := 1
	for i := len(v.digits) - 1; i >= 0; i-- {
		d := &v.digits[i]
		offset += d.off * unit
		for k, c := range d.coef {
			s[k] += c * unit
		}
		unit *= d.size
	}
	return offset, s
}

// identity is the view of an array whose elements, in row-major order, are the points of a loop.
func identity(dims []int) view {
	var v view
	for d, n := range dims {
		if n != 1 {
			c := make([]int, len(dims))
			c[d] = 1
			v.digits = append(v.digits, digit{size: n, coef: c})
		}
	}
	return v
}

// key tells views apart.
func (v *view) key(buf []byte) []byte {
	for i := range v.digits {
		d := &v.digits[i]
		buf = binary.AppendVarint(buf, int64(d.size))
		buf = binary.AppendVarint(buf, int64(d.off))
		buf = append(buf, byte(len(d.coef)))
		for _, c := range d.coef {
			buf = binary.AppendVarint(buf, int64(c))
		}
	}
	for i := range v.guards {
		g := &v.guards[i]
		buf = append(buf, 'g')
		buf = binary.AppendVarint(buf, int64(g.Start))
		buf = binary.AppendVarint(buf, int64(g.Count))
		for _, s := range g.Strides {
			buf = binary.AppendVarint(buf, int64(s))
		}
	}
	return buf
}

// always reports whether the guard holds whatever the point.
func (g *Guard) always() bool {
	return g.Start >= 0 && g.Start < g.Count && !slices.ContainsFunc(g.Strides, func(s int) bool { return s != 0 })
}

func (g Guard) equal(h Guard) bool {
	return g.Start == h.Start && g.Step == h.Step && g.Count == h.Count && slices.Equal(g.Strides, h.Strides)
}

// A move is what a movement, other than Concat and a Pad with steps, does to digits: digit i of the node, of size
// From[i], becomes off[i] + step[i]*digit as digit at[i] of the operand, of size to[at[i]]; at is -1 where the
// operand is repeated. With pad, what lies outside of the operand is zero. Neighbouring dimensions are one digit
// where the movement allows it.
type move struct {
	from, at, off, step []int
	to                  []int
	pad                 bool
}

func (m *move) reset() {
	m.from, m.at, m.off, m.step, m.to = m.from[:0], m.at[:0], m.off[:0], m.step[:0], m.to[:0]
	m.pad = false
}

func (m *move) add(size, at, off, step int) {
	m.from, m.at = append(m.from, size), append(m.at, at)
	m.off, m.step = append(m.off, off), append(m.step, step)
}

// set fills m for a node. Elements of a move are merged from the last dimension to the first and then reversed.
func (m *move) set(g *ir.Graph, n *ir.Node) {
	m.reset()
	src := &g.Nodes[n.In[0]]
	switch n.Op {
	case ir.Broadcast:
		m.broadcast(n.Shape, src.Shape)
	case ir.Reshape:
		if c := n.Count(); c != 1 {
			m.add(c, 0, 0, 1)
			m.to = append(m.to, c)
		}
	case ir.Transpose:
		m.transpose(n.Shape, n.Attr.(ir.Axes))
	case ir.Slice, ir.Pad:
		span := n.Attr.(ir.Span)
		m.pad = n.Op == ir.Pad
		for i, d := range n.Shape {
			s, start, step := src.Shape[i], span.Start[i], span.Step[i]
			if m.pad {
				start, step = -start, 1 // only a dimension of one element has another step here
			}
			if k := len(m.from) - 1; d == s && k >= 0 && m.step[k] == 1 && step == 1 {
				// A dimension that is taken whole belongs to the one before it.
				m.from[k] *= d
				m.off[k] *= d
				m.to[k] *= d
				continue
			}
			if d == 1 && s == 1 {
				continue
			}
			m.add(d, len(m.to), start, step)
			m.to = append(m.to, s)
		}
	}
}

func (m *move) broadcast(shape, src []int) {
	for i, d := range shape {
		if d == 1 {
			continue
		}
		kept := len(src) > 0 && src[i] == d
		k := len(m.from) - 1
		switch {
		case k >= 0 && kept == (m.at[k] >= 0):
			m.from[k] *= d
			if kept {
				m.to[m.at[k]] *= d
			}
		case kept:
			m.add(d, len(m.to), 0, 1)
			m.to = append(m.to, d)
		default:
			m.add(d, -1, 0, 0)
		}
	}
}

func (m *move) transpose(shape []int, axes ir.Axes) {
	// First the digits with the axis that each starts at, then the axes' order gives the operand's digits.
	work := make([]int, 3*len(axes))
	first, last, src := work[:len(axes)], work[len(axes):2*len(axes)], work[2*len(axes):] // src: the operand's shape
	for i, a := range axes {
		src[a] = shape[i]
	}
	next := func(a int) int { // the axis that follows a, those of size 1 left out
		for a++; a < len(src) && src[a] == 1; a++ {
		}
		return a
	}
	for i, d := range shape {
		if d == 1 {
			continue
		}
		if k := len(m.from) - 1; k >= 0 && next(last[k]) == axes[i] {
			m.from[k] *= d
			last[k] = axes[i]
			continue
		}
		k := len(m.from)
		m.add(d, 0, 0, 1)
		first[k], last[k] = axes[i], axes[i]
	}
	m.to = append(m.to, m.from...)
	for k := range m.from {
		for j := range m.from {
			if first[j] < first[k] {
				m.at[k]++
			}
		}
	}
	for k, at := range m.at {
		m.to[at] = m.from[k]
	}
}

// identical reports whether the operand's elements are the node's, in the same order.
func (m *move) identical() bool {
	if len(m.from) == 0 {
		return len(m.to) == 0
	}
	return len(m.from) == 1 && m.at[0] == 0 && m.off[0] == 0 && m.step[0] == 1 && m.to[0] == m.from[0]
}

// apply returns the view of the operand that belongs to the view v of the node.
func (m *move) apply(v *view, dims []int) (out view, want split, ok bool) {
	digits, want, ok := align(v.digits, m.from, dims)
	if !ok {
		return out, want, false
	}
	out.digits = make([]digit, len(m.to))
	out.guards = v.guards
	for i, d := range digits {
		at := m.at[i]
		if at < 0 {
			continue
		}
		e := d
		e.size = m.to[at]
		e.off = d.off*m.step[i] + m.off[i]
		if m.step[i] != 1 {
			e.coef = make([]int, len(d.coef))
			for k, c := range d.coef {
				e.coef[k] = c * m.step[i]
			}
		}
		if m.pad && (m.to[at] != m.from[i]) {
			coef := e.coef
			if len(coef) == 0 {
				coef = make([]int, len(dims))
			}
			g := Guard{Start: e.off, Strides: coef, Step: 1, Count: e.size}
			if !g.always() {
				out.guards = append(out.guards[:len(out.guards):len(out.guards)], g)
			}
		}
		out.digits[at] = e
	}
	k := 0
	for _, d := range out.digits { // an operand's dimension of 1 has nothing to say
		if d.size != 1 {
			out.digits[k] = d
			k++
		}
	}
	out.digits = out.digits[:k]
	return out, split{}, true
}
