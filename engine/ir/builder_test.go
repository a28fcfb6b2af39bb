package ir

import (
	"strings"
	"testing"
)

// TestBuilder builds with every method; the text shows the shapes, types and nodes that it adds of its own.
func TestBuilder(t *testing.T) {
	b := NewBuilder()
	b.Src = 4
	x := b.Input(F64, []int{2, 3}, InputAttr{Name: "x"})
	b.Src = -1
	s := b.Scalar(F64, 1.5)
	run := b.Input(Int64, nil, InputAttr{RunNumber: true})
	sum := b.Binary(Add, s, x)
	c := b.Binary(Lt, x, s)
	b.Compare(Ge, F64, x, x)
	b.Where(c, s, sum)
	for _, y := range []ID{b.Cast(F64, x), b.Reshape(x, []int{2, 3}), b.BroadcastTo(x, []int{2, 3}), b.Reduce(ReduceSum, x)} {
		if y != x {
			t.Errorf("what changes nothing gave node %d, want %d", y, x)
		}
	}
	b.Cast(F32, x)
	b.Random(Uniform, F32, []int{4}, Rand{1, 2}, run)
	y := b.Input(F64, []int{1, 3}, InputAttr{Name: "y"})
	b.BroadcastTo(y, []int{5, 2, 3})
	b.Transpose(x, 1, 0)
	p := b.Slice(x, []int{0, 1}, []int{1, 1}, []int{2, 2})
	b.Pad(p, []int{0, 1}, []int{1, 1}, []int{2, 3})
	b.Concat(0, x, y)
	b.Reduce(ReduceMax, x, 1, 0, 1)
	b.Dot(x, x, Trans{A: true})
	b.Custom(Opaque{Name: "k"}, F64, []int{7}, x)
	b.BinaryS(Mul, x, 2)
	b.Full(F32, []int{2}, 3)
	b.Const(Bool, []int{1}, []bool{true})
	b.Unary(Neg, x)
	b.Output(sum, c)
	const want = `%0 = input f64[2,3] "x" @4
%1 = const f64[] {1.5}
%2 = input i64[] "" runnumber
%3 = broadcast f64[2,3] %1
%4 = add f64[2,3] %3, %0
%5 = broadcast f64[2,3] %1
%6 = lt bool[2,3] %0, %5
%7 = ge f64[2,3] %0, %0
%8 = broadcast f64[2,3] %1
%9 = where f64[2,3] %6, %8, %4
%10 = cast f32[2,3] %0
%11 = uniform f32[4] %2 seed(1) draw(2)
%12 = input f64[1,3] "y"
%13 = reshape f64[1,1,3] %12
%14 = broadcast f64[5,2,3] %13
%15 = transpose f64[3,2] %0 axes(1,0)
%16 = slice f64[2,2] %0 start(0,1) step(1,1)
%17 = pad f64[2,3] %16 start(0,1) step(1,1)
%18 = concat f64[3,3] %0, %12 axes(0)
%19 = maxof f64[] %0 axes(0,1)
%20 = dot f64[3,3] %0, %0 trans(a)
%21 = custom f64[7] "k" %0
%22 = const f64[] {2}
%23 = broadcast f64[2,3] %22
%24 = mul f64[2,3] %0, %23
%25 = const f32[] {3}
%26 = broadcast f32[2] %25
%27 = const bool[1] {true}
%28 = neg f64[2,3] %0
outputs %4, %6
`
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	if got := b.G.String(); got != want {
		t.Errorf("built\n%swant\n%s", got, want)
	}
	if err := b.G.Verify(); err != nil {
		t.Error(err)
	}
}

