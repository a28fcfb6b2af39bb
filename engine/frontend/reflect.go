package frontend

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/godcem/godcem/engine/ir"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// childrenOf returns a function that gives a node's operands in order. g.From looks the node up and copies; the field
// that it copies is there for the reading.
func childrenOf(g *G.ExprGraph) func(*G.Node) G.Nodes {
	f, ok := reflect.TypeFor[G.Node]().FieldByName("children")
	if !ok || f.Type != reflect.TypeFor[G.Nodes]() {
		return func(n *G.Node) G.Nodes { // another Gorgonia: slower, and duplicates kept all the same
			var kids G.Nodes
			for it := g.From(n.ID()); it.Next(); {
				kids = append(kids, it.Node().(*G.Node))
			}
			return kids
		}
	}
	return func(n *G.Node) G.Nodes { return *(*G.Nodes)(unsafe.Add(unsafe.Pointer(n), f.Offset)) }
}

// attrs reads the unexported fields of an op.
type attrs struct{ v reflect.Value }

// attrError is what reading an attribute that is not there panics with: the op is that of another Gorgonia.
type attrError string

func (a attrs) field(name string, kind reflect.Kind) reflect.Value {
	f := a.v.FieldByName(name)
	if !f.IsValid() || f.Kind() != kind {
		panic(attrError(fmt.Sprintf("%v has no field %s of kind %v", a.v.Type(), name, kind)))
	}
	return f
}

func (a attrs) int(name string) int   { return int(a.field(name, reflect.Int).Int()) }
func (a attrs) bool(name string) bool { return a.field(name, reflect.Bool).Bool() }
func (a attrs) byte(name string) int  { return int(a.field(name, reflect.Uint8).Uint()) }

func (a attrs) ints(name string) []int {
	f := a.field(name, reflect.Slice)
	s := make([]int, f.Len())
	for i := range s {
		s[i] = int(f.Index(i).Int())
	}
	return s
}

// opAttrs gives access to the fields of an op, which is a struct or a pointer to one.
func opAttrs(op G.Op) attrs {
	v := reflect.ValueOf(op)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return attrs{v}
}

// opName is the name of an op's type, with its package unless that is Gorgonia.
func opName(op G.Op) string {
	t := reflect.TypeOf(op)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.PkgPath() == gorgonia {
		return t.Name()
	}
	return t.String()
}

const gorgonia = "gorgonia.org/gorgonia"

// dtypes are Gorgonia's names of the representation's element types.
var dtypes = [...]tensor.Dtype{ir.F32: tensor.Float32, ir.F64: tensor.Float64, ir.Int64: tensor.Int64,
	ir.Int: tensor.Int, ir.Int32: tensor.Int32, ir.Uint8: tensor.Uint8, ir.Bool: tensor.Bool}

// TypeOf is the representation's type of a Gorgonia element type; NoType: there is none.
func TypeOf(dt tensor.Dtype) ir.DType {
	for t := range dtypes {
		if t != int(ir.NoType) && dtypes[t] == dt {
			return ir.DType(t)
		}
	}
	return ir.NoType
}

// Dtype is the Gorgonia element type of one of the representation; of NoType a zero one.
func Dtype(t ir.DType) tensor.Dtype { return dtypes[t] }

// isLeaf reports whether a node is an input or a constant.
func isLeaf(n *G.Node) bool {
	if n.Op() == nil {
		return true
	}
	_, ok := constantOf(n.Op())
	return ok
}

// constantOf is the value of a constant.
func constantOf(op G.Op) (G.Value, bool) {
	switch opName(op) {
	case "constantScalar", "constantTensor":
		c, ok := op.(interface{ Value() G.Value })
		if !ok {
			return nil, false
		}
		return c.Value(), true
	}
	return nil, false
}
