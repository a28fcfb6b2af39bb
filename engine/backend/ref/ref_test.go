package ref_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/backend/ref"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
)

// evaluated builds a graph whose inputs are x0, x1, ... and evaluates its outputs, rounded and not.
func evaluated(t *testing.T, round bool, build func(b *ir.Builder), inputs ...any) []any {
	t.Helper()
	b := ir.NewBuilder()
	build(b)
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	eval := ref.Eval
	if round {
		eval = ref.EvalRounded
	}
	out, err := eval(b.G, func(id ir.ID) any { return inputs[id] })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func in(b *ir.Builder, t ir.DType, shape ...int) ir.ID {
	return b.Input(t, shape, ir.InputAttr{Name: fmt.Sprint("x", len(b.G.Nodes))})
}

// The reference against numbers worked out by hand: what every other test of the engine leans on.
func TestEval(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	six := []float64{1, 2, 3, 4, 5, 6} // (2, 3): 1 2 3 / 4 5 6
	for _, c := range []struct {
		name   string
		build  func(b *ir.Builder)
		inputs []any
		want   []any
	}{
		{"transpose", func(b *ir.Builder) {
			x := in(b, ir.F64, 2, 3)
			b.Output(b.Transpose(x, 1, 0), b.Transpose(b.Reshape(x, []int{1, 3, 2}), 2, 0, 1))
		}, []any{six}, []any{[]float64{1, 4, 2, 5, 3, 6}, []float64{1, 3, 5, 2, 4, 6}}},
		{"slice", func(b *ir.Builder) {
			b.Output(b.Slice(in(b, ir.F64, 2, 3), []int{0, 1}, []int{1, 1}, []int{2, 2}), b.Slice(0, []int{1, 0}, []int{1, 2},
				[]int{1, 2}))
		}, []any{six}, []any{[]float64{2, 3, 5, 6}, []float64{4, 6}}},
		{"pad", func(b *ir.Builder) {
			b.Output(b.Pad(in(b, ir.F64, 2), []int{1}, []int{2}, []int{5}), b.Pad(b.Reshape(0, []int{2, 1}), []int{0, 1},
				[]int{1, 1}, []int{2, 2}))
		}, []any{[]float64{7, 8}}, []any{[]float64{0, 7, 0, 8, 0}, []float64{0, 7, 0, 8}}},
		{"broadcast", func(b *ir.Builder) {
			b.Output(b.BroadcastTo(in(b, ir.F64, 2, 1), []int{2, 2}), b.BroadcastTo(b.Reshape(0, []int{2}), []int{2, 2}),
				b.BroadcastTo(b.Scalar(ir.F64, 3), []int{2}))
		}, []any{[]float64{1, 2}}, []any{[]float64{1, 1, 2, 2}, []float64{1, 2, 1, 2}, []float64{3, 3}}},
		{"concat", func(b *ir.Builder) {
			x, y := in(b, ir.F64, 2, 1), in(b, ir.F64, 2, 2)
			b.Output(b.Concat(1, x, y, x), b.Concat(0, y, y))
		}, []any{[]float64{9, 8}, []float64{1, 2, 3, 4}}, []any{[]float64{9, 1, 2, 9, 8, 3, 4, 8}, []float64{1, 2, 3, 4, 1,
			2, 3, 4}}},
		{"sum", func(b *ir.Builder) {
			x := in(b, ir.F64, 2, 3)
			b.Output(b.Reduce(ir.ReduceSum, x, 0), b.Reduce(ir.ReduceSum, x, 1), b.Reduce(ir.ReduceSum, x, 1, 0))
		}, []any{six}, []any{[]float64{5, 7, 9}, []float64{6, 15}, []float64{21}}},
		{"extremes and products", func(b *ir.Builder) {
			x := in(b, ir.F64, 2, 3)
			b.Output(b.Reduce(ir.ReduceMax, x, 1), b.Reduce(ir.ReduceMin, x, 0), b.Reduce(ir.ReduceProd, x, 0),
				b.Reduce(ir.ReduceMax, b.Unary(ir.Neg, x), 0, 1))
		}, []any{six}, []any{[]float64{3, 6}, []float64{1, 2, 3}, []float64{4, 10, 18}, []float64{-1}}},
		{"of nothing", func(b *ir.Builder) {
			x := in(b, ir.F64, 0, 2)
			for _, op := range []ir.Op{ir.ReduceSum, ir.ReduceProd, ir.ReduceMax, ir.ReduceMin} {
				b.Output(b.Reduce(op, x, 0))
			}
			b.Output(b.Dot(b.Transpose(x, 1, 0), b.Reshape(x, []int{0, 1}), ir.Trans{}), x)
		}, []any{[]float64{}}, []any{[]float64{0, 0}, []float64{1, 1}, []float64{-inf, -inf}, []float64{inf,
			inf}, []float64{0, 0}, []float64{}}},
		{"NaN and infinity in reductions", func(b *ir.Builder) {
			x := in(b, ir.F64, 2, 2)
			b.Output(b.Reduce(ir.ReduceMax, x, 1), b.Reduce(ir.ReduceMin, x, 1), b.Reduce(ir.ReduceSum, x, 1))
		}, []any{[]float64{nan, 1, inf, 1}}, []any{[]float64{nan, inf}, []float64{nan, 1}, []float64{nan, inf}}},
		{"dot", func(b *ir.Builder) {
			x, y := in(b, ir.F64, 2, 3), in(b, ir.F64, 3, 1)
			b.Output(b.Dot(x, y, ir.Trans{}), b.Dot(x, x, ir.Trans{B: true}), b.Dot(x, x, ir.Trans{A: true}),
				b.Dot(y, x, ir.Trans{A: true, B: true}))
		}, []any{six, []float64{1, 0, -1}}, []any{[]float64{-2, -2}, []float64{14, 32, 32, 77},
			[]float64{17, 22, 27, 22, 29, 36, 27, 36, 45}, []float64{-2, -2}}},
		{"dot of a batch", func(b *ir.Builder) {
			x, y := in(b, ir.F64, 2, 1, 2), in(b, ir.F64, 2, 2, 1)
			b.Output(b.Dot(x, y, ir.Trans{}), b.Dot(y, x, ir.Trans{}))
		}, []any{[]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}}, []any{[]float64{17, 53}, []float64{5, 10, 6, 12, 21, 28, 24,
			32}}},
		{"sums are compensated", func(b *ir.Builder) {
			x := in(b, ir.F64, 4)
			b.Output(b.Reduce(ir.ReduceSum, x, 0), b.Dot(b.Reshape(x, []int{1, 4}), b.Full(ir.F64, []int{4, 1}, 3),
				ir.Trans{}))
		}, []any{[]float64{1, 0x1p100, 1, -0x1p100}}, []any{[]float64{2}, []float64{6}}},
		{"where and truth", func(b *ir.Builder) {
			x, m := in(b, ir.F64, 3), in(b, ir.Bool, 3)
			b.Output(b.Where(m, x, b.Scalar(ir.F64, 9)), b.Where(x, x, b.Scalar(ir.F64, 5)), b.Unary(ir.Not, m),
				b.Binary(ir.And, m, b.Binary(ir.Ne, x, x)),
				b.Compare(ir.Gt, ir.F64, x, b.BroadcastTo(b.Scalar(ir.F64, 0), []int{3})))
		}, []any{[]float64{0, -1, nan}, []bool{true, false, true}},
			[]any{[]float64{0, 9, nan}, []float64{5, -1, nan}, []bool{false, true, false}, []bool{false, false, true},
				[]float64{0, 0, 0}}},
		{"casts", func(b *ir.Builder) {
			x, i := in(b, ir.F64, 4), in(b, ir.Int64, 2)
			b.Output(b.Cast(ir.Int, x), b.Cast(ir.Bool, x), b.Cast(ir.Uint8, b.Unary(ir.Abs, x)), b.Cast(ir.F32, x),
				b.Cast(ir.Uint8, i), b.Cast(ir.Int32, i),
				b.Cast(ir.F64, b.Cast(ir.Bool, i)), b.Transpose(i, 0))
		}, []any{[]float64{-1.75, 0, 2.5, 0.1}, []int64{1<<62 + 257, 0}},
			[]any{[]int{-1, 0, 2, 0}, []bool{true, false, true, true}, []uint8{1, 0, 2, 0}, []float32{-1.75, 0, 2.5, 0.1},
				[]uint8{1, 0}, []int32{257, 0},
				[]float64{1, 0}, []int64{1<<62 + 257, 0}}},
		{"comparison of integers", func(b *ir.Builder) {
			x, y := in(b, ir.Int32, 3), in(b, ir.Int32, 3)
			b.Output(b.Binary(ir.Lt, x, y), b.Compare(ir.Ge, ir.Int32, x, y))
		}, []any{[]int32{1, 2, 3}, []int32{2, 2, 2}}, []any{[]bool{true, false, false}, []int32{0, 1, 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, round := range []bool{false, true} {
				got := evaluated(t, round, c.build, c.inputs...)
				for i, want := range c.want {
					if fmt.Sprint(got[i]) != fmt.Sprint(want) || reflect.TypeOf(got[i]) != reflect.TypeOf(want) {
						t.Errorf("output %d: %T %v, want %T %v", i, got[i], got[i], want, want)
					}
				}
			}
		})
	}
}

// Eval keeps float64 between the nodes of a float32 graph, EvalRounded does not; a cast rounds in both.
func TestRounding(t *testing.T) {
	build := func(b *ir.Builder) {
		x := in(b, ir.F32, 1)
		third := b.BinaryS(ir.Div, x, 3)
		b.Output(b.BinaryS(ir.Mul, b.Binary(ir.Sub, third, b.Cast(ir.F32, b.Cast(ir.F64, third))), 0x1p30),
			b.Cast(ir.F64, third), b.Cast(ir.F64, b.Cast(ir.F32, b.Cast(ir.F64, third))))
	}
	single := float64(float32(1) / 3)
	exact := evaluated(t, false, build, []float32{1})
	if got := exact[1].([]float64)[0]; got != 1./3 {
		t.Errorf("exact: %v, want 1/3 in float64", got)
	}
	if got := exact[2].([]float64)[0]; got != single {
		t.Errorf("exact, cast to f32: %v, want %v", got, single)
	}
	if got, want := exact[0].([]float32)[0], float32((1./3-single)*0x1p30); got != want {
		t.Errorf("exact difference: %v, want %v", got, want)
	}
	rounded := evaluated(t, true, build, []float32{1})
	if got := rounded[1].([]float64)[0]; got != single {
		t.Errorf("rounded: %v, want %v", got, single)
	}
	if got := rounded[0].([]float32)[0]; got != 0 {
		t.Errorf("rounded difference: %v, want 0", got)
	}
}

// EvalRounded gives the bits of arithmetic in float32.
func TestRoundedIsFloat32(t *testing.T) {
	x, y := make([]float32, 500), make([]float32, 500)
	for i := range x {
		x[i] = float32(math.Sin(float64(i))) * float32(math.Exp2(float64(i%40-20)))
		y[i] = float32(math.Cos(float64(i*i))) * float32(math.Exp2(float64(i%23-11)))
	}
	got := evaluated(t, true, func(b *ir.Builder) {
		x, y := in(b, ir.F32, 500), in(b, ir.F32, 500)
		for _, op := range []ir.Op{ir.Add, ir.Sub, ir.Mul, ir.Div} {
			b.Output(b.Binary(op, x, y))
		}
		b.Output(b.Unary(ir.Sqrt, b.Unary(ir.Abs, x)))
	}, x, y)
	for i := range x {
		root := float32(math.Sqrt(math.Abs(float64(x[i]))))
		for k, want := range []float32{x[i] + y[i], x[i] - y[i], x[i] * y[i], x[i] / y[i], root} {
			if have := got[k].([]float32)[i]; have != want {
				t.Fatalf("output %d of %v and %v: %v, want %v", k, x[i], y[i], have, want)
			}
		}
	}
}

// Noise is the kernels', by element, run number and draw.
func TestNoise(t *testing.T) {
	got := evaluated(t, false, func(b *ir.Builder) {
		run := in(b, ir.Int64)
		for _, dt := range []ir.DType{ir.F32, ir.F64} {
			b.Output(b.Random(ir.Normal, dt, []int{3, 5}, ir.Rand{Seed: 8, Draw: 9}, run),
				b.Random(ir.Uniform, dt, []int{15}, ir.Rand{Seed: 8, Draw: 9}, run))
		}
	}, []int64{-3})
	run := int64(-3)
	n32, u32, n64, u64 := make([]float32, 15), make([]float32, 15), make([]float64, 15), make([]float64, 15)
	kernels.Normal(n32, 8, 9, uint64(run), 0)
	kernels.Uniform(u32, 8, 9, uint64(run), 0)
	kernels.Normal(n64, 8, 9, uint64(run), 0)
	kernels.Uniform(u64, 8, 9, uint64(run), 0)
	if want := []any{n32, u32, n64, u64}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

type broken struct{ how string }

func (k broken) String() string { return "broken by " + k.how }

func (k broken) Run(out any, in []any) error {
	if k.how == "panic" {
		panic("out of luck")
	}
	return fmt.Errorf("no luck")
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(b *ir.Builder)
		feed  any
		want  []string
	}{
		{"no value", func(b *ir.Builder) { b.Output(in(b, ir.F32, 2)) }, nil, []string{"%0 input", `"x0"`, "no value",
			"f32 [2]"}},
		{"wrong type", func(b *ir.Builder) { b.Output(in(b, ir.F32, 2)) }, []float64{1, 2},
			[]string{`"x0"`, "[]float64", "f32 [2]"}},
		{"wrong length", func(b *ir.Builder) { b.Output(in(b, ir.F32, 2)) }, []float32{1},
			[]string{`"x0"`, "1 elements", "f32 [2]"}},
		{"not a slice", func(b *ir.Builder) { b.Output(in(b, ir.F32)) }, float32(1), []string{`"x0"`, "float32"}},
		{"kernel fails", func(b *ir.Builder) { b.Output(b.Custom(broken{"error"}, ir.F32, []int{2}, in(b, ir.F32, 2))) },
			[]float32{1, 2}, []string{"%1 custom", "broken by error", "no luck"}},
		{"kernel panics", func(b *ir.Builder) { b.Output(b.Custom(broken{"panic"}, ir.F32, []int{2}, in(b, ir.F32, 2))) },
			[]float32{1, 2}, []string{"%1 custom", "broken by panic", "out of luck"}},
		{"bad graph", func(b *ir.Builder) { b.Output(in(b, ir.F32, 2)); b.G.Outputs[0] = 7 }, []float32{1, 2},
			[]string{"output"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := ir.NewBuilder()
			c.build(b)
			out, err := ref.Eval(b.G, func(ir.ID) any { return c.feed })
			if err == nil {
				t.Fatalf("no error, but %v", out)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q, want %q in it", err, w)
				}
			}
		})
	}
}