// TestBuilderErrors: the first error stays, adds nothing, and whatever follows returns -1 without panicking.
func TestBuilderErrors(t *testing.T) {
	for want, f := range map[string]func(b *Builder, x ID) ID{
		"operand 7":                func(b *Builder, x ID) ID { return b.Add(Neg, F64, nil, nil, 7) },
		"no node 9":                func(b *Builder, x ID) ID { return b.Unary(Neg, 9) },
		"no node -1":               func(b *Builder, x ID) ID { return b.Binary(Add, x, -1) },
		"Scalar of type i64":       func(b *Builder, x ID) ID { return b.Scalar(Int64, 1) },
		"[2 3] to [3]":             func(b *Builder, x ID) ID { return b.BroadcastTo(x, []int{3}) },
		"[2 3] to [2 4]":           func(b *Builder, x ID) ID { return b.BroadcastTo(x, []int{2, 4}) },
		"transpose of [2 3] by [0": func(b *Builder, x ID) ID { return b.Transpose(x, 0) },
		"by [0 2]":                 func(b *Builder, x ID) ID { return b.Transpose(x, 0, 2) },
		"concat of nothing":        func(b *Builder, x ID) ID { return b.Concat(0) },
		"along axis 2":             func(b *Builder, x ID) ID { return b.Concat(2, x) },
		"axes [5]":                 func(b *Builder, x ID) ID { return b.Reduce(ReduceSum, x, 5) },
		"dot of [2 3] and []":      func(b *Builder, x ID) ID { return b.Dot(x, b.Scalar(F64, 1), Trans{}) },
		"shapes [2 3] and [2 3]":   func(b *Builder, x ID) ID { return b.Dot(x, x, Trans{}) },
		"no operand of mine fits":  func(b *Builder, x ID) ID { return b.Fail("no operand of mine fits") },
		"operand 1 has shape [4]":  func(b *Builder, x ID) ID { return b.Binary(Add, x, b.Input(F64, []int{4}, InputAttr{})) },
		"operand 2 is f64":         func(b *Builder, x ID) ID { return b.Where(x, b.Scalar(F32, 1), x) },
		"output of something else": func(b *Builder, x ID) ID { b.Fail("output of something else"); b.Output(77); return -1 },
	} {
		b := NewBuilder()
		x := b.Input(F64, []int{2, 3}, InputAttr{})
		id := f(b, x)
		err := b.Err()
		if id != -1 || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %d, error %v, want -1 and an error with %q", id, err, want)
			continue
		}
		n := len(b.G.Nodes)
		for _, id := range []ID{
			b.Unary(Neg, x), b.Binary(Add, x, x), b.BinaryS(Mul, id, 2), b.Where(id, id, x), b.Cast(F32, id), b.Scalar(F64, 1),
			b.Random(Normal, F64, nil, Rand{}, id), b.BroadcastTo(id, []int{2}), b.Full(F64, []int{2}, 1), b.Transpose(id),
			b.Slice(id, nil, nil, nil), b.Pad(x, nil, nil, nil), b.Concat(0, id), b.Concat(0, x, id), b.Dot(id, x, Trans{}),
			b.Custom(Opaque{}, F64, nil, id), b.Input(F64, nil, InputAttr{}), b.Fail("another"), b.Compare(Lt, Bool, id, x),
		} {
			if id != -1 {
				t.Errorf("after %v: a call returned %d, want -1", err, id)
			}
		}
		b.Reduce(ReduceSum, id, 0)
		b.Reshape(id, []int{1})
		b.Output(x)
		if b.Err() != err || len(b.G.Nodes) != n || len(b.G.Outputs) != 0 {
			t.Errorf("after %v: error %v, %d nodes more, outputs %v", err, b.Err(), len(b.G.Nodes)-n, b.G.Outputs)
		}
	}
}

func TestClone(t *testing.T) {
	g := parse(t, whole)
	c := g.Clone()
	c.Nodes[13].In[0] = 12
	c.Outputs[0] = 1
	c.Updates[0].Params[0], c.Updates[0].Grads[0] = 0, 0
	if got := g.String(); got != whole {
		t.Errorf("changing the copy changed the graph to\n%s", got)
	}
}
