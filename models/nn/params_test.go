package nn

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func newNet(t testing.TB, c MLPConfig) (*G.ExprGraph, *MLP) {
	t.Helper()
	g := G.NewGraph()
	m, err := NewMLP(g, c)
	if err != nil {
		t.Fatal(err)
	}
	return g, m
}

func TestParams(t *testing.T) {
	_, m := newNet(t, MLPConfig{Name: "energy", Sizes: []int{2, 3, 1}})
	p := m.Params()
	if want := []string{"energy/0/w", "energy/0/b", "energy/1/w", "energy/1/b"}; !slices.Equal(p.Names(), want) {
		t.Errorf("names %q", p.Names())
	}
	for i, want := range []tensor.Shape{{2, 3}, {3}, {3, 1}, {1}} {
		if got := p[i].Node.Shape(); !got.Eq(want) || p[i].Node.Name() != p[i].Name || p[i].Node.Dtype() != tensor.Float32 {
			t.Errorf("%s: shape %v, type %v, want %v, float32", p[i].Name, got, p[i].Node.Dtype(), want)
		}
	}
	if p.Size() != 6+3+3+1 {
		t.Errorf("size %d", p.Size())
	}
	if p.Get("energy/1/w").Node != p[2].Node || p.Get("energy/2/w").Node != nil {
		t.Error("Get")
	}
	values := Values[float32](p)
	if err := p.Set("energy/0/b", []float64{1, 2, 3}); err != nil || !slices.Equal(values[1], []float32{1, 2, 3}) {
		t.Errorf("%v: %v", err, values[1])
	}
	for want, err := range map[string]error{
		`no parameter "x", want one of ["energy/0/w"`:   p.Set("x", nil),
		"energy/0/b: 2 values, want the 3 of shape (3)": p.Set("energy/0/b", []float64{1, 2}),
	} {
		says(t, want, err, want)
	}
	defer func() {
		if s, ok := recover().(string); !ok || !strings.Contains(s, "energy/0/w: the value holds []float32, want float64") {
			t.Errorf("panic %q", s)
		}
	}()
	Values[float64](p)
}