// A machine's updates are the optimiser's steps on the gradients of the parameters as they were.
func TestMachine(t *testing.T) {
	b := ir.NewBuilder()
	w := b.Input(ir.F64, []int{2}, ir.InputAttr{Name: "w", Resident: true})
	x := b.Input(ir.F64, []int{2}, ir.InputAttr{Name: "x"})
	loss := b.Reduce(ir.ReduceSum, b.Binary(ir.Mul, w, x), 0)
	b.G.Updates = []ir.Update{{Optimizer: kernels.Optimizer{Method: kernels.Momentum, Rate: 0.5, Momentum: 0.5,
		ClipNorm: 1e3}, Params: []ir.ID{w}, Grads: []ir.ID{x}, Loss: loss}}
	b.Output(loss)
	m, err := ref.NewMachine(b.G, false)
	if err != nil {
		t.Fatal(err)
	}
	start := []float64{10, 20}
	step := func(x1, x2, wantLoss float64, want ...float64) {
		t.Helper()
		out, err := m.Run(func(id ir.ID) any {
			if id == w {
				return start
			}
			return []float64{x1, x2}
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := out[0].([]float64)[0]; !check.Within(got, wantLoss, 0) {
			t.Errorf("loss %v, want %v", got, wantLoss)
		}
		check.Close(t, "w", m.Resident(w).([]float64), want, 0)
	}
	step(2, 0, 20, 9, 20)                      // velocity (2, 0)
	step(2, 4, 98, 7.5, 18)                    // velocity (3, 4)
	step(math.Inf(1), 1, math.Inf(1), 7.5, 18) // skipped
	if i := m.Info(0); !i.Skipped {
		t.Errorf("info %+v, want it skipped", i)
	}
	m.SetRate(0, 0.25)
	step(0.5, 0, 3.75, 7, 17.5) // velocity (2, 2)
	if i := m.Info(0); i.Skipped || i.Clipped || i.GradNorm != 0.5 || i.Loss != 3.75 {
		t.Errorf("info %+v", i)
	}
	if start[0] != 10 || start[1] != 20 {
		t.Errorf("the fed slice changed: %v", start)
	}
}

func TestMachineErrors(t *testing.T) {
	build := func(o any, dt ir.DType) *ir.Graph {
		b := ir.NewBuilder()
		w := b.Input(ir.F64, []int{2}, ir.InputAttr{Name: "w", Resident: true})
		v := b.Input(dt, []int{2}, ir.InputAttr{Name: "v", Resident: true})
		b.G.Updates = []ir.Update{{Optimizer: o, Params: []ir.ID{w, v}, Grads: []ir.ID{w, v}, Loss: -1}}
		return b.G
	}
	for _, c := range []struct {
		g    *ir.Graph
		want string
	}{
		{build(nil, ir.F64), "kernels.Optimizer"},
		{build(kernels.Optimizer{Rate: -1}, ir.F64), "Rate = -1"},
		{build(kernels.Optimizer{}, ir.F32), "f32"},
	} {
		if _, err := ref.NewMachine(c.g, false); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q in it", err, c.want)
		}
	}
}
