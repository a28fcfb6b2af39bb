package pass

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/ir"
)

// TestSimplify gives each identity one line: nodes from %8 on, of x and y below; the last line is the output.
func TestSimplify(t *testing.T) {
	const head = `%0 = input f64[4,3] "x"
		%1 = input f64[4,3] "y"
		%2 = const f64[] {1}
		%3 = broadcast f64[4,3] %2
		%4 = input f32[4,3] "z"
		%5 = input bool[4,3] "c"
		%6 = input i32[4,3] "n"
		%7 = exp f64[4,3] %0
		`
	k := func(v string) string { return "const f64[] {" + v + "}; broadcast f64[4,3] %8; " }
	for _, c := range []struct{ before, after string }{
		{"mul f64[4,3] %0, %3", "x"},
		{"mul f64[4,3] %3, %0", "x"},
		{k("-1") + "mul f64[4,3] %0, %9", "neg(x)"},
		{"mul f64[4,3] %0, %0", "square(x)"},
		{"neg f64[4,3] %0; neg f64[4,3] %1; mul f64[4,3] %8, %9", "mul(x, y)"},
		{k("3") + "neg f64[4,3] %0; mul f64[4,3] %10, %9", "mul(x, -3)"},
		{"div f64[4,3] %0, %3", "x"},
		{"div f64[4,3] %3, %0", "recip(x)"},
		{k("-1") + "div f64[4,3] %0, %9", "neg(x)"},
		{k("4") + "div f64[4,3] %0, %9", "mul(x, 0.25)"},
		{k("-0.5") + "div f64[4,3] %0, %9", "mul(x, -2)"},
		{k("1e-310") + "div f64[4,3] %0, %9", "div(x, 1e-310)"},
		{k("8.98846567431158e+307") + "div f64[4,3] %0, %9", "div(x, 8.98846567431158e+307)"},
		{k("3") + "div f64[4,3] %0, %9", "div(x, 3)"},
		{k("3") + "neg f64[4,3] %0; div f64[4,3] %10, %9", "div(x, -3)"},
		{"neg f64[4,3] %0; neg f64[4,3] %1; div f64[4,3] %8, %9", "div(x, y)"},
		{k("0") + "sub f64[4,3] %0, %9", "x"},
		{k("-0") + "sub f64[4,3] %0, %9", "sub(x, -0)"},
		{k("-0") + "add f64[4,3] %0, %9", "x"},
		{k("0") + "add f64[4,3] %0, %9", "add(x, 0)"},
		{k("0") + "add f64[4,3] %7, %9", "exp(x)"}, // never -0
		{k("0") + "add f64[4,3] %0, %7; add f64[4,3] %10, %9", "add(x, exp(x))"},
		{k("-0") + "sub f64[4,3] %9, %0", "neg(x)"},
		{k("0") + "sub f64[4,3] %9, %0", "sub(0, x)"},
		{k("0") + "mul f64[4,3] %0, %9", "mul(x, 0)"},
		{"sub f64[4,3] %0, %0", "sub(x, x)"},
		{"div f64[4,3] %0, %0", "div(x, x)"},
		{"neg f64[4,3] %1; add f64[4,3] %0, %8", "sub(x, y)"},
		{"neg f64[4,3] %1; add f64[4,3] %8, %0", "sub(x, y)"},
		{"neg f64[4,3] %1; sub f64[4,3] %0, %8", "add(x, y)"},
		{"neg f64[4,3] %0; neg f64[4,3] %8", "x"},
		{"neg f64[4,3] %0; abs f64[4,3] %8", "abs(x)"},
		{"abs f64[4,3] %7", "exp(x)"},
		{k("-0") + "mul f64[4,3] %7, %9; abs f64[4,3] %10", "abs(mul(exp(x), -0))"},
		{k("0") + "mul f64[4,3] %7, %9; abs f64[4,3] %10", "mul(exp(x), 0)"},
		{"abs f64[4,3] %0; square f64[4,3] %8", "square(x)"},
		{"neg f64[4,3] %0; square f64[4,3] %8", "square(x)"},
		{"floor f64[4,3] %0; ceil f64[4,3] %8", "floor(x)"},
		{"sign f64[4,3] %0; sign f64[4,3] %8", "sign(x)"},
		{k("1") + "pow f64[4,3] %0, %9", "x"},
		{k("2") + "pow f64[4,3] %0, %9", "square(x)"},
		{k("3") + "pow f64[4,3] %0, %9", "cube(x)"},
		{k("-1") + "pow f64[4,3] %0, %9", "recip(x)"},
		{k("0") + "pow f64[4,3] %0, %9", "1"},
		{k("0.5") + "pow f64[4,3] %0, %9", "pow(x, 0.5)"},
		{k("0.5") + "pow f64[4,3] %7, %9", "sqrt(exp(x))"},
		{"max f64[4,3] %0, %0", "x"},
		{k("-Inf") + "max f64[4,3] %0, %9", "x"},
		{k("Inf") + "max f64[4,3] %0, %9", "max(x, Inf)"},
		{k("Inf") + "min f64[4,3] %9, %0", "x"},
		{"where f64[4,3] %5, %0, %0", "x"},
		{"where f64[4,3] %3, %0, %1", "x"},
		{k("0") + "where f64[4,3] %9, %0, %1", "y"},
		{k("NaN") + "where f64[4,3] %9, %0, %1", "x"},
		{"not bool[4,3] %5; where f64[4,3] %8, %0, %1", "where(c, y, x)"},
		{"cast f64[4,3] %5; where f64[4,3] %8, %0, %1", "where(c, x, y)"},
		{"not bool[4,3] %5; not bool[4,3] %8", "c"},
		{"eq bool[4,3] %0, %1; not bool[4,3] %8", "ne(x, y)"},
		{"lt bool[4,3] %0, %1; not bool[4,3] %8", "not(lt(x, y))"}, // NaN
		{"eq bool[4,3] %0, %0", "eq(x, x)"},
		{"and bool[4,3] %5, %5", "c"},
		{"const bool[] {true}; broadcast bool[4,3] %8; and bool[4,3] %9, %5", "c"},
		{"const bool[] {true}; broadcast bool[4,3] %8; or bool[4,3] %5, %9", "true"},
		{"cast f64[4,3] %4; cast f32[4,3] %8", "z"},
		{"cast f32[4,3] %0; cast f64[4,3] %8", "cast(cast(x))"},
		{"cast f64[4,3] %6; cast i32[4,3] %8", "n"},
		{"cast f64[4,3] %6; cast f32[4,3] %8", "cast(n)"},
		{"cast f32[4,3] %6; cast f64[4,3] %8", "cast(cast(n))"}, // float32 rounds
		{"cast f64[4,3] %6; cast u8[4,3] %8", "cast(cast(n))"},  // overflow differs
		{"cast f64[4,3] %4; cast i32[4,3] %8", "cast(cast(z))"},
		{"lt bool[4,3] %0, %1; cast f64[4,3] %8", "lt(x, y)"},
		{"lt bool[4,3] %0, %1; cast f32[4,3] %8", "cast(lt(x, y))"},
		{"reshape f64[4,1,3] %0; sum f64[4,3] %8 axes(1)", "x"},
		{"sum f64[3] %0 axes(0); sum f64[] %8 axes(0)", "sum(x)"},
		{"maxof f64[3] %0 axes(0); minof f64[] %8 axes(0)", "minof(maxof(x))"},
		{"reshape f64[2,2,3] %0; minof f64[2,3] %8 axes(1); minof f64[3] %9 axes(0)", "minof(reshape(x))"},
		{"reshape f64[12] %0; sum f64[] %8 axes(0)", "sum(x)"},
		{"reshape f64[1,4,3] %0; broadcast f64[5,4,3] %8; maxof f64[3] %9 axes(0,1)", "reshape(maxof(reshape(x)))"},
		{"reshape f64[1,4,3] %0; broadcast f64[5,4,3] %8; sum f64[5,3] %9 axes(1)", "broadcast(sum(reshape(x)))"},
		{"reshape f64[1,4,3] %0; broadcast f64[5,4,3] %8; sum f64[3] %9 axes(0,1)", "sum(broadcast(reshape(x)))"},
	} {
		var text strings.Builder
		text.WriteString(head)
		lines := strings.Split(c.before, "; ")
		for i, line := range lines {
			fmt.Fprintf(&text, "%%%d = %s\n", 8+i, line)
		}
		fmt.Fprintf(&text, "outputs %%%d\n", 7+len(lines))
		g := parse(t, text.String())
		h, _, err := run(g, named(t, "simplify"), Options{Verify: true})
		if err != nil {
			t.Errorf("%s: %v", c.before, err)
			continue
		}
		if got := formula(h, h.Outputs[0]); got != c.after {
			t.Errorf("%s\nbecame %s, want %s", c.before, got, c.after)
		}
		for _, special := range []bool{false, true} {
			tol := 0.0
			if strings.Contains(c.before, "sum f64[] %8") {
				if special {
					continue
				}
				tol = 1e-14 // 12 numbers below 2 in another order
			}
			within(t, g, h, special, true, tol)
		}
	}
}