// An update in place is seen by the next run, in every graph that shares the parameters: Adam on a small net lowers the
// loss, and the net in the other graph predicts what the trained one does.
func TestUpdateInPlace(t *testing.T) {
	g, m := newNet(t, MLPConfig{Name: "f", Sizes: []int{1, 8, 1}, Activation: Tanh, Dtype: tensor.Float64, Seed: 3})
	x := input(g, tensor.Float64, "x", tensor.Shape{5, 1}, []float64{-1, -0.5, 0, 0.5, 1})
	target := input(g, tensor.Float64, "y", tensor.Shape{5, 1}, []float64{1, 0.25, 0, 0.25, 1})
	loss := G.Must(G.Mean(G.Must(G.Square(G.Must(G.Sub(G.Must(m.Forward(x)), target))))))
	grads, err := autodiff.Gradients(loss, m.Params().Nodes()...)
	if err != nil {
		t.Fatal(err)
	}
	read := make([]G.Value, len(grads)+1)
	G.Read(loss, &read[0])
	for i, d := range grads {
		G.Read(d, &read[i+1])
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	adam, state := kernels.Optimizer{Rate: 0.02}, kernels.OptimizerState[float64]{}
	var losses []float64
	for range 200 {
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		losses = append(losses, floats(t, read[:1])[0][0])
		values, err := Slices[float64](read[1:])
		if err != nil {
			t.Fatal(err)
		}
		kernels.OptimizerStep(adam, &state, Values[float64](m.Params()), values)
		vm.Reset()
	}
	if !(losses[199] < 0.01*losses[0]) {
		t.Errorf("loss went from %v to %v", losses[0], losses[199])
	}

	g2 := G.NewGraph()
	shared, err := m.Share(g2)
	if err != nil {
		t.Fatal(err)
	}
	y := G.Must(shared.Forward(input(g2, tensor.Float64, "x", tensor.Shape{2, 1}, []float64{-1, 0.5})))
	got := runAll(t, g2, G.Nodes{y})[0]
	want := naive([]int{1, 8, 1}, Tanh, Identity, Values[float64](m.Params()), []float64{-1, 0.5})
	check.Close(t, "shared", got, want, 1e-14)
	Values[float64](shared.Params())[0][0] = 42
	if Values[float64](m.Params())[0][0] != 42 {
		t.Error("the memory is not shared")
	}
}

// Machines that share parameters run at the same time, gradients included, and each gives the bits that it gives alone.
// The race detector (make race) sees a write to the parameters.
func TestSharedMachinesRunTogether(t *testing.T) {
	_, m := newNet(t, MLPConfig{Name: "f", Sizes: []int{2, 33, 17, 1}, Activation: Softplus, Seed: 3})
	type machine struct {
		vm   G.VM
		read []G.Value
		want [][]float64
	}
	machines := make([]*machine, 4)
	for i := range machines {
		g := G.NewGraph()
		shared, err := m.Share(g)
		if err != nil {
			t.Fatal(err)
		}
		rows := 5 + i
		y := G.Must(shared.Forward(input(g, tensor.Float32, "x", tensor.Shape{rows, 2}, points(2*rows))))
		grads, err := autodiff.Gradients(G.Must(G.Sum(G.Must(G.Square(y)))), shared.Params().Nodes()...)
		if err != nil {
			t.Fatal(err)
		}
		nodes := append(G.Nodes{y}, grads...)
		k := &machine{read: make([]G.Value, len(nodes))}
		for j, n := range nodes {
			G.Read(n, &k.read[j])
		}
		k.vm = G.NewTapeMachine(g)
		defer k.vm.Close()
		if err := k.vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		k.want = floats(t, k.read)
		k.vm.Reset()
		machines[i] = k
	}
	var wg sync.WaitGroup
	for i, k := range machines {
		wg.Go(func() {
			for range 50 {
				if err := k.vm.RunAll(); err != nil {
					t.Error(err)
					return
				}
				for j, got := range floats(t, k.read) {
					if !slices.Equal(got, k.want[j]) {
						t.Errorf("machine %d: value %d differs from that of the machine alone", i, j)
						return
					}
				}
				k.vm.Reset()
			}
		})
	}
	wg.Wait()
}

func TestSlice(t *testing.T) {
	for _, c := range []struct {
		v    G.Value
		want []float64
	}{
		{G.NewF64(3), []float64{3}},
		{tensor.New(tensor.WithBacking([]float64{1, 2}), tensor.WithShape(2, 1)), []float64{1, 2}},
		{tensor.New(tensor.FromScalar(5.0)), []float64{5}},
	} {
		if got, err := Slice[float64](c.v); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("got %v, %v, want %v", got, err, c.want)
		}
	}
	turned := tensor.New(tensor.WithBacking([]float64{1, 2, 3, 4, 5, 6}), tensor.WithShape(2, 3))
	if err := turned.T(); err != nil {
		t.Fatal(err)
	}
	if got, err := Slice[float64](turned); err != nil || !slices.Equal(got, []float64{1, 4, 2, 5, 3, 6}) {
		t.Errorf("transposed: %v, %v", got, err)
	}
	if _, err := Slices[float32]([]G.Value{nil}); err == nil || !strings.Contains(err.Error(), "value 0: there is no value") {
		t.Errorf("got %v", err)
	}
}

