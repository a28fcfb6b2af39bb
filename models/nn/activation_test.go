package nn

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/vec"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// reference holds values and derivatives to order 3, made with mpmath at 60 digits for arguments from -1e4 to 1e4.
func reference(t *testing.T) (x []float64, values map[Activation][][]float64) {
	raw, err := os.ReadFile("testdata/activation.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		X                            []float64
		Softplus, ELU, Tanh, Sigmoid [][]float64
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	relu := [][]float64{{}, {}, {}, {}}
	for _, x := range file.X {
		relu[0], relu[1] = append(relu[0], max(x, 0)), append(relu[1], 0)
		if x > 0 {
			relu[1][len(relu[1])-1] = 1
		}
		relu[2], relu[3] = append(relu[2], 0), append(relu[3], 0)
	}
	return file.X, map[Activation][][]float64{Softplus: file.Softplus, ReLU: relu, ELU: file.ELU, Tanh: file.Tanh,
		Sigmoid: file.Sigmoid}
}

func TestActivationReference(t *testing.T) {
	// Eight units in the last place: a few for the exponential, a few for the formula, in which 1-6s' cancels to a half
	// or less. Where results are subnormal, one of those.
	t.Run("float32", func(t *testing.T) { testReference[float32](t, 5e-7, 1.5e-45) })
	t.Run("float64", func(t *testing.T) { testReference[float64](t, 2e-15, 5e-324) })
}

func testReference[T vec.Float](t *testing.T, tol, least float64) {
	at, values := reference(t)
	x := check.Copy[T](at)
	for f, orders := range values {
		for order, want := range orders {
			out, verify := check.Guarded[T](t, fmt.Sprint(f, order), len(x))
			activate(f, order, out, x, nil)
			verify()
			for i, w := range want {
				if got := float64(out[i]); !(math.Abs(got-w) <= tol*math.Abs(w)+least) {
					t.Errorf("%v order %d at %v: got %v, want %v", f, order, x[i], got, w)
				}
			}
		}
	}
}

// Derivatives are the slopes of the order below, on a grid that meets no kink.
func TestActivationSlopes(t *testing.T) {
	for f := Softplus; f <= Sigmoid; f++ {
		for order := range maxOrder {
			for x := -6.03; x < 6; x += 0.11 {
				y := make([]float64, 1)
				at := func(x []float64) float64 { activate(f, order, y, x, nil); return y[0] }
				slope := check.Gradient(at, []float64{x}, 1e-3)
				activate(f, order+1, y, []float64{x}, nil)
				// The four-point rule's error: 1e-12 h^4 times the fifth derivative, and rounding 1e-16/h.
				if !(math.Abs(y[0]-slope[0]) <= 1e-11) {
					t.Errorf("%v order %d at %v: got %v, slope %v", f, order+1, x, y[0], slope[0])
				}
			}
		}
	}
}

func TestActivationLimits(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testLimits[float32](t) })
	t.Run("float64", func(t *testing.T) { testLimits[float64](t) })
}

func testLimits[T vec.Float](t *testing.T) {
	inf, nan := T(math.Inf(1)), T(math.NaN())
	atInf := map[Activation][2]T{Softplus: {0, inf}, ReLU: {0, inf}, ELU: {-1, inf}, Tanh: {-1, 1}, Sigmoid: {0, 1}}
	slopes := map[Activation][2]T{Softplus: {0, 1}, ReLU: {0, 1}, ELU: {0, 1}, Tanh: {0, 0}, Sigmoid: {0, 0}}
	for f := Softplus; f <= Sigmoid; f++ {
		for order := range maxOrder + 1 {
			// NaN stays NaN; nothing else gives NaN, up to the largest numbers.
			x := []T{nan, -inf, inf, -math.MaxFloat32, math.MaxFloat32, 0, T(math.Copysign(0, -1)), 1e-40, -1e-40}
			y := make([]T, len(x))
			activate(f, order, y, x, nil)
			if y[0] == y[0] || slices.ContainsFunc(y[1:], func(v T) bool { return v != v }) {
				t.Errorf("%v order %d at %v: %v", f, order, x, y)
			}
			want := [2]T{}
			switch order {
			case 0:
				want = atInf[f]
			case 1:
				want = slopes[f]
			}
			if y[1] != want[0] || y[2] != want[1] {
				t.Errorf("%v order %d at -Inf, +Inf: %v, want %v", f, order, y[1:3], want)
			}
		}
	}
	// At the kinks: as PyTorch has it.
	zero := []T{0}
	for f, want := range map[Activation]T{ReLU: 0, ELU: 1} {
		y := make([]T, 1)
		if activate(f, 1, y, zero, nil); y[0] != want {
			t.Errorf("%v' at 0: %v, want %v", f, y[0], want)
		}
	}
}

func TestActivationParallel(t *testing.T) {
	defer vec.SetThreads(vec.Threads())
	const n = 10007
	x, g := make([]float32, n), make([]float32, n)
	for i := range x {
		x[i], g[i] = float32(9*math.Sin(float64(i))), float32(math.Cos(float64(i)))
	}
	factors := [][]float32{g, x, g}
	for f := Softplus; f <= Sigmoid; f++ {
		for order := range maxOrder + 1 {
			var want []float32
			for _, threads := range []int{1, 2, 8} {
				vec.SetThreads(threads)
				got := check.Poison(make([]float32, n))
				activate(f, order, got, x, factors[:order])
				if want == nil {
					want = got
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%v order %d: other bits with %d threads", f, order, threads)
				}
			}
			check.NoAllocs(t, fmt.Sprint(f, order), func() { activate(f, order, want, x, factors[:order]) })
		}
	}
}

