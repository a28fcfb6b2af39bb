package ir

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// The text form has a line per node, in order, then the outputs and the updates:
//
//	%0 = input f32[100,2] "x"                  # or: "w" resident, "run" runnumber
//	%1 = const f32[] {1.5}                     # floats as short as they can be without losing a bit
//	%2 = const f32[100,2] splat(0)             # a longer constant whose elements are all the same
//	%3 = mul f32[100,2] %0, %2 @7              # @7: from node 7 of the source graph; its name is a comment
//	%4 = transpose f32[2,100] %3 axes(1,0)
//	%5 = slice f32[2,10] %4 start(0,5) step(1,1)
//	%6 = dot f32[2,2] %5, %5 trans(b)
//	%7 = custom f32[2,2] "lml k=10" host %6    # flags: host, effects
//	outputs %6, %7
//	update params(%0) grads(%3) loss(%7) "adam"
//
// Parse reads it. What it cannot bring back: kernels, of which it knows the name alone; names of source nodes; the
// elements of constants that were abbreviated.

// shortConst is how many elements of a constant String and WriteTo print before they abbreviate.
const shortConst = 16

// String returns the graph's text, with long constants abbreviated.
func (g *Graph) String() string {
	var s strings.Builder
	g.Print(&s, shortConst)
	return s.String()
}

// WriteTo writes what String returns.
func (g *Graph) WriteTo(w io.Writer) (int64, error) { return g.Print(w, shortConst) }

// Print writes the graph's text; constants of more than elements elements are abbreviated, none if it is negative. It
// returns the number of bytes written and the writer's error.
func (g *Graph) Print(w io.Writer, elements int) (int64, error) {
	p := printer{w: bufio.NewWriter(w), elements: elements}
	for i := range g.Nodes {
		p.node(g, ID(i))
	}
	if len(g.Outputs) > 0 {
		p.text("outputs ")
		p.ids(g.Outputs)
		p.text("\n")
	}
	for _, u := range g.Updates {
		p.text("update params(")
		p.ids(u.Params)
		p.text(") grads(")
		p.ids(u.Grads)
		p.text(")")
		if u.Loss >= 0 {
			p.text(" loss(")
			p.ids([]ID{u.Loss})
			p.text(")")
		}
		p.text(" ", strconv.Quote(fmt.Sprintf("%+v", u.Optimizer)), "\n")
	}
	if err := p.w.Flush(); err != nil && p.err == nil {
		p.err = err
	}
	return p.n, p.err
}

// String returns the elements as the graph's text has them, abbreviated.
func (t *Tensor) String() string {
	var s strings.Builder
	p := printer{w: bufio.NewWriter(&s), elements: shortConst}
	p.tensor(t)
	p.w.Flush()
	return s.String()[1:]
}

type printer struct {
	w        *bufio.Writer
	n        int64
	err      error
	elements int
	buf      []byte
}

func (p *printer) text(s ...string) {
	for _, t := range s {
		n, err := p.w.WriteString(t)
		p.n += int64(n)
		if err != nil && p.err == nil {
			p.err = err
		}
	}
}

func (p *printer) int(v int) {
	p.buf = strconv.AppendInt(p.buf[:0], int64(v), 10)
	p.text(string(p.buf))
}

func (p *printer) ids(ids []ID) {
	for i, id := range ids {
		if i > 0 {
			p.text(", ")
		}
		p.text("%")
		p.int(int(id))
	}
}

func (p *printer) ints(s []int) {
	for i, v := range s {
		if i > 0 {
			p.text(",")
		}
		p.int(v)
	}
}

func (p *printer) list(name string, s []int) {
	p.text(" ", name, "(")
	p.ints(s)
	p.text(")")
}

