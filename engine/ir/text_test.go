package ir

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// whole is a graph with every kind of attribute and of element.
const whole = `%0 = input f32[2,3] "x"
%1 = input f64[] "a \"b\"\n" resident
%2 = input i64[] "" runnumber @3
%3 = const f32[6] {1.5, -0, Inf, -Inf, NaN, 1e-45}
%4 = const f64[3] {0.1, NaN:7ff8000000000000, 1e+300}
%5 = const i64[2] {-9223372036854775808, 9223372036854775807}
%6 = const int[1] {-7}
%7 = const i32[1] {-2147483648}
%8 = const u8[2] {0, 255}
%9 = const bool[2] {true, false}
%10 = const f32[0,3] {}
%11 = const f32[] {NaN:7f800001}
%12 = reshape f32[2,3] %3
%13 = add f32[2,3] %0, %12 @5
%14 = lt bool[2,3] %0, %13
%15 = lt f32[2,3] %0, %13
%16 = where f32[2,3] %14, %0, %13
%17 = cast f64[2,3] %16
%18 = normal f32[2,3] %2 seed(18446744073709551615) draw(4)
%19 = uniform f64[] %2 seed(0) draw(0)
%20 = transpose f32[3,2] %13 axes(1,0)
%21 = slice f32[1,2] %13 start(1,0) step(1,2)
%22 = pad f32[2,3] %21 start(1,0) step(1,2)
%23 = concat f32[4,3] %0, %22 axes(0)
%24 = sum f32[] %23 axes(0,1)
%25 = dot f32[2,2] %0, %20
%26 = dot f32[3,3] %0, %22 trans(a)
%27 = dot f32[2,2] %0, %22 trans(b)
%28 = dot f32[3,3] %0, %20 trans(a,b)
%29 = custom f64[3] "lml k=10"
%30 = custom f64[3] "print" host effects %1, %29 @0
%31 = broadcast f32[4,5] %24
outputs %31, %31, %30
update params(%1) grads(%1) loss(%24) "adam"
update params() grads() ""
`