// Through the graph: values and gradients of order 1, 2 and 3, by package autodiff, against the reference and against
// finite differences of the order below, for several shapes and on both machines.
func TestActivationGraph(t *testing.T) {
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		for _, shape := range []tensor.Shape{{7}, {1}, {1, 1}, {1, 5}, {5, 1}, {3, 4}, {2, 3, 2}} {
			for f := Identity; f <= Sigmoid; f++ {
				t.Run(fmt.Sprintf("%v%v%v", f, shape, dt), func(t *testing.T) { testGraph(t, f, dt, shape) })
			}
		}
	}
}

func testGraph(t *testing.T, f Activation, dt tensor.Dtype, shape tensor.Shape) {
	n := shape.TotalSize()
	at := make([]float64, n)
	for i := range at {
		at[i] = 3 * math.Sin(float64(2*i+1))
	}
	// Chain: s0 = sum f(x), then the sum of the gradient with weights (i+1), and so on.
	g := G.NewGraph()
	x := input(g, dt, "x", shape, at)
	y, err := f.Apply(x)
	if err != nil {
		t.Fatal(err)
	}
	nodes := G.Nodes{y}
	for order := 1; order <= maxOrder; order++ {
		weights := make([]float64, n)
		for i := range weights {
			weights[i] = float64(i + 1)
		}
		w := input(g, dt, fmt.Sprint("w", order), shape, weights)
		total := G.Must(G.Sum(G.Must(G.HadamardProd(nodes[order-1], w))))
		grads, err := autodiff.Gradients(total, x)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, grads[0])
	}
	values := runAll(t, g, nodes)
	want := make([]float64, n)
	tol := 1e-14 // a few units in the last place, of sums in another order
	if dt == tensor.Float32 {
		tol = 1e-6
	}
	for order, got := range values {
		seed := make([]float64, n)
		for i := range seed {
			seed[i] = math.Pow(float64(i+1), float64(order))
		}
		switch {
		case f != Identity:
			activate(f, order, want, rounded(at, dt), [][]float64{seed})
		case order == 0:
			copy(want, rounded(at, dt))
		case order == 1:
			copy(want, seed)
		default:
			clear(want)
		}
		check.Close(t, fmt.Sprint("order ", order), got, want, tol)
	}
}

// input adds a filled input node.
func input(g *G.ExprGraph, dt tensor.Dtype, name string, shape tensor.Shape, values []float64) *G.Node {
	var backing any = slices.Clone(values)
	if dt == tensor.Float32 {
		backing = check.Copy[float32](values)
	}
	v := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(backing))
	return G.NewTensor(g, dt, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(v))
}

func rounded(x []float64, dt tensor.Dtype) []float64 {
	if dt == tensor.Float32 {
		return check.Copy[float64](check.Copy[float32](x))
	}
	return x
}

// runAll runs the graph on the TapeMachine and returns the nodes' values in float64.
func runAll(t *testing.T, g *G.ExprGraph, nodes G.Nodes) [][]float64 {
	t.Helper()
	read := make([]G.Value, len(nodes))
	for i, n := range nodes {
		G.Read(n, &read[i])
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	return floats(t, read)
}

func floats(t *testing.T, values []G.Value) [][]float64 {
	t.Helper()
	out := make([][]float64, len(values))
	for i, v := range values {
		switch data := v.Data().(type) {
		case []float32:
			out[i] = check.Copy[float64](data)
		case []float64:
			out[i] = slices.Clone(data)
		case float32:
			out[i] = []float64{float64(data)}
		case float64:
			out[i] = []float64{data}
		default:
			t.Fatalf("a %T", data)
		}
	}
	return out
}

func TestActivationErrors(t *testing.T) {
	g := G.NewGraph()
	x := input(g, tensor.Float64, "x", tensor.Shape{2}, []float64{1, 2})
	scalar := G.NewScalar(g, tensor.Float64, G.WithName("s"))
	ints := G.NewVector(g, tensor.Int, G.WithShape(2), G.WithName("i"))
	for _, c := range []struct {
		f    Activation
		x    *G.Node
		want string
	}{
		{Softplus, nil, "x is nil"},
		{Softplus, scalar, "x is a scalar"},
		{Tanh, ints, "holds int"},
		{99, x, "Activation(99), want one of"},
	} {
		if _, err := c.f.Apply(c.x); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v of %v: got %v, want %q", c.f, c.x, err, c.want)
		}
	}
	for f := Identity; f <= Sigmoid; f++ {
		text, err := f.MarshalText()
		var back Activation
		if err != nil || back.UnmarshalText(text) != nil || back != f {
			t.Errorf("%v: %s, %v", f, text, err)
		}
	}
	if _, err := ParseActivation("gelu"); err == nil || !strings.Contains(err.Error(), `activation "gelu", want one of`) {
		t.Errorf("got %v", err)
	}
	// The fourth derivative is refused, not wrong.
	y := G.Must(Tanh.Apply(x))
	for order := 1; order <= 4; order++ {
		grads, err := autodiff.Gradients(G.Must(G.Sum(y)), x)
		if order == 4 {
			if err == nil || !strings.Contains(err.Error(), "derivatives end at order 3") {
				t.Errorf("order 4: %v", err)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		y = grads[0]
	}
}
