package frontend

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/godcem/godcem/engine/ir"
	G "gorgonia.org/gorgonia"
)

// A row says how the ops of one type are imported.
type row struct {
	lower func(*call) ir.ID // nil: the op runs on the host
	// state: the op keeps something from one run to the next, or draws, so it is neither merged nor run twice.
	state bool
	// any: the op is lowered for all element types, else for float32 and float64 alone.
	any bool
	// reads: the op's Do neither writes to its operands nor keeps them which was read in
	// its source: on the host it needs no copies. TestHostOpsOnlyRead watches them.
	reads bool
}

// rows has the type names of Gorgonia's ops. An op of Gorgonia that is not here runs on the host, as one with state.
var rows = map[string]row{
	// Elementwise.
	"elemUnaryOp": {lower: lowerUnary},
	"elemBinOp":   {lower: lowerBinary, reads: true},
	"minBetween":  {lower: func(c *call) ir.ID { return c.binary(ir.Min) }},
	"maxBetween":  {lower: func(c *call) ir.ID { return c.binary(ir.Max) }},
	"dtConvOp":    {lower: func(c *call) ir.ID { return c.b.Cast(c.t, c.fit(0, c.shape)) }, any: true},
	"Iop":         {lower: func(c *call) ir.ID { return c.fit(0, c.shape) }, any: true},

	// Shapes.
	"sizeOp":      {lower: lowerSize, any: true},
	"repeatOp":    {lower: lowerRepeat},
	"reshapeOp":   {lower: func(c *call) ir.ID { return c.b.Reshape(c.in[0], c.shape) }},
	"transposeOp": {lower: func(c *call) ir.ID { return c.b.Transpose(c.in[0], c.a.ints("pattern")...) }},
	"concatOp":    {lower: func(c *call) ir.ID { return c.b.Concat(c.a.int("axis"), c.in...) }},
	"sliceOp":     {lower: lowerSlice, reads: true},
	"sliceIncrOp": {lower: lowerSliceIncr},
	"atOp":        {lower: lowerAt},
	"diagFlatOp":  {lower: lowerDiag},
	"upsampleOp":  {lower: lowerUpsample},

	// Reductions.
	"sumOp":               {lower: func(c *call) ir.ID { return c.reduce(ir.ReduceSum, c.a.ints("along")) }},
	"maxOp":               {lower: func(c *call) ir.ID { return c.reduce(ir.ReduceMax, c.a.ints("along")) }},
	"globalAveragePoolOp": {lower: lowerGlobalAverage},
	"softmaxOp":           {lower: lowerSoftmax},
	"softmaxDiffOp":       {lower: lowerSoftmaxDiff},
	"upsampleDiffOp":      {lower: lowerUpsampleDiff},

	// Products.
	"linAlgBinOp": {lower: lowerLinAlg},
	"tensordotOp": {lower: lowerTensordot},

	// On the host.
	"sparsemaxOp":       {reads: true},
	"sparsemaxDiffOp":   {},
	"byIndicesOp":       {reads: true},
	"byIndicesOpDiffOp": {reads: true},
	"im2colOp":          {reads: true},
	"col2imOp":          {reads: true},
	"yoloOp":            {},
	"randomOp":          {state: true},
	"dropoutOp":         {state: true},
	"dropoutDiffOp":     {state: true},
	"maxPoolOp":         {state: true, reads: true},
	"maxPoolDiffOp":     {state: true, reads: true},
	"avgPoolOp":         {state: true, reads: true},
	"avgPoolDiffOp":     {state: true, reads: true},
	"BatchNormOp":       {state: true},
	"batchnormDiffOp":   {state: true},
	"GroupNormOp":       {state: true},
	"groupNormDiffOp":   {state: true},
	"ctcLossOp":         {state: true},
	"ctcLossDiffOp":     {state: true},
}

// rowCache finds rows by the type of an op. A nil row: the op is none of Gorgonia's.
type rowCache map[reflect.Type]*row

func (rc rowCache) of(op G.Op) *row {
	t := reflect.TypeOf(op)
	if r, ok := rc[t]; ok {
		return r
	}
	var found *row
	elem := t
	if t.Kind() == reflect.Pointer {
		elem = t.Elem()
	}
	if elem.PkgPath() == gorgonia {
		r, ok := rows[elem.Name()]
		if !ok {
			r.state = true
		}
		found = &r
	}
	rc[t] = found
	return found
}

// call is a node being imported.
type call struct {
	im    *importer
	b     *ir.Builder
	src   int32
	n     *G.Node
	op    G.Op
	a     attrs
	in    []ir.ID
	t     ir.DType
	shape []int
	why   string // the op runs on the host
}

// errHost is what a lowering fails with where the op has to run on the host.
var errHost = errors.New("has to run on the host")

