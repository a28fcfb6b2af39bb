package graphs

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/godcem/godcem/engine/ir"
)

const inputBound = 2

// Feed returns values for the inputs of any graph: floats in [-2, 2], half of them multiples of 1/4 so that equal
// ones meet, integers in [-3, 3] (of Uint8 [0, 3]), and the seed as the run number. They depend on the input's name,
// type and size and on the seed, so a graph and what passes made of it are fed alike.
func Feed(g *ir.Graph, seed uint64) func(ir.ID) any {
	return func(id ir.ID) any { return Values(&g.Nodes[id], seed) }
}

// Values is what Feed gives one input.
func Values(n *ir.Node, seed uint64) any {
	a, ok := n.Attr.(ir.InputAttr)
	if !ok {
		panic(fmt.Sprintf("graphs: values of a %v", n.Op))
	}
	if a.RunNumber {
		return []int64{int64(seed)}
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %v %d", a.Name, n.Type, n.Count())
	return Fill(n.Type, n.Count(), rand.New(rand.NewPCG(seed, h.Sum64())))
}

// Fill returns a slice of n random elements as Feed describes them.
func Fill(t ir.DType, n int, r *rand.Rand) any {
	number := func() float64 {
		x := 2*inputBound*r.Float64() - inputBound
		if r.IntN(2) == 0 {
			x = math.Round(4*x) / 4
		}
		return x
	}
	integer := func() int { return r.IntN(7) - 3 }
	switch t {
	case ir.F32:
		return fill(n, func() float32 { return float32(number()) })
	case ir.F64:
		return fill(n, number)
	case ir.Int64:
		return fill(n, func() int64 { return int64(integer()) })
	case ir.Int:
		return fill(n, integer)
	case ir.Int32:
		return fill(n, func() int32 { return int32(integer()) })
	case ir.Uint8:
		return fill(n, func() uint8 { return uint8(r.IntN(4)) })
	case ir.Bool:
		return fill(n, func() bool { return r.IntN(2) == 0 })
	}
	panic(fmt.Sprintf("graphs: values of type %v", t))
}

func fill[T any](n int, next func() T) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = next()
	}
	return s
}

// Centre is a kernel on one operand of any shape: every element less the mean of all.
type Centre struct{}

func (Centre) String() string { return "centre" }

// Run implements ir.Kernel.
func (Centre) Run(out any, in []any) error {
	switch x := in[0].(type) {
	case []float32:
		centre(out.([]float32), x)
	case []float64:
		centre(out.([]float64), x)
	default:
		return fmt.Errorf("centre of a %T", x)
	}
	return nil
}

func centre[T float32 | float64](out, x []T) {
	mean := 0.0
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	for i, v := range x {
		out[i] = T(float64(v) - mean)
	}
}