func (p *printer) node(g *Graph, id ID) {
	n := &g.Nodes[id]
	p.text("%")
	p.int(int(id))
	p.text(" = ", n.Op.String(), " ", n.Type.String(), "[")
	p.ints(n.Shape)
	p.text("]")
	switch a := n.Attr.(type) { // before the operands
	case InputAttr:
		p.text(" ", strconv.Quote(a.Name))
		if a.Resident {
			p.text(" resident")
		}
		if a.RunNumber {
			p.text(" runnumber")
		}
	case *Tensor:
		p.tensor(a)
	case Kernel:
		p.text(" ", strconv.Quote(a.String()))
		if IsHost(a) {
			p.text(" host")
		}
		if HasEffects(a) {
			p.text(" effects")
		}
	}
	if len(n.In) > 0 {
		p.text(" ")
		p.ids(n.In)
	}
	switch a := n.Attr.(type) { // after them
	case nil, InputAttr, *Tensor, Kernel:
	case Axes:
		p.list("axes", a)
	case Span:
		p.list("start", a.Start)
		p.list("step", a.Step)
	case Trans:
		switch {
		case a.A && a.B:
			p.text(" trans(a,b)")
		case a.A:
			p.text(" trans(a)")
		case a.B:
			p.text(" trans(b)")
		}
	case Rand:
		p.text(" seed(", strconv.FormatUint(a.Seed, 10), ") draw(", strconv.FormatUint(a.Draw, 10), ")")
	default: // a graph that Verify would refuse
		p.text(" ?", strconv.Quote(fmt.Sprintf("%T", a)))
	}
	if n.Src >= 0 {
		p.text(" @")
		p.int(int(n.Src))
		if g.Name != nil {
			p.text(" # ", strings.Map(printable, g.Name(n.Src)))
		}
	}
	p.text("\n")
}

// printable keeps a comment on its line.
func printable(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}

func (p *printer) tensor(t *Tensor) {
	_, count := DataType(t.Data)
	same := false
	show := count
	if p.elements >= 0 && count > p.elements {
		same = t.Uniform()
		show = min(4, p.elements)
	}
	if same {
		p.text(" splat(")
		p.elem(t.Data, 0)
		p.text(")")
		return
	}
	p.text(" {")
	for i := range show {
		if i > 0 {
			p.text(", ")
		}
		p.elem(t.Data, i)
	}
	if show < count {
		p.text(", ...")
	}
	p.text("}")
}

func (p *printer) elem(data any, i int) {
	switch d := data.(type) {
	case []float32:
		if v := d[i]; v != v && math.Float32bits(v) != math.Float32bits(float32(math.NaN())) {
			p.text("NaN:", strconv.FormatUint(uint64(math.Float32bits(v)), 16))
			return
		}
		p.float(float64(d[i]), 32)
	case []float64:
		if v := d[i]; v != v && math.Float64bits(v) != math.Float64bits(math.NaN()) {
			p.text("NaN:", strconv.FormatUint(math.Float64bits(v), 16))
			return
		}
		p.float(d[i], 64)
	case []int64:
		p.text(strconv.FormatInt(d[i], 10))
	case []int:
		p.int(d[i])
	case []int32:
		p.int(int(d[i]))
	case []uint8:
		p.int(int(d[i]))
	case []bool:
		p.text(strconv.FormatBool(d[i]))
	}
}

func (p *printer) float(v float64, bits int) {
	p.buf = strconv.AppendFloat(p.buf[:0], v, 'g', -1, bits)
	p.text(strings.TrimPrefix(string(p.buf), "+"))
}

// Uniform reports whether a constant has elements and all of them have the same bits.
func (t *Tensor) Uniform() bool {
	switch d := t.Data.(type) {
	case []float32:
		return uniform(d, math.Float32bits)
	case []float64:
		return uniform(d, math.Float64bits)
	case []int64:
		return uniform(d, func(v int64) int64 { return v })
	case []int:
		return uniform(d, func(v int) int { return v })
	case []int32:
		return uniform(d, func(v int32) int32 { return v })
	case []uint8:
		return uniform(d, func(v uint8) uint8 { return v })
	case []bool:
		return uniform(d, func(v bool) bool { return v })
	}
	return false
}

func uniform[T any, B comparable](d []T, bits func(T) B) bool {
	for _, v := range d {
		if bits(v) != bits(d[0]) {
			return false
		}
	}
	return len(d) > 0
}
