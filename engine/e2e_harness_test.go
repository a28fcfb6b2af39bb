package engine_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine"
	testcheck "github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// The end-to-end tests (e2e_*_test.go) look at the engine from where its users stand: whole programs, made of public
// ops, against the golden files and the TapeMachine.

// soak is how many cases random tests take when time does not matter (GODCEM_SOAK); 0: it does.
var soak, _ = strconv.Atoi(os.Getenv("GODCEM_SOAK"))

var bothTypes = []tensor.Dtype{tensor.Float64, tensor.Float32}

// of is a tensor of an element type.
func of(dt tensor.Dtype, v []float64, shape ...int) *tensor.Dense {
	if dt == tensor.Float32 {
		return dense(testcheck.Copy[float32](v), shape...)
	}
	return dense(testcheck.Copy[float64](v), shape...)
}

// num is a constant like x in element type. Gorgonia takes constants of one name for each other, so the name is all
// of it.
func num(x *G.Node, v float64) *G.Node {
	name := G.WithName(fmt.Sprintf("%v %v", x.Dtype(), v))
	if x.Dtype() == tensor.Float32 {
		return G.NewConstant(float32(v), name)
	}
	return G.NewConstant(v, name)
}

// The arithmetic of a formula, whose errors are the test's own.
func add(a, b *G.Node) *G.Node             { return G.Must(G.Add(a, b)) }
func sub(a, b *G.Node) *G.Node             { return G.Must(G.Sub(a, b)) }
func mul(a, b *G.Node) *G.Node             { return G.Must(G.HadamardProd(a, b)) }
func div(a, b *G.Node) *G.Node             { return G.Must(G.HadamardDiv(a, b)) }
func times(a *G.Node, v float64) *G.Node   { return mul(a, num(a, v)) }
func square(a *G.Node) *G.Node             { return G.Must(G.Square(a)) }
func total(a *G.Node, axes ...int) *G.Node { return G.Must(G.Sum(a, axes...)) }
func column(a *G.Node, i int) *G.Node      { return G.Must(G.Slice(a, nil, G.S(i))) }

// full is a constant of a's shape.
func full(a *G.Node, v float64) *G.Node {
	data := make([]float64, a.Shape().TotalSize())
	for i := range data {
		data[i] = v
	}
	return G.NewConstant(of(a.Dtype(), data, a.Shape()...), G.WithName(fmt.Sprintf("%v %v %v", a.Dtype(), a.Shape(), v)))
}

// clamp bounds every element; the gradient outside is 0.
func clamp(a *G.Node, low, high float64) *G.Node {
	return G.Must(G.MinBetween(G.Must(G.MaxBetween(a, full(a, low))), full(a, high)))
}

// evaluate runs a machine once and returns the values of the nodes, which are read where the TapeMachine has them.
func evaluate(t *testing.T, machine string, nodes ...*G.Node) (values [][]float64, vm G.VM) {
	t.Helper()
	read := make([]G.Value, len(nodes))
	for i, n := range nodes {
		G.Read(n, &read[i])
	}
	vm, err := train.NewVM(machine, nodes[0].Graph(), nodes...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		values = append(values, floats(t, read[i]))
	}
	return values, vm
}

// kernelsOf counts the steps of a program by kind: "loop*2 dot*3".
func kernelsOf(e *engine.Explanation) string {
	var order []string
	count := map[string]int{}
	for _, s := range e.Steps {
		if count[s.Kind]++; count[s.Kind] == 1 {
			order = append(order, s.Kind)
		}
	}
	for i, kind := range order {
		order[i] = fmt.Sprintf("%s*%d", kind, count[kind])
	}
	return strings.Join(order, " ")
}
