package ir

import (
	"math"
	"testing"
)

func TestTable(t *testing.T) {
	for op := Invalid + 1; op < numOps; op++ {
		info := op.Info()
		if got, ok := ParseOp(op.String()); !ok || got != op {
			t.Errorf("ParseOp(%q) = %v, %v", op.String(), got, ok)
		}
		if info.Class == Elementwise && (info.Arity < 1 || info.Arity > 3 || info.Flops < 1) {
			t.Errorf("%v: arity %d, %d flops", op, info.Arity, info.Flops)
		}
		number := info.Class == Elementwise && op != Cast && op != Normal && op != Uniform || info.Class == Reduction
		if hasF := info.F != nil; hasF != number {
			t.Errorf("%v: has a meaning as a function of numbers: %v, want %v", op, hasF, number)
		}
	}
	if _, ok := ParseOp("invalid"); ok || numOps.Info() != Invalid.Info() || numOps.String()[:2] != "op" {
		t.Error("what is no kind passes for one")
	}
}

// TestMeaning compares the kinds whose meaning is more than a call of package math with their definitions.
func TestMeaning(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	zero := math.Copysign(0, -1)
	for _, c := range []struct {
		op      Op
		a, b, c float64
		want    float64
	}{
		{Sign, 3, 0, 0, 1}, {Sign, -inf, 0, 0, -1}, {Sign, zero, 0, 0, zero}, {Sign, nan, 0, 0, nan},
		{Sigmoid, 0, 0, 0, 0.5}, {Sigmoid, -inf, 0, 0, 0}, {Sigmoid, inf, 0, 0, 1}, {Sigmoid, nan, 0, 0, nan},
		{Sigmoid, -800, 0, 0, 0}, {Sigmoid, 800, 0, 0, 1},
		{Sigmoid, math.Log(3), 0, 0, 0.75}, {Sigmoid, -math.Log(3), 0, 0, 0.25},
		{Softplus, 0, 0, 0, math.Ln2}, {Softplus, -inf, 0, 0, 0}, {Softplus, inf, 0, 0, inf}, {Softplus, nan, 0, 0, nan},
		{Softplus, 800, 0, 0, 800},
		{Softplus, math.Log(3), 0, 0, math.Log(4)}, {Softplus, -math.Log(3), 0, 0, math.Log(4. / 3)},
		{Max, nan, 1, 0, nan}, {Max, 1, nan, 0, nan}, {Max, zero, 0, 0, 0}, {Min, 0, zero, 0, zero}, {Min, nan, 1, 0, nan},
		{Not, 0, 0, 0, 1}, {Not, zero, 0, 0, 1}, {Not, nan, 0, 0, 0},
		{And, nan, 2, 0, 1}, {And, 0, 2, 0, 0}, {Or, 0, -1, 0, 1},
		{Lt, 1, nan, 0, 0}, {Ne, nan, nan, 0, 1}, {Eq, 0, zero, 0, 1}, {Ge, 2, 2, 0, 1}, {Gt, 2, 2, 0, 0}, {Le, 2, 2, 0, 1},
		{Where, nan, 1, 2, 1}, {Where, zero, 1, 2, 2}, {Where, 3, 1, 2, 1},
		{InvSqrt, 4, 0, 0, 0.5}, {InvSqrt, zero, 0, 0, -inf},
		{Atan2, -6e-291, -1.7e148, 0, -math.Pi}, {Atan2, 6e-291, -1.7e148, 0, math.Pi}, {Atan2, zero, -1, 0, -math.Pi},
		{Atan2, zero, 1, 0, zero}, {Atan2, -5e-324, 5, 0, zero}, {Atan2, -inf, inf, 0, -math.Pi / 4}, {Atan2, -1, nan, 0, nan},
		{Atan2, nan, 1, 0, nan}, {Atan2, -3, 0, 0, -math.Pi / 2},
		{Recip, zero, 0, 0, -inf}, {Pow, nan, 0, 0, 1}, {Cube, -2, 0, 0, -8}, {Square, -3, 0, 0, 9},
	} {
		got := c.op.Info().F(c.a, c.b, c.c)
		same := got == c.want && math.Signbit(got) == math.Signbit(c.want) || got != got && c.want != c.want
		if !same && !(math.Abs(got-c.want) <= 1e-15) { // the logarithms above are rounded
			t.Errorf("%v(%v, %v, %v) = %v, want %v", c.op, c.a, c.b, c.c, got, c.want)
		}
	}
}

func TestSizes(t *testing.T) {
	g := parse(t, whole)
	for id, want := range map[ID]int{0: 24, 1: 8, 5: 16, 6: 8, 7: 4, 8: 2, 9: 2, 10: 0} {
		if got := g.Nodes[id].Bytes(); got != want {
			t.Errorf("%s: %d bytes, want %d", g.Label(id), got, want)
		}
	}
	if s := DType(77).String(); s != "type77" || NoType.Float() || Int.Float() || !F32.Float() {
		t.Errorf("names and properties of types: %s", s)
	}
}