func TestInit(t *testing.T) {
	const in, out = 64, 96
	n := float64(in * out)
	for name, c := range map[string]struct {
		init  Init
		sigma float64 // of the weights
		bound float64 // 0: none
	}{
		"TorchLinear":   {TorchLinear, 1 / math.Sqrt(3*in), 1 / math.Sqrt(in)},
		"GlorotUniform": {GlorotUniform, math.Sqrt(2. / (in + out)), math.Sqrt(6. / (in + out))},
		"GlorotNormal":  {GlorotNormal, math.Sqrt(2. / (in + out)), 0},
		"HeUniform":     {HeUniform, math.Sqrt(2. / in), math.Sqrt(6. / in)},
		"HeNormal":      {HeNormal, math.Sqrt(2. / in), 0},
	} {
		w := check.Poison(make([]float64, in*out))
		c.init(w, in, out, 7, 1)
		mean, square, largest := 0.0, 0.0, 0.0
		for _, v := range w {
			mean, square, largest = mean+v/n, square+v*v/n, max(largest, math.Abs(v))
		}
		// Five standard errors: sigma/sqrt(n) of the mean, at most sigma/sqrt(2n) of the standard deviation.
		if !(math.Abs(mean) < 5*c.sigma/math.Sqrt(n)) || !(math.Abs(math.Sqrt(square)-c.sigma) < 5*c.sigma/math.Sqrt(2*n)) {
			t.Errorf("%s: mean %v, sigma %v, want 0, %v", name, mean, math.Sqrt(square), c.sigma)
		}
		if c.bound > 0 && !(largest <= c.bound && largest > 0.99*c.bound) {
			t.Errorf("%s: largest %v, want just below %v", name, largest, c.bound)
		}
	}
	params := func(c MLPConfig) [][]float64 {
		c.Sizes = []int{3, 5, 2}
		_, m := newNet(t, c)
		values := make([]G.Value, len(m.Params()))
		for i, p := range m.Params() {
			values[i] = p.Node.Value()
		}
		return floats(t, values)
	}
	base := params(MLPConfig{Seed: 1, Dtype: tensor.Float64})
	for i, w := range base {
		bound := []float64{1 / math.Sqrt(3), 1 / math.Sqrt(3), 1 / math.Sqrt(5), 1 / math.Sqrt(5)}[i]
		if slices.Max(w) > bound || slices.Min(w) < -bound || slices.Max(w) == slices.Min(w) && len(w) > 1 {
			t.Errorf("parameter %d: %v, want U(+-%v)", i, w, bound)
		}
	}
	if base[0][0] == base[2][0]*math.Sqrt(5)/math.Sqrt(3) || slices.Equal(base[0][:5], base[1]) {
		t.Error("parameters start alike")
	}
	single := params(MLPConfig{Seed: 1})
	for i := range base {
		if !slices.Equal(single[i], rounded(base[i], tensor.Float32)) {
			t.Errorf("parameter %d: float32 is not float64 rounded", i)
		}
	}
	if other := params(MLPConfig{Seed: 2, Dtype: tensor.Float64}); slices.Equal(other[0], base[0]) {
		t.Error("another seed, the same start")
	}
	if other := params(MLPConfig{Seed: 1, Name: "other", Dtype: tensor.Float64}); slices.Equal(other[0], base[0]) {
		t.Error("another name, the same start")
	}
	if again := params(MLPConfig{Seed: 1, Dtype: tensor.Float64}); !slices.Equal(again[2], base[2]) {
		t.Error("the same seed and name, another start")
	}
	plain := params(MLPConfig{Init: Func(func(i, j int) float64 { return float64(10*i + j) }), Bias: Constant(3)})
	if !slices.Equal(plain[0][:7], []float64{0, 1, 2, 3, 4, 10, 11}) || !slices.Equal(plain[3], []float64{3, 3}) {
		t.Errorf("got %v", plain)
	}
	if zero := params(MLPConfig{Init: Zeros, Bias: Zeros}); slices.Max(zero[0]) != 0 || slices.Min(zero[1]) != 0 {
		t.Errorf("got %v", zero)
	}
	g := G.NewGraph()
	l, err := NewLinear(g, LinearConfig{Name: "l", In: 2, Out: 3, NoBias: true, Init: Constant(1)})
	if err != nil || l.B != nil || len(l.Params()) != 1 {
		t.Fatalf("%+v, %v", l, err)
	}
	y := G.Must(l.Forward(input(g, tensor.Float32, "x", tensor.Shape{1, 2}, []float64{1, 2})))
	if got := runAll(t, g, G.Nodes{y})[0]; !slices.Equal(got, []float64{3, 3, 3}) {
		t.Errorf("got %v", got)
	}
}
