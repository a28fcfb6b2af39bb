package engine

import (
	"fmt"
	"reflect"
	"strings"
	"unsafe"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// opType is the name of an op's type where that is Gorgonia's own.
func opType(n *G.Node) string {
	t := reflect.TypeOf(n.Op())
	if t == nil || t.PkgPath() != "gorgonia.org/gorgonia" {
		return ""
	}
	return t.Name()
}

// isStatement reports whether n is a gorgonia.Read or gorgonia.Set, which have no value.
func isStatement(n *G.Node) bool { t := opType(n); return t == "readOp" || t == "letOp" }

// isLeaf reports whether n is an input or a constant: its value is not a VM's.
func isLeaf(n *G.Node) bool {
	t := opType(n)
	return n.Op() == nil || t == "constantScalar" || t == "constantTensor"
}

// isInput reports whether values are bound to n from outside.
func isInput(n *G.Node) bool { return n.Op() == nil }

func inGraph(g *G.ExprGraph, n *G.Node) bool {
	m, ok := g.Node(n.ID()).(*G.Node)
	return ok && m == n
}

func isFloat(n *G.Node) bool { dt := n.Dtype(); return dt == tensor.Float32 || dt == tensor.Float64 }

// describe is how messages call a node: its name, type and shape.
func describe(n *G.Node) string {
	const most = 60
	name := []rune(strings.Join(strings.Fields(n.Name()), " "))
	if len(name) > most {
		name = append(name[:most-3], []rune("...")...)
	}
	if isStatement(n) {
		return fmt.Sprintf("%q", string(name))
	}
	return fmt.Sprintf("%q (%v %v)", string(name), n.Dtype(), n.Shape())
}

var boundTo = func() uintptr {
	f, ok := reflect.TypeFor[G.Node]().FieldByName("boundTo")
	if !ok || f.Type != reflect.TypeFor[G.Value]() {
		panic("engine: this version of Gorgonia keeps a node's value elsewhere")
	}
	return f.Offset
}()

// clearValue takes a node's value away. Gorgonia's own way, ExprGraph.UnbindAllNonInputs, takes all and gives the
// tensors to a pool, whoever still has them.
func clearValue(n *G.Node) { *(*G.Value)(unsafe.Add(unsafe.Pointer(n), boundTo)) = nil }

// vectorScalar reports whether the TapeMachine gives n, a scalar node, a tensor of shape (1): so it does to a
// Tensordot over all axes and to elementwise functions of that.
func vectorScalar(g *G.ExprGraph, n *G.Node) bool {
	for n.IsScalar() {
		switch opType(n) {
		case "tensordotOp":
			return true
		case "elemUnaryOp":
			it := g.From(n.ID())
			if it == nil || !it.Next() {
				return false
			}
			n = it.Node().(*G.Node)
		default:
			return false
		}
	}
	return false
}

// setValue gives n a value that is not of its shape, which gorgonia.UnsafeLet refuses.
func setValue(n *G.Node, v G.Value) {
	at := (*G.Value)(unsafe.Add(unsafe.Pointer(n), boundTo))
	if *at == nil || *at == n.Value() { // else there is a gradient too
		*at = v
	}
}
