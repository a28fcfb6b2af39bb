package ir

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bounds of what Parse takes: no graph has such shapes, and products of them stay far from overflow.
const (
	maxDim   = math.MaxInt32
	maxCount = 1 << 48
	maxRank  = 64
	maxSplat = 1 << 20
)

// An Opaque kernel stands where Parse read a kernel's name. It refuses to run.
type Opaque struct {
	Name          string
	Host, Counted bool
}

// String returns the name of the kernel for which it stands.
func (o Opaque) String() string { return o.Name }

// Run returns an error: a name does not say how to compute.
func (o Opaque) Run(any, []any) error {
	return fmt.Errorf("ir: kernel %q was read from text and cannot run", o.Name)
}

// OnHost is what the text says of the kernel.
func (o Opaque) OnHost() bool { return o.Host }

// Effects is what the text says of the kernel.
func (o Opaque) Effects() bool { return o.Counted }

// Parse reads a graph's text, which String describes, and verifies it. Kernels become Opaque, optimisers the strings
// that describe them. An error names the line.
func Parse(text string) (*Graph, error) {
	g := &Graph{}
	for i, line := range strings.Split(text, "\n") {
		p := parser{rest: line}
		p.skip()
		if p.rest == "" {
			continue
		}
		if err := p.line(g); err != nil {
			return nil, fmt.Errorf("ir: line %d: %w", i+1, err)
		}
	}
	if err := g.Verify(); err != nil {
		return nil, err
	}
	return g, nil
}

// A parser consumes one line.
type parser struct{ rest string }

// skip drops blanks, and a comment to the line's end.
func (p *parser) skip() {
	p.rest = strings.TrimLeft(p.rest, " \t\r")
	if strings.HasPrefix(p.rest, "#") {
		p.rest = ""
	}
}

// take consumes s if it is next.
func (p *parser) take(s string) bool {
	rest, ok := strings.CutPrefix(p.rest, s)
	if ok {
		p.rest = rest
		p.skip()
	}
	return ok
}

func (p *parser) want(s string) error {
	if !p.take(s) {
		return p.fail(strconv.Quote(s))
	}
	return nil
}

func (p *parser) fail(want string) error {
	got := p.rest
	if len(got) > 20 {
		got = got[:20] + "..."
	}
	if got == "" {
		return fmt.Errorf("the line ends, want %s", want)
	}
	return fmt.Errorf("%q, want %s", got, want)
}

// span consumes the longest prefix of characters that ok accepts.
func (p *parser) span(ok func(c byte) bool) string {
	i := 0
	for i < len(p.rest) && ok(p.rest[i]) {
		i++
	}
	s := p.rest[:i]
	p.rest = p.rest[i:]
	p.skip()
	return s
}

