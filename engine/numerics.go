package engine

import (
	"fmt"
	"math"
	"strings"

	"github.com/godcem/godcem/engine/ir"
	G "gorgonia.org/gorgonia"
)

// A NumericsError is what CheckNumerics finds.
type NumericsError struct {
	Node     *G.Node   // the first, in the order of the graph, whose value is not finite
	Index    []int     // of its first element that is not
	Value    Numbers   // what the value holds
	Operands []Operand // what its operands hold
	message  string
}

// An Operand is an operand of a node that went wrong.
type Operand struct {
	Node  *G.Node
	Value Numbers
}

// Numbers says what an array holds.
type Numbers struct {
	Count, NaN, Inf int
	Min, Max        float64 // of the finite elements; Min > Max: there are none
}

// Finite reports whether all elements are.
func (n Numbers) Finite() bool { return n.NaN == 0 && n.Inf == 0 }

// String describes the numbers: "12 elements in [-1, 3.5], 2 NaN".
func (n Numbers) String() string {
	s := fmt.Sprintf("%d elements", n.Count)
	if n.Count == 1 {
		s = "1 element"
	}
	if n.Min <= n.Max {
		s += fmt.Sprintf(" in [%.6g, %.6g]", n.Min, n.Max)
	}
	if n.NaN > 0 {
		s += fmt.Sprintf(", %d NaN", n.NaN)
	}
	if n.Inf > 0 {
		s += fmt.Sprintf(", %d Inf", n.Inf)
	}
	return s
}

// Error implements error.
func (e *NumericsError) Error() string { return e.message }

// checkNumerics looks at every float value of the run, in the order of the graph.
func (vm *VM) checkNumerics() error {
	slots, err := vm.slots()
	if err != nil {
		return err
	}
	for src, s := range slots {
		if s == nil || finite(s) {
			continue
		}
		e := &NumericsError{Node: vm.module.Nodes[src]}
		var at int
		e.Value, at = count(s)
		e.Index = make([]int, len(s.shape))
		for i := len(s.shape) - 1; i >= 0; i-- {
			e.Index[i] = at % s.shape[i]
			at /= s.shape[i]
		}
		e.describe(vm, slots)
		return e
	}
	return nil
}

// slots are the values of the run by source number; nil: there is none, or not of floats.
func (vm *VM) slots() ([]*slot, error) {
	all := make([]*slot, len(vm.module.Nodes))
	put := func(src int32, s *slot) {
		if s.typ.Float() {
			all[src] = s
		}
	}
	for i := range vm.inputs {
		in := &vm.inputs[i]
		if in.host != nil { // a device may have read the value where it is, and it may be on the device
			v := in.node.Value()
			if in.sliced {
				v, _ = vm.module.Value(in.src)
			}
			if v == nil || !in.load(in.bytes(), v) {
				continue
			}
		}
		put(in.src, &in.slot)
	}
	for i := range vm.direct {
		in := &vm.direct[i]
		if s := leafSlot(in.node); all[in.src] == nil && s.load(s.copied, in.node.Value()) {
			put(in.src, s)
		}
	}
	for i := range vm.params {
		p := &vm.params[i]
		if err := p.fetch(vm.exec); err != nil {
			return nil, fmt.Errorf("engine: the parameter %s: %w", describe(p.node), err)
		}
		put(p.src, &p.slot)
	}
	for i := range vm.outputs {
		o := &vm.outputs[i]
		if err := o.fetch(vm.exec); err != nil {
			return nil, fmt.Errorf("engine: the value of %s: %w", describe(o.node), err)
		}
		put(o.src, &o.slot)
	}
	return all, nil
}

func (e *NumericsError) describe(vm *VM, slots []*slot) {
	what := "NaN"
	if e.Value.NaN == 0 {
		what = "Inf"
	}
	var s strings.Builder
	fmt.Fprintf(&s, "engine: %s has %s at %v, the first node in the graph's order that has: %v",
		describe(e.Node), what, e.Index, e.Value)
	if isInput(e.Node) {
		s.WriteString("; it is an input")
	}
	for users := vm.g.From(e.Node.ID()); users != nil && users.Next(); {
		n, ok := users.Node().(*G.Node)
		if !ok {
			continue
		}
		o := Operand{Node: n}
		src := vm.module.Number(n)
		switch {
		case src >= 0 && slots[src] != nil:
			o.Value, _ = count(slots[src])
		case isLeaf(n) && n.Value() != nil && isFloat(n):
			l := leafSlot(n)
			if !l.load(l.copied, n.Value()) {
				continue
			}
			o.Value, _ = count(l)
		default:
			continue // not of floats
		}
		e.Operands = append(e.Operands, o)
		fmt.Fprintf(&s, "; operand %s: %v", describe(n), o.Value)
	}
	e.message = s.String()
}

func finite(s *slot) bool {
	if s.typ == ir.F32 {
		return allFinite(elements[float32](s.bytes()))
	}
	return allFinite(elements[float64](s.bytes()))
}

func allFinite[T float32 | float64](x []T) bool {
	for _, v := range x {
		if v-v != 0 {
			return false
		}
	}
	return true
}

// count tells what a value holds, and where the first element is that is not finite.
func count(s *slot) (Numbers, int) {
	if s.typ == ir.F32 {
		return countOf(elements[float32](s.bytes()))
	}
	return countOf(elements[float64](s.bytes()))
}

func countOf[T float32 | float64](x []T) (n Numbers, first int) {
	n = Numbers{Count: len(x), Min: math.Inf(1), Max: math.Inf(-1)}
	first = -1
	for i, v := range x {
		switch f := float64(v); {
		case f-f == 0:
			n.Min, n.Max = min(n.Min, f), max(n.Max, f)
			continue
		case f != f:
			n.NaN++
		default:
			n.Inf++
		}
		if first < 0 {
			first = i
		}
	}
	return n, first
}