// formula writes a node as a nested expression; broadcast constants are their values.
func formula(g *ir.Graph, id ir.ID) string {
	n := &g.Nodes[id]
	switch {
	case n.Op == ir.Input:
		return n.Attr.(ir.InputAttr).Name
	case n.Op == ir.Const:
		_, s, _ := strings.Cut(n.Attr.(*ir.Tensor).String(), "{")
		return strings.TrimSuffix(s, "}")
	case n.Op == ir.Broadcast && g.Nodes[n.In[0]].Op == ir.Const:
		return formula(g, n.In[0])
	}
	var in []string
	for _, x := range n.In {
		in = append(in, formula(g, x))
	}
	return n.Op.String() + "(" + strings.Join(in, ", ") + ")"
}

// TestReduceOfShared: a reduction that is wanted itself is not done a second time inside another.
func TestReduceOfShared(t *testing.T) {
	const kept = `%0 = input f64[4,3] "x"
		%1 = maxof f64[3] %0 axes(0)
		%2 = maxof f64[] %1 axes(0)
		outputs %1, %2`
	becomes(t, "simplify", kept, kept)
}

func TestPads(t *testing.T) {
	for _, c := range []struct{ before, after string }{
		{ // tiles, in any order: no pad is left
			`%0 = input f64[2,1] "x"
			%1 = input f64[2,2] "y"
			%2 = input f64[2,1] "z"
			%3 = pad f64[2,4] %0 start(0,3) step(1,1)
			%4 = pad f64[2,4] %1 start(0,0) step(1,1)
			%5 = add f64[2,4] %3, %4
			%6 = pad f64[2,4] %2 start(0,2) step(1,1)
			%7 = add f64[2,4] %6, %5
			outputs %7`,
			`%0 = input f64[2,1] "x"
			%1 = input f64[2,2] "y"
			%2 = input f64[2,1] "z"
			%3 = concat f64[2,4] %1, %2, %0 axes(1)
			outputs %3`,
		},
		{ // gaps are zeros
			`%0 = input f64[2] "x"
			%1 = input f64[1] "y"
			%2 = pad f64[9] %0 start(1) step(1)
			%3 = pad f64[9] %1 start(5) step(1)
			%4 = add f64[9] %2, %3
			outputs %4`,
			`%0 = input f64[2] "x"
			%1 = input f64[1] "y"
			%2 = const f64[] {0}
			%3 = reshape f64[1] %2
			%4 = broadcast f64[2] %2
			%5 = broadcast f64[3] %2
			%6 = concat f64[9] %3, %0, %4, %1, %5 axes(0)
			outputs %6`,
		},
		{ // one place twice, at the head of the sum: added before it is placed
			`%0 = input f64[2] "x"
			%1 = input f64[2] "y"
			%2 = input f64[2] "z"
			%3 = pad f64[4] %0 start(0) step(1)
			%4 = pad f64[4] %1 start(2) step(1)
			%5 = pad f64[4] %2 start(0) step(1)
			%6 = add f64[4] %3, %4
			%7 = add f64[4] %6, %5
			outputs %7`,
			`%0 = input f64[2] "x"
			%1 = input f64[2] "y"
			%2 = input f64[2] "z"
			%3 = add f64[2] %0, %2
			%4 = concat f64[4] %3, %1 axes(0)
			outputs %4`,
		},
		{ // after another term each element is still added in order: two layers
			`%0 = input f64[2] "x"
			%1 = input f64[2] "y"
			%2 = input f64[2] "z"
			%3 = input f64[4] "w"
			%4 = pad f64[4] %0 start(0) step(1)
			%5 = pad f64[4] %1 start(2) step(1)
			%6 = pad f64[4] %2 start(0) step(1)
			%7 = add f64[4] %3, %4
			%8 = add f64[4] %7, %5
			%9 = add f64[4] %8, %6
			outputs %9`,
			`%0 = input f64[2] "x"
			%1 = input f64[2] "y"
			%2 = input f64[2] "z"
			%3 = input f64[4] "w"
			%4 = concat f64[4] %0, %1 axes(0)
			%5 = pad f64[4] %2 start(0) step(1)
			%6 = add f64[4] %3, %4
			%7 = add f64[4] %6, %5
			outputs %7`,
		},
		{ // parted along two axes
			`%0 = input f64[1,1] "a"
			%1 = input f64[1,1] "b"
			%2 = input f64[1,1] "c"
			%3 = input f64[1,1] "d"
			%4 = pad f64[2,2] %0 start(0,0) step(1,1)
			%5 = pad f64[2,2] %1 start(1,1) step(1,1)
			%6 = pad f64[2,2] %2 start(0,1) step(1,1)
			%7 = pad f64[2,2] %3 start(1,0) step(1,1)
			%8 = add f64[2,2] %4, %5
			%9 = add f64[2,2] %8, %6
			%10 = add f64[2,2] %9, %7
			outputs %10`,
			`%0 = input f64[1,1] "a"
			%1 = input f64[1,1] "b"
			%2 = input f64[1,1] "c"
			%3 = input f64[1,1] "d"
			%4 = concat f64[1,2] %0, %2 axes(1)
			%5 = concat f64[1,2] %3, %1 axes(1)
			%6 = concat f64[2,2] %4, %5 axes(0)
			outputs %6`,
		},
		{ // interleaved: nothing parts them
			`%0 = input f64[2] "x"
			%1 = input f64[2] "y"
			%2 = pad f64[4] %0 start(0) step(2)
			%3 = pad f64[4] %1 start(1) step(2)
			%4 = add f64[4] %2, %3
			outputs %4`,
			`%0 = input f64[2] "x"
			%1 = input f64[2] "y"
			%2 = pad f64[4] %0 start(0) step(2)
			%3 = pad f64[4] %1 start(1) step(2)
			%4 = add f64[4] %2, %3
			outputs %4`,
		},
		{ // what is wanted on the way is kept
			`%0 = input f64[2] "x"
			%1 = input f64[2] "y"
			%2 = input f64[2] "z"
			%3 = pad f64[6] %0 start(0) step(1)
			%4 = pad f64[6] %1 start(2) step(1)
			%5 = add f64[6] %3, %4
			%6 = pad f64[6] %2 start(4) step(1)
			%7 = add f64[6] %5, %6
			outputs %5, %7`,
			`%0 = input f64[2] "x"
			%1 = input f64[2] "y"
			%2 = input f64[2] "z"
			%3 = const f64[] {0}
			%4 = broadcast f64[2] %3
			%5 = concat f64[6] %0, %1, %4 axes(0)
			%6 = pad f64[6] %2 start(4) step(1)
			%7 = add f64[6] %5, %6
			outputs %5, %7`,
		},
	} {
		becomes(t, "pads cse", c.before, c.after)
	}
}