func (p *parser) word() string {
	return p.span(func(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' })
}

func (p *parser) digits() string { return p.span(func(c byte) bool { return '0' <= c && c <= '9' }) }

func (p *parser) int(what string, limit int) (int, error) {
	save := *p
	v, err := strconv.ParseInt(p.digits(), 10, 64)
	if err != nil || v > int64(limit) {
		*p = save
		return 0, p.fail(fmt.Sprintf("%s up to %d", what, limit))
	}
	return int(v), nil
}

func (p *parser) id() (ID, error) {
	if err := p.want("%"); err != nil {
		return 0, err
	}
	v, err := p.int("a node's number", math.MaxInt32)
	return ID(v), err
}

// ids consumes a list, which may be empty.
func (p *parser) ids() ([]ID, error) {
	var ids []ID
	if !strings.HasPrefix(p.rest, "%") {
		return nil, nil
	}
	for {
		id, err := p.id()
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
		if !p.take(",") {
			return ids, nil
		}
	}
}

// ints consumes numbers up to end, which it consumes too.
func (p *parser) ints(end string) ([]int, error) {
	s := []int{}
	if p.take(end) {
		return s, nil
	}
	for {
		v, err := p.int("a size", maxDim)
		if err != nil {
			return nil, err
		}
		if s = append(s, v); len(s) > maxRank {
			return nil, fmt.Errorf("more than %d dimensions", maxRank)
		}
		if p.take(end) {
			return s, nil
		}
		if err := p.want(","); err != nil {
			return nil, err
		}
	}
}

func (p *parser) list(name string) ([]int, error) {
	if err := p.open(name); err != nil {
		return nil, err
	}
	return p.ints(")")
}

// open consumes a name and the parenthesis after it.
func (p *parser) open(name string) error {
	if err := p.want(name); err != nil {
		return err
	}
	return p.want("(")
}

func (p *parser) quoted() (string, error) {
	q, err := strconv.QuotedPrefix(p.rest)
	if err != nil || q[0] == '\'' {
		return "", p.fail("a quoted string")
	}
	s, err := strconv.Unquote(q)
	if err != nil {
		return "", p.fail("a quoted string")
	}
	p.rest = p.rest[len(q):]
	p.skip()
	return s, nil
}

func (p *parser) line(g *Graph) (err error) {
	switch {
	case p.take("outputs"):
		ids, err := p.ids()
		if err != nil {
			return err
		}
		g.Outputs = append(g.Outputs, ids...)
	case p.take("update"):
		err = p.update(g)
	default:
		err = p.node(g)
	}
	if err == nil && p.rest != "" {
		err = p.fail("the line's end")
	}
	return err
}

func (p *parser) update(g *Graph) error {
	u := Update{Loss: -1}
	for _, part := range []struct {
		name string
		ids  *[]ID
	}{{"params", &u.Params}, {"grads", &u.Grads}} {
		err := p.open(part.name)
		if err == nil {
			*part.ids, err = p.ids()
		}
		if err == nil {
			err = p.want(")")
		}
		if err != nil {
			return err
		}
	}
	if p.take("loss") {
		if err := p.want("("); err != nil {
			return err
		}
		id, err := p.id()
		if err != nil {
			return err
		}
		u.Loss = id
		if err := p.want(")"); err != nil {
			return err
		}
	}
	s, err := p.quoted()
	if err != nil {
		return err
	}
	u.Optimizer = s
	g.Updates = append(g.Updates, u)
	return nil
}

func (p *parser) node(g *Graph) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	if int(id) != len(g.Nodes) {
		return fmt.Errorf("node %%%d, want %%%d: they are numbered in order", id, len(g.Nodes))
	}
	if err := p.want("="); err != nil {
		return err
	}
	name := p.word()
	n := Node{Src: -1}
	var ok bool
	if n.Op, ok = ParseOp(name); !ok {
		return fmt.Errorf("no kind of node is called %q", name)
	}
	if n.Type, n.Shape, err = p.value(); err != nil {
		return err
	}
	if err := p.before(&n); err != nil {
		return err
	}
	if n.In, err = p.ids(); err != nil {
		return err
	}
	if err := p.after(&n); err != nil {
		return err
	}
	if p.take("@") {
		src, err := p.int("a source node's number", math.MaxInt32)
		if err != nil {
			return err
		}
		n.Src = int32(src)
	}
	g.Nodes = append(g.Nodes, n)
	return nil
}

// value consumes an element type and a shape.
func (p *parser) value() (DType, []int, error) {
	name := p.word()
	t := NoType
	for i := F32; i <= Bool; i++ {
		if i.String() == name {
			t = i
		}
	}
	if t == NoType {
		return t, nil, fmt.Errorf("no element type is called %q", name)
	}
	if err := p.want("["); err != nil {
		return t, nil, err
	}
	shape, err := p.ints("]")
	if err != nil {
		return t, nil, err
	}
	count := int64(1)
	for _, d := range shape {
		if count *= int64(max(d, 1)); count > maxCount {
			return t, nil, fmt.Errorf("shape %v has more than %d elements", shape, int64(maxCount))
		}
	}
	return t, shape, nil
}

// before consumes what stands before the operands.
func (p *parser) before(n *Node) error {
	switch n.Op {
	case Input:
		s, err := p.quoted()
		a := InputAttr{Name: s}
		if err == nil {
			a.Resident = p.take("resident")
			a.RunNumber = p.take("runnumber")
		}
		n.Attr = a
		return err
	case Const:
		return p.constant(n)
	case Custom:
		s, err := p.quoted()
		k := Opaque{Name: s}
		if err == nil {
			k.Host = p.take("host")
			k.Counted = p.take("effects")
		}
		n.Attr = k
		return err
	}
	return nil
}

// after consumes what stands after the operands.
func (p *parser) after(n *Node) (err error) {
	switch n.Op {
	case Transpose, Concat, ReduceSum, ReduceMax, ReduceMin, ReduceProd:
		var s []int
		s, err = p.list("axes")
		n.Attr = Axes(s)
	case Slice, Pad:
		var a Span
		if a.Start, err = p.list("start"); err == nil {
			a.Step, err = p.list("step")
		}
		n.Attr = a
	case Dot:
		var t Trans
		if p.take("trans") {
			err = p.want("(")
			t.A = p.take("a")
			if t.A {
				p.take(",")
			}
			t.B = p.take("b")
			if err == nil {
				err = p.want(")")
			}
		}
		n.Attr = t
	case Normal, Uniform:
		var r Rand
		if r.Seed, err = p.word64("seed"); err == nil {
			r.Draw, err = p.word64("draw")
		}
		n.Attr = r
	}
	return err
}

func (p *parser) word64(name string) (uint64, error) {
	if err := p.open(name); err != nil {
		return 0, err
	}
	v, err := strconv.ParseUint(p.digits(), 10, 64)
	if err != nil {
		return 0, p.fail("a number of 64 bits")
	}
	return v, p.want(")")
}
