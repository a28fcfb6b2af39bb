package ir

import (
	"strings"
	"testing"
)

// TestCheck: each line, after the nodes of head, breaks one rule and the message says which.
func TestCheck(t *testing.T) {
	const head = `%0 = input f64[2,3] "x"
%1 = input f32[2,3] "y"
%2 = input i64[] "run" runnumber
%3 = input i64[2,3] "n"
%4 = input bool[2,3] "c"
%5 = input f64[] "s"
%6 = input f64[4,2,3] "b"
`
	if g := parse(t, head); len(g.Nodes) != 7 {
		t.Fatal(g)
	}
	for _, c := range []struct{ line, want string }{
		{"neg f64[2,3] %0, %0", "2 operands, want 1"},
		{"add f64[2,3] %0", "1 operands, want 2"},
		{"add f64[2,3] %0, %1", "operand 1 is f32, want f64"},
		{"add f64[2,3] %0, %5", "operand 1 has shape [], want [2 3]"},
		{"neg i64[2,3] %3", "arithmetic in i64"},
		{"exp f32[2,3] %0", "operand 0 is f64, want f32"},
		{"lt bool[2,3] %0, %1", "operands of types f64 and f32"},
		{"lt f32[2,3] %0, %0", "type f32, want bool or the operands' f64"},
		{"where f64[2,3] %4, %0, %1", "operand 2 is f32, want f64"},
		{"where f64[2,3] %2, %0, %0", "operand 0 has shape []"},
		{"normal f64[2] %3 seed(0) draw(0)", "want a Rand, an i64 scalar and a float type"},
		{"uniform f64[2] %5 seed(0) draw(0)", "want a Rand, an i64 scalar and a float type"},
		{"normal i64[2] %2 seed(0) draw(0)", "want a Rand, an i64 scalar and a float type"},
		{"reshape f64[7] %0", "[2 3] to [7]"},
		{"reshape f32[6] %0", "operand 0 is f64, want f32"},
		{"broadcast f64[2,4] %0", "[2 3] to [2 4]"},
		{"broadcast f64[2,2,3] %0", "[2 3] to [2 2 3]"},
		{"transpose f64[3,2] %0 axes(0,1)", "axes [0 1] of shape [2 3] to [3 2]"},
		{"transpose f64[2,2] %0 axes(0,0)", "axes [0 0]"},
		{"transpose f64[2,3] %0 axes(0,2)", "axes [0 2]"},
		{"transpose f64[2] %0 axes(0)", "axes [0]"},
		{"slice f64[1,3] %0 start(2,0) step(1,1)", "span"},
		{"slice f64[1,2] %0 start(0,0) step(1,3)", "span"},
		{"slice f64[1,2] %0 start(0,0) step(0,1)", "span"},
		{"slice f64[2] %0 start(0) step(1)", "span"},
		{"slice f64[2,3] %0 start(0,0) step(1)", "span"},
		{"pad f64[2,4] %0 start(0,2) step(1,1)", "span"},
		{"pad f64[2,5] %0 start(0,2) step(1,2)", "span"},
		{"concat f64[4,3] %0, %0 axes(1)", "[2 3], want [4 3] but for axis 1"},
		{"concat f64[5,3] %0, %0 axes(0)", "4 along axis 0, want 5"},
		{"concat f64[2,3] %0 axes(2)", "axis [2]"},
		{"concat f64[2,3] %0 axes(0,1)", "axis [0 1]"},
		{"concat f64[6,3] %0, %6 axes(0)", "want 2 dimensions"},
		{"sum f64[2,3] %0 axes()", "axes []"},
		{"sum f64[2] %0 axes(2)", "axes [2]"},
		{"sum f64[] %0 axes(1,0)", "axes [1 0]"},
		{"sum f64[] %0 axes(0,0)", "axes [0 0]"},
		{"sum f64[2] %0 axes(0)", "shape [2], want [3]"},
		{"sum i64[3] %3 axes(0)", "arithmetic in i64"},
		{"maxof f32[3] %0 axes(0)", "operand 0 is f64"},
		{"dot f64[2,3] %0, %0", "shapes [2 3] and [2 3] to [2 3]"},
		{"dot f64[3,2] %0, %0 trans(b)", "shapes [2 3] and [2 3] to [3 2]"},
		{"dot f64[4,2,2] %0, %6 trans(b)", "shapes [2 3] and [4 2 3]"},
		{"dot f64[3,2,2] %6, %6 trans(b)", "to [3 2 2]"},
		{"dot f64[] %5, %5", "shapes [] and []"},
		{"dot f32[2,2] %0, %1 trans(b)", "operand 0 is f64, want f32"},
		{"dot i64[2,2] %3, %3 trans(b)", "arithmetic in i64"},
	} {
		_, err := Parse(head + "%7 = " + c.line + "\n")
		op, _, _ := strings.Cut(c.line, " ")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "ir: %7 "+op+": ") {
			t.Errorf("%s\n\terror %v\n\twant  ir: %%7 %s: ... %s ...", c.line, err, op, c.want)
		}
	}
}

// TestCheckAttributes: what text cannot say.
func TestCheckAttributes(t *testing.T) {
	for name, n := range map[string]Node{
		"not a kind":       {Op: numOps, Type: F64},
		"element type":     {Op: Input, Type: Bool + 1, Attr: InputAttr{}},
		"shape [-1]":       {Op: Input, Type: F64, Shape: []int{-1}, Attr: InputAttr{}},
		"InputAttr":        {Op: Input, Type: F64},
		"*Tensor":          {Op: Const, Type: F64, Attr: Tensor{[]float64{1}}},
		"1 x f32, want 1":  {Op: Const, Type: F64, Attr: &Tensor{[]float32{1}}},
		"2 x f64, want 1":  {Op: Const, Type: F64, Attr: &Tensor{[]float64{1, 2}}},
		"0 x none, want 1": {Op: Const, Type: F64, Attr: &Tensor{[]string{"a"}}},
		"a Kernel":         {Op: Custom, Type: F64},
		"axis <nil>":       {Op: Concat, Type: F64, Shape: []int{1}},
	} {
		g := &Graph{Nodes: []Node{n}, Name: func(int32) string { return "here" }}
		err := g.Verify()
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "(here)") {
			t.Errorf("error %v, want one about %s that says where", err, name)
		}
	}
}