func parse(t testing.TB, text string) *Graph {
	t.Helper()
	g, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestTextOfEverything(t *testing.T) {
	g := parse(t, whole)
	if got := g.String(); got != whole {
		t.Errorf("printed:\n%s\nwant:\n%s", got, whole)
	}
	seen := map[Op]bool{}
	for i := range g.Nodes {
		seen[g.Nodes[i].Op] = true
	}
	for op := range numOps { // the kinds that differ from one of the text in their name alone
		alike := op.Class() == Elementwise || op == ReduceMax || op == ReduceMin || op == ReduceProd
		if op != Invalid && !alike && !seen[op] {
			t.Errorf("the text has no %v", op)
		}
	}
	d := g.Nodes[3].Attr.(*Tensor).Data.([]float32)
	if !math.Signbit(float64(d[1])) || d[5] != math.SmallestNonzeroFloat32 {
		t.Errorf("elements %v, want -0 and the smallest float32 in it", d)
	}
	if d := g.Nodes[4].Attr.(*Tensor).Data.([]float64); d[0] != 0.1 || math.Float64bits(d[1]) != 0x7ff8000000000000 {
		t.Errorf("elements %v, want 0.1 and a NaN of other bits", d)
	}
	k := g.Nodes[30].Attr.(Kernel)
	if !IsHost(k) || !HasEffects(k) || k.Run(nil, nil) == nil {
		t.Errorf("kernel %#v, want one of the host, with effects, that refuses to run", k)
	}
	if u := g.Updates[1]; u.Loss != -1 || g.Updates[0].Loss != 24 {
		t.Errorf("losses %d and %d, want 24 and none", g.Updates[0].Loss, u.Loss)
	}
}

func TestTextAbbreviates(t *testing.T) {
	b := NewBuilder()
	long := make([]float64, 40)
	b.Const(F64, []int{40}, bytesToFloats(40))
	b.Const(F64, []int{40}, long)
	g := b.G
	g.Nodes[1].Src = 2
	g.Name = func(src int32) string { return "two\nlines" }
	want := "%0 = const f64[40] {0, 1, 2, 3, ...}\n%1 = const f64[40] splat(0) @2 # two lines\n"
	var w bytes.Buffer
	n, err := g.WriteTo(&w)
	if got := w.String(); got != want || n != int64(len(want)) || err != nil {
		t.Errorf("wrote %d bytes, error %v:\n%s\nwant:\n%s", n, err, got, want)
	}
	if _, err := Parse(want); err == nil || !strings.Contains(err.Error(), "line 1: an abbreviated constant") {
		t.Errorf("error %v, want one that says that the constant is abbreviated", err)
	}
	w.Reset()
	if _, err := g.Print(&w, -1); err != nil {
		t.Fatal(err)
	}
	if back := parse(t, w.String()); !sameGraph(g, back) {
		t.Errorf("all elements printed:\n%s\nparsed to:\n%s", w.String(), back)
	}
}

func bytesToFloats(n int) []float64 {
	d := make([]float64, n)
	for i := range d {
		d[i] = float64(i)
	}
	return d
}

// sameGraph compares all but names and kernels' code.
func sameGraph(g, h *Graph) bool {
	if len(g.Nodes) != len(h.Nodes) || !reflect.DeepEqual(g.Outputs, h.Outputs) || len(g.Updates) != len(h.Updates) {
		return false
	}
	for i := range g.Nodes {
		a, b := g.Nodes[i], h.Nodes[i]
		if a.Src != b.Src {
			return false
		}
		if a.Op == Input {
			if a.Attr != b.Attr {
				return false
			}
			a.Op, b.Op = Neg, Neg // no two inputs are Equal
		}
		a.Attr, b.Attr = equalAttr(a.Attr), equalAttr(b.Attr)
		if !a.Equal(&b) || a.Hash() != b.Hash() {
			return false
		}
	}
	return true
}

// equalAttr takes the effects from a kernel, for kernels with effects are never Equal.
func equalAttr(a any) any {
	switch k := a.(type) {
	case Opaque:
		return Opaque{Name: k.Name}
	case InputAttr:
		return nil
	}
	return a
}

// TestSplat: a long constant of one value is short in any type, and comes back.
func TestSplat(t *testing.T) {
	const text = `%0 = const f32[20] splat(-0)
%1 = const f64[20] splat(NaN)
%2 = const i64[20] splat(-3)
%3 = const int[20] splat(4)
%4 = const i32[20] splat(5)
%5 = const u8[20] splat(6)
%6 = const bool[20] splat(true)
`
	g := parse(t, text)
	if got := g.String(); got != text {
		t.Errorf("printed\n%s\nwant\n%s", got, text)
	}
	for i := range g.Nodes {
		if _, n := DataType(g.Nodes[i].Attr.(*Tensor).Data); n != 20 {
			t.Errorf("%s has %d elements", g.Label(ID(i)), n)
		}
	}
	g.Nodes[0].Attr.(*Tensor).Data.([]float32)[19] = 0
	if got := g.Nodes[0].Attr.(*Tensor).String(); got != "{-0, -0, -0, -0, ...}" {
		t.Errorf("with another zero at its end it is %s", got)
	}
	if new(Tensor).Uniform() || (&Tensor{[]float64{}}).Uniform() {
		t.Error("a constant without elements has one value")
	}
}

type failing struct{ left int }

var errFull = errors.New("disk full")

func (f *failing) Write(p []byte) (int, error) {
	n := min(f.left, len(p))
	if f.left -= n; n < len(p) {
		return n, errFull
	}
	return n, nil
}

func TestPrintReportsTheWritersError(t *testing.T) {
	g := parse(t, whole)
	for _, room := range []int{0, 1, 100, len(whole) - 1} {
		if _, err := g.WriteTo(&failing{room}); !errors.Is(err, errFull) {
			t.Errorf("room for %d bytes: error %v, want %v", room, err, errFull)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const x = `%0 = input f32[2,3] "x"` + "\n"
	for _, c := range []struct{ text, want string }{
		{"%1 = input f32[] \"x\"", "line 1: node %1, want %0"},
		{x + "\n\n%1 = nonsense f32[] %0", `line 4: no kind of node is called "nonsense"`},
		{"%0 = invalid f32[]", `no kind of node is called "invalid"`},
		{"%0 = input f16[] \"x\"", `no element type is called "f16"`},
		{"%0 = input none[] \"x\"", `no element type is called "none"`},
		{"%0 = input f32 \"x\"", `"[`},
		{"%0 = input f32[2,-1] \"x\"", `"-1] \"x\"", want a size up to`},
		{"%0 = input f32[2147483648] \"x\"", "want a size up to 2147483647"},
		{"%0 = input f32[2147483647,2147483647] \"x\"", "more than 281474976710656 elements"},
		{"%0 = input f32[" + strings.Repeat("1,", 64) + "1] \"x\"", "more than 64 dimensions"},
		{"%0 = input f32[2] x", "want a quoted string"},
		{"%0 = input f32[2] 'x'", "want a quoted string"},
		{"%0 = input f32[2] \"x\" extra", "want the line's end"},
		{"%0 = input f32[2]", "the line ends, want a quoted string"},
		{"%0 = const f32[2] {1}", "1 elements, want 2 for the shape [2]"},
		{"%0 = const f32[2] {1, 2", `want "}"`},
		{"%0 = const f32[1] {x}", "element 0"},
		{"%0 = const f32[1] {1e39}", "element 0"},
		{"%0 = const f64[1] {NaN:7ff0000000000000}", "not the bits of a NaN"},
		{"%0 = const u8[1] {256}", "element 0"},
		{"%0 = const bool[1] {2}", "element 0"},
		{"%0 = const f32[2000000] splat(1)", "want at most 1048576"},
		{"%0 = const f32[2] splat(1, 2)", "2 elements, want 1"},
		{x + "%1 = neg f32[2,3] %1", "operand %1, want a node before it"},
		{x + "%1 = neg f32[2,3] %0,", `the line ends, want "%"`},
		{x + "%1 = neg f32[3,2] %0", "operand 0 has shape [2 3], want [3 2]"},
		{x + "%1 = sum f32[2] %0", `the line ends, want "axes"`},
		{x + "%1 = sum f32[2] %0 axes(1,1)", "axes [1 1]"},
		{x + "%1 = normal f32[2] %0 seed(18446744073709551616) draw(0)", "want a number of 64 bits"},
		{x + "outputs %1", "output %1 of a graph of 1 nodes"},
		{x + "outputs %-1", "want a node's number"},
		{x + `update params(%0) grads(%0) "adam"`, "want a resident input"},
		{x + `update params(%0) grads() "adam"`, "1 parameters and 0 gradients"},
		{x + `update params(%0 "adam"`, `want ")"`},
		{x + `update params() grads() loss(%7) ""`, "update 0 of node %7"},
	} {
		if _, err := Parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n\terror %v\n\twant  ... %s ...", c.text, err, c.want)
		}
	}
}

// FuzzParse: no text makes Parse panic, and what it takes is printed and read again as the same graph.
func FuzzParse(f *testing.F) {
	f.Add(whole)
	for _, line := range strings.Split(whole, "\n") {
		_, op, _ := strings.Cut(line, " = ")
		f.Add("%0 = input f32[2,3] \"x\"\n%1 = " + op + "\noutputs %1\n")
	}
	f.Add("%0 = const f64[100] splat(-0)\n%1 = custom f32[] \"\\xff#\" %0 # comment\n")
	f.Add("# nothing\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := Parse(text)
		if err != nil {
			return
		}
		var w strings.Builder
		if _, err := g.Print(&w, -1); err != nil {
			t.Fatal(err)
		}
		h, err := Parse(w.String())
		if err != nil {
			t.Fatalf("printed:\n%s\nparsed: %v", w.String(), err)
		}
		if !sameGraph(g, h) {
			t.Fatalf("printed:\n%s\nparsed to another graph:\n%s", w.String(), h)
		}
	})
}