// lower appends what computes a node; -1 for a statement.
func (im *importer) lower(src int32, n *G.Node, kids G.Nodes, in []ir.ID) (ir.ID, error) {
	op := n.Op()
	if op != nil {
		switch opName(op) {
		case "readOp":
			return -1, im.read(op, kids)
		case "letOp": // gorgonia.Set: package engine does it, after the run
			return -1, nil
		}
	}
	c := &call{im: im, b: im.b, src: src, n: n, op: op, in: in, t: TypeOf(n.Dtype()), shape: n.Shape()}
	if c.t == ir.NoType {
		return -1, fmt.Errorf("elements of type %v, want %s", n.Dtype(), elementTypes)
	}
	if op == nil {
		return im.b.Input(c.t, c.shape, ir.InputAttr{Name: n.Name(), Resident: im.resident[n]}), im.b.Err()
	}
	if v, ok := constantOf(op); ok {
		return c.constant(v)
	}
	for _, id := range in {
		if id < 0 {
			return -1, fmt.Errorf("an operand is a statement: it has no value")
		}
	}
	r := im.rows.of(op)
	switch {
	case r == nil:
		return im.foreign(c)
	case r.lower == nil:
		c.why = "Gorgonia's op has no compiled form"
		return im.host(c, r.state)
	case !r.any && !c.floats():
		c.why = "it is not of floats alone"
		return im.host(c, r.state)
	}
	c.a = opAttrs(op)
	id, err := c.try(func() (ir.ID, error) { return r.lower(c), nil })
	if errors.Is(err, errHost) {
		c.why = err.Error()
		return im.host(c, r.state)
	}
	return id, err
}

// foreign appends an op of another package.
func (im *importer) foreign(c *call) (ir.ID, error) {
	l, ok := c.op.(ir.Lowerer)
	if !ok {
		c.why = fmt.Sprintf("%T is no engine.Lowerer", c.op)
		return im.host(c, true)
	}
	var panicked error
	id, err := c.try(func() (id ir.ID, err error) {
		defer func() {
			if r := recover(); r != nil {
				panicked = fmt.Errorf("op %v: Lower: panic: %v", c.op, r)
				err = panicked
			}
		}()
		return l.Lower(im.b, slices.Clone(c.in))
	})
	switch {
	case err == nil:
		return id, nil
	case panicked != nil: // a bug, which a slower run must not hide
		return -1, panicked
	}
	c.why = fmt.Sprintf("Lower: %v", err)
	return im.host(c, true)
}

// try runs a lowering, checks what it gave, and takes back what it appended if it failed. An error of the builder is
// one of the lowering, whether or not that passes it on.
func (c *call) try(lower func() (ir.ID, error)) (id ir.ID, err error) {
	nodes := len(c.b.G.Nodes)
	defer func() {
		if r := recover(); r != nil {
			a, ok := r.(attrError)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%w: %v", errHost, a)
		}
		if err != nil {
			c.b.G.Nodes = c.b.G.Nodes[:nodes]
			c.im.b = &ir.Builder{G: c.b.G, Src: c.src} // the old one has an error, which sticks
			c.b = c.im.b
		}
	}()
	id, err = lower()
	if err == nil {
		err = c.b.Err()
	}
	if err != nil {
		return -1, err
	}
	if id < 0 || int(id) >= len(c.b.G.Nodes) {
		return -1, fmt.Errorf("the op gave node %d of %d", id, len(c.b.G.Nodes))
	}
	if t, s := c.b.Type(id), c.b.Shape(id); t != c.t || !slices.Equal(s, c.shape) {
		return -1, fmt.Errorf("the op gave %s, want %s", typed(t, s), typed(c.t, c.shape))
	}
	return id, nil
}

// floats reports whether the node and its operands are of types that the representation computes with: one of float32
// and float64, or truth.
func (c *call) floats() bool {
	ok := func(t ir.DType) bool { return t.Float() || t == ir.Bool }
	for _, id := range c.in {
		if !ok(c.b.Type(id)) {
			return false
		}
	}
	return ok(c.t)
}

// fit is an operand in a shape: scalars are broadcast, and shapes of as many elements taken for each other, as
// Gorgonia takes (3), (3,1) and (1,3).
func (c *call) fit(i int, shape []int) ir.ID {
	if i >= len(c.in) {
		return c.b.Fail("op %v has %d operands, want more than %d", c.op, len(c.in), i)
	}
	return c.fitTo(c.in[i], shape)
}

func (c *call) fitTo(x ir.ID, shape []int) ir.ID {
	s := c.b.Shape(x)
	switch n := ir.Count(s); {
	case slices.Equal(s, shape):
		return x
	case n == ir.Count(shape):
		return c.b.Reshape(x, shape)
	case n == 1:
		return c.b.BroadcastTo(c.b.Reshape(x, nil), shape)
	}
	return c.b.Fail("an operand of shape %v, want %v", s, shape)
}

// constant appends a constant.
func (c *call) constant(v G.Value) (ir.ID, error) {
	data, err := Flat(v)
	if err != nil {
		return -1, err
	}
	return c.b.Const(c.t, c.shape, clone(data)), c.b.Err()
}

// read notes a gorgonia.Read.
func (im *importer) read(op G.Op, kids G.Nodes) error {
	into := reflect.ValueOf(op).FieldByName("into")
	if len(kids) != 1 || !into.IsValid() || into.Kind() != reflect.Pointer ||
		into.Type() != reflect.TypeFor[*G.Value]() {
		return fmt.Errorf("a read op of an unknown make: %T", op)
	}
	im.m.Reads = append(im.m.Reads, Read{Src: im.m.Number(kids[0]), Into: (*G.Value)(into.UnsafePointer())})
	return nil
}
