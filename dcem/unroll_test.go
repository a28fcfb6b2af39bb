package dcem

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// bowl is the test objective sum_d (a_d x_d - b_d)^2 + 0.3 sin(3 x_d) with parameters a, b of shape (1, D), and
// problem-dependent offsets.
func bowl(a, b *G.Node) Objective {
	return func(x *G.Node) (*G.Node, error) {
		s := x.Shape()
		flat := G.Must(G.Reshape(x, tensor.Shape{s[0] * s[1], s[2]}))
		r := G.Must(G.BroadcastSub(G.Must(G.BroadcastHadamardProd(flat, a, nil, []byte{0})), b, nil, []byte{0}))
		wave := G.Must(G.Sin(G.Must(G.Mul(flat, number(x, 3)))))
		cost := G.Must(G.Add(G.Must(G.Square(r)), G.Must(G.Mul(wave, number(x, 0.3)))))
		return G.Reshape(G.Must(G.Sum(cost, 1)), tensor.Shape{s[0], s[1]})
	}
}

// number is a constant of x's element type.
func number(x *G.Node, v float64) *G.Node {
	if x.Dtype() == tensor.Float32 {
		return G.NewConstant(float32(v))
	}
	return G.NewConstant(v)
}

// solveOf is one unrolled solve of the bowl as a function of theta = (mu0, sigma0, a, b).
type solveOf struct {
	c      Config
	theta  []float64
	inputs G.Nodes
	u      *Unrolled
	kept   []Iterate
	answer *G.Node
	loss   *G.Node
	vm     G.VM
	grads  G.Nodes
}

func newSolve(t *testing.T, c Config, theta []float64, gradients string) *solveOf {
	t.Helper()
	s := &solveOf{c: c, theta: theta}
	g := G.NewGraph()
	if c.Dtype == (tensor.Dtype{}) {
		c.Dtype = tensor.Float64
	}
	bd := c.Batch * c.Dim
	input := func(name string, v []float64, rows int) *G.Node {
		n := G.NewMatrix(g, c.Dtype, G.WithShape(rows, c.Dim), G.WithName(name), G.WithValue(dense(c.Dtype, v, rows, c.Dim)))
		s.inputs = append(s.inputs, n)
		return n
	}
	c.MuNode = input("mu", theta[:bd], c.Batch)
	c.SigmaNode = input("sigma", theta[bd:2*bd], c.Batch)
	a := input("a", theta[2*bd:2*bd+c.Dim], 1)
	b := input("b", theta[2*bd+c.Dim:], 1)
	var err error
	if s.u, err = Unroll(g, bowl(a, b), c); err != nil {
		t.Fatal(err)
	}
	if s.kept, err = s.u.Keep(); err != nil {
		t.Fatal(err)
	}
	if s.answer, err = Keep(s.u.Answer); err != nil {
		t.Fatal(err)
	}
	s.loss = G.Must(G.Add(G.Must(G.Sum(G.Must(G.Square(s.u.Answer)))), G.Must(G.Sum(s.u.Sigma()))))
	switch gradients {
	case "":
		s.vm = bothMachines(t, g)
	case "gorgonia":
		if _, err := G.Grad(s.loss, s.inputs...); err != nil {
			t.Fatal(err)
		}
		s.vm = G.NewTapeMachine(g, G.BindDualValues(s.inputs...))
	case "autodiff":
		if s.grads, err = autodiff.Gradients(s.loss, s.inputs...); err != nil {
			t.Fatal(err)
		}
		s.vm = bothMachines(t, g)
	}
	if err := s.vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.vm.Close() })
	return s
}

func (s *solveOf) gradient(t *testing.T) (flat []float64) {
	t.Helper()
	for i, n := range s.inputs {
		if s.grads != nil {
			flat = append(flat, floats(t, s.grads[i].Value())...)
			continue
		}
		d, err := n.Grad()
		if err != nil {
			t.Fatal(err)
		}
		flat = append(flat, floats(t, d)...)
	}
	return flat
}

func start(c Config) []float64 {
	var theta []float64
	for i := range c.Batch * c.Dim {
		theta = append(theta, 0.4*math.Sin(float64(2*i+1)))
	}
	for i := range c.Batch * c.Dim {
		theta = append(theta, 0.5+0.1*math.Cos(float64(i)))
	}
	for i := range c.Dim {
		theta = append(theta, 1+0.2*float64(i))
	}
	for i := range c.Dim {
		theta = append(theta, 0.7-0.4*float64(i))
	}
	return theta
}

func TestUnrollGradients(t *testing.T) {
	for name, c := range map[string]Config{
		"plain":        {Batch: 2, Dim: 3, Samples: 12, Elites: 4, Iterations: 3},
		"one problem":  {Batch: 1, Dim: 1, Samples: 7, Elites: 3, Iterations: 4},
		"softmax k=1":  {Batch: 2, Dim: 2, Samples: 6, Elites: 1, Iterations: 2},
		"cold":         {Batch: 1, Dim: 2, Samples: 9, Elites: 2, Iterations: 3, Temperature: 0.3},
		"raw costs":    {Batch: 2, Dim: 2, Samples: 9, Elites: 4, Iterations: 3, RawCosts: true, Temperature: 2},
		"softmax":      {Batch: 2, Dim: 2, Samples: 9, Elites: 4, Iterations: 2, Relaxation: kernels.ConstrainedSoftmax},
		"hard":         {Batch: 2, Dim: 2, Samples: 9, Elites: 4, Iterations: 3, Hard: true},
		"bounded":      {Batch: 2, Dim: 2, Samples: 9, Elites: 4, Iterations: 2, Lower: []float64{-0.6}, Upper: []float64{0.7, 2}},
		"sigma floor":  {Batch: 1, Dim: 2, Samples: 9, Elites: 2, Iterations: 3, SigmaMin: 0.2},
		"k equals N":   {Batch: 1, Dim: 2, Samples: 5, Elites: 5, Iterations: 2},
		"last 2 of 3":  {Batch: 1, Dim: 2, Samples: 8, Elites: 3, Iterations: 3, Backprop: 2},
		"other seed 5": {Batch: 3, Dim: 2, Samples: 8, Elites: 3, Iterations: 2, Seed: 5, Draw: 77},
	} {
		t.Run(name, func(t *testing.T) {
			theta := start(c)
			bd := c.Batch * c.Dim
			got := newSolve(t, c, theta, "autodiff").gradient(t)
			fixed := 0 // elements at the start of theta that the gradient treats as constants
			if c.Backprop == 0 && !c.Hard {
				check.Close(t, "gorgonia.Grad", newSolve(t, c, theta, "gorgonia").gradient(t), got, 1e-13)
			}
			loss := func(theta []float64) float64 { return floats(t, newSolve(t, c, theta, "").loss.Value())[0] }
			if c.Backprop > 0 {
				fixed = 2 * bd
				first := newSolve(t, c, theta, "").kept[c.Iterations-c.Backprop-1]
				mu, sigma := floats(t, first.Mu.Value()), floats(t, first.Sigma.Value())
				last := c
				last.Iterations, last.Draw, last.Backprop = c.Backprop, c.Draw+uint64(c.Iterations-c.Backprop), 0
				loss = func(theta []float64) float64 {
					held := append(append(append([]float64{}, mu...), sigma...), theta[2*bd:]...)
					return floats(t, newSolve(t, last, held, "").loss.Value())[0]
				}
				for i, v := range got[:fixed] {
					if v != 0 {
						t.Errorf("gradient of element %d before the last iterations is %v, want 0", i, v)
					}
				}
			}
			// T nested refits amplify rounding by a few hundred: 1e-12/h at h = 1e-4.
			want := check.Gradient(loss, append([]float64{}, theta...), 1e-4)
			check.Close(t, "against finite differences", got[fixed:], want[fixed:], 3e-8)
		})
	}
}

func TestBackpropKeepsForwardBits(t *testing.T) {
	c := Config{Batch: 2, Dim: 2, Samples: 9, Elites: 4, Iterations: 4}
	full := newSolve(t, c, start(c), "")
	c.Backprop = 1
	last := newSolve(t, c, start(c), "")
	check.Close(t, "answer", floats(t, last.answer.Value()), floats(t, full.answer.Value()), 0)
	check.Close(t, "sigma", floats(t, last.kept[3].Sigma.Value()), floats(t, full.kept[3].Sigma.Value()), 0)
}

// As tau -> 0 the soft solve becomes vanilla CEM on the same noise.
func TestTemperatureToZeroIsHard(t *testing.T) {
	c := Config{Batch: 3, Dim: 2, Samples: 20, Elites: 5, Iterations: 4, Hard: true}
	hard := newSolve(t, c, start(c), "")
	c.Hard = false
	previous := math.Inf(1)
	for _, tau := range []float64{1, 0.1, 1e-2, 1e-3, 1e-5} {
		c.Temperature = tau
		soft := newSolve(t, c, start(c), "")
		d, _ := check.MaxDiff(floats(t, soft.answer.Value()), floats(t, hard.answer.Value()))
		t.Logf("tau %g: distance to vanilla CEM %.3g", tau, d)
		if !(d <= previous) {
			t.Errorf("tau = %v: distance %v, more than %v at the higher temperature", tau, d, previous)
		}
		previous = d
	}
	if !(previous <= 1e-12) {
		t.Errorf("at the lowest temperature the distance to vanilla CEM is %v, want at most 1e-12", previous)
	}
}

// Hard mode is vanilla CEM, written here in the plainest way on the same noise.
func TestHardIsVanillaCEM(t *testing.T) {
	c := Config{Batch: 2, Dim: 3, Samples: 15, Elites: 4, Iterations: 5, Hard: true, Seed: 3, Draw: 10}
	theta := start(c)
	s := newSolve(t, c, theta, "")
	bd := c.Batch * c.Dim
	mu, sigma := append([]float64{}, theta[:bd]...), append([]float64{}, theta[bd:2*bd]...)
	a, b := theta[2*bd:2*bd+c.Dim], theta[2*bd+c.Dim:]
	for it := range c.Iterations {
		eps := make([]float64, c.Batch*c.Samples*c.Dim)
		kernels.Normal(eps, c.Seed, c.Draw+uint64(it), 0, 0)
		mask := floats(t, s.kept[it].I.Value())
		for p := range c.Batch {
			x := make([][]float64, c.Samples)
			cost := make([]float64, c.Samples)
			order := make([]int, c.Samples)
			for n := range x {
				order[n] = n
				for d := range c.Dim {
					v := mu[p*c.Dim+d] + sigma[p*c.Dim+d]*eps[(p*c.Samples+n)*c.Dim+d]
					x[n] = append(x[n], v)
					r := v*a[d] - b[d]
					cost[n] += r*r + 0.3*math.Sin(3*v)
				}
			}
			sort.SliceStable(order, func(i, j int) bool { return cost[order[i]] < cost[order[j]] })
			for rank, n := range order {
				want := 0.0
				if rank < c.Elites {
					want = 1
				}
				if got := mask[p*c.Samples+n]; got != want {
					t.Fatalf("iteration %d, problem %d: sample %d has weight %v, want %v", it, p, n, got, want)
				}
			}
			for d := range c.Dim {
				m, v := 0.0, 0.0
				for _, n := range order[:c.Elites] {
					m += x[n][d]
				}
				m /= float64(c.Elites)
				for _, n := range order[:c.Elites] {
					v += (x[n][d] - m) * (x[n][d] - m)
				}
				mu[p*c.Dim+d], sigma[p*c.Dim+d] = m, math.Sqrt(v/float64(c.Elites))
			}
		}
		// The elites are the same; only the order of their sums differs.
		check.Close(t, fmt.Sprint("mu ", it), floats(t, s.kept[it].Mu.Value()), mu, 1e-14)
		check.Close(t, fmt.Sprint("sigma ", it), floats(t, s.kept[it].Sigma.Value()), sigma, 1e-14)
	}
}

// rooted is an objective with a hole: NaN where x_0 < 0 in problem 0, and nowhere finite in problem 1.
func rooted(w *G.Node) Objective {
	return func(x *G.Node) (*G.Node, error) {
		s := x.Shape()
		root := G.Must(G.Sqrt(G.Must(G.Slice(x, nil, nil, G.S(0)))))
		hole := make([]float64, s[0]*s[1])
		for i := range s[1] {
			hole[s[1]+i] = math.NaN()
		}
		shift := G.NewMatrix(x.Graph(), tensor.Float64, G.WithShape(s[0], s[1]), G.WithName("hole"), G.WithValue(dense(tensor.Float64, hole, s[0], s[1])))
		square := G.Must(G.Square(G.Must(G.Sub(G.Must(G.BroadcastHadamardProd(root, w, nil, []byte{0})), shift))))
		return G.Add(square, G.Must(G.Sum(G.Must(G.Square(x)), 2)))
	}
}

func TestNonFiniteCosts(t *testing.T) {
	g := G.NewGraph()
	mu := G.NewMatrix(g, tensor.Float64, G.WithShape(3, 2), G.WithName("mu"), G.WithValue(dense(tensor.Float64, []float64{0.2, 0.1, 0.5, 0.4, 3, 0.1}, 3, 2)))
	w := G.NewMatrix(g, tensor.Float64, G.WithShape(1, 20), G.WithName("w"), G.WithValue(tensor.Ones(tensor.Float64, 1, 20)))
	u, err := Unroll(g, rooted(w), Config{Batch: 3, Dim: 2, Samples: 20, Elites: 4, Iterations: 3, Dtype: tensor.Float64, MuNode: mu, Sigma: []float64{0.3}})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := u.Keep()
	if err != nil {
		t.Fatal(err)
	}
	loss := G.Must(G.Sum(G.Must(G.Square(u.Answer))))
	grads, err := autodiff.Gradients(loss, mu)
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	excluded := 0
	for i, it := range kept {
		f, weights := floats(t, it.F.Value()), floats(t, it.I.Value())
		for j, v := range f {
			bad := math.IsNaN(v) || math.IsInf(v, 0)
			if j < 20 && bad {
				excluded++
			}
			if bad && weights[j] != 0 {
				t.Errorf("iteration %d: cost %v has weight %v, want 0", i, v, weights[j])
			}
		}
		sum := 0.0
		for _, v := range weights[:20] {
			sum += v
		}
		check.Close(t, "sum of weights", []float64{sum}, []float64{4}, 1e-14)
		check.Close(t, "mu without finite costs", floats(t, it.Mu.Value())[2:4], []float64{0.5, 0.4}, 0)
		check.Close(t, "sigma without finite costs", floats(t, it.Sigma.Value())[2:4], []float64{0.3, 0.3}, 0)
	}
	if excluded == 0 {
		t.Fatal("no candidate of problem 0 had a non-finite cost: the test tests nothing")
	}
	d := floats(t, grads[0].Value())
	for i, v := range d {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("gradient of mu[%d] is %v", i, v)
		}
	}
	// A problem that never moved answers with its start.
	check.Close(t, "gradient of a kept problem", d[2:4], []float64{1, 0.8}, 1e-14)
	if u.LostGradients() == 0 {
		t.Error("no lost gradient counted, though the root's Jacobian is NaN left of 0")
	}
}

// An excluded sample sends a gradient of exactly 0 into the objective, whose own Jacobian may make NaN of it: that
// must show in the count, and the update rule must refuse the step.
func TestExcludedGradientsAreCounted(t *testing.T) {
	g := G.NewGraph()
	c := G.NewMatrix(g, tensor.Float64, G.WithShape(1, 1), G.WithName("c"), G.WithValue(dense(tensor.Float64, []float64{2}, 1, 1)))
	objective := func(x *G.Node) (*G.Node, error) { // -c log x + x^2, NaN left of 0
		f := G.Must(autodiff.Reshape(x, 1, 100))
		weight := G.Must(autodiff.Reshape(G.Must(Expand(c, 100)), 1, 100))
		return G.Sub(G.Must(G.Square(f)), G.Must(G.HadamardProd(weight, G.Must(G.Log(f)))))
	}
	u, err := Unroll(g, objective, Config{Dim: 1, Mu: []float64{0.5}, Dtype: tensor.Float64})
	if err != nil {
		t.Fatal(err)
	}
	grads, err := autodiff.Gradients(G.Must(G.Sum(u.Answer)), c)
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	d := floats(t, grads[0].Value())
	if !math.IsNaN(d[0]) {
		t.Errorf("the gradient of c is %v: this objective no longer shows what is counted", d[0])
	}
	if u.ExcludedGradients() == 0 {
		t.Error("no excluded sample counted")
	}
	param := []float64{2}
	var state kernels.OptimizerState[float64]
	if info := kernels.OptimizerStep(kernels.Optimizer{}, &state, [][]float64{param}, [][]float64{d}); !info.Skipped || param[0] != 2 {
		t.Errorf("the update was not skipped: %+v, parameter %v", info, param)
	}
}

func TestRunNumberMakesTheNoise(t *testing.T) {
	g := G.NewGraph()
	u, err := Unroll(g, func(x *G.Node) (*G.Node, error) { return G.Sum(G.Must(G.Square(x)), 2) }, Config{Dim: 3, Iterations: 2})
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	at := func(run int64) []float64 {
		if err := G.Let(u.Run, run); err != nil {
			t.Fatal(err)
		}
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		defer vm.Reset()
		return floats(t, u.Iterates[0].X.Value())
	}
	first, other, again := at(1), at(2), at(1)
	check.Close(t, "the same run number", again, first, 0)
	if d, _ := check.MaxDiff(other, first); d < 0.1 {
		t.Errorf("another run number gave noise within %v", d)
	}
	eps := make([]float32, len(first))
	kernels.Normal(eps, 0, 0, 1, 0)
	check.Close(t, "standard noise", first, check.Copy[float64](eps), 0)
}

func TestTwoSolvesInOneGraphKeepTheirStarts(t *testing.T) {
	g := G.NewGraph()
	f := func(x *G.Node) (*G.Node, error) { return G.Sum(G.Must(G.Square(x)), 2) }
	c := Config{Dim: 2, Samples: 8, Elites: 3, Iterations: 1, Mu: []float64{1}}
	one, err := Unroll(g, f, c)
	if err != nil {
		t.Fatal(err)
	}
	c.Mu = []float64{2}
	two, err := Unroll(g, f, c)
	if err != nil {
		t.Fatal(err)
	}
	if one.Run != two.Run {
		t.Error("two solves in one graph have two run numbers")
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	a, b := floats(t, one.Iterates[0].X.Value()), floats(t, two.Iterates[0].X.Value())
	for i := range a {
		a[i]++
	}
	check.Close(t, "samples about another start", b, a, 1e-6) // float32: adding 1 rounds
}

func TestProject(t *testing.T) {
	g := G.NewGraph()
	half := func(x *G.Node) (*G.Node, error) { return G.Mul(x, G.NewConstant(float32(0.5))) }
	f := func(x *G.Node) (*G.Node, error) { return G.Sum(G.Must(G.Square(x)), 2) }
	u, err := Unroll(g, f, Config{Dim: 2, Samples: 8, Elites: 3, Iterations: 1, Project: half})
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	eps := make([]float32, 16)
	kernels.Normal(eps, 0, 0, 0, 0)
	for i := range eps {
		eps[i] *= 0.5
	}
	check.Close(t, "projected candidates", floats(t, u.Iterates[0].X.Value()), check.Copy[float64](eps), 0)
}

func TestUnrollErrors(t *testing.T) {
	g := G.NewGraph()
	wrong := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("wrong"))
	elsewhere := G.NewMatrix(G.NewGraph(), tensor.Float64, G.WithShape(2, 3), G.WithName("elsewhere"))
	nan := math.NaN()
	ok := func(x *G.Node) (*G.Node, error) { return G.Sum(G.Must(G.Square(x)), 2) }
	for _, c := range []struct {
		c    Config
		f    Objective
		want string
	}{
		{Config{}, ok, "dcem: Unroll: Dim = 0, want at least 1"},
		{Config{Dim: 1, Batch: -2}, ok, "dcem: Unroll: Batch = -2, want at least 1"},
		{Config{Dim: 1, Elites: -1}, ok, "dcem: Unroll: Elites = -1, want 1 <= Elites <= Samples = 100"},
		{Config{Dim: 1, Samples: 5}, ok, "dcem: Unroll: Elites = 10, want 1 <= Elites <= Samples = 5"},
		{Config{Dim: 1, Samples: -5}, ok, "dcem: Unroll: Samples = -5, want at least 1"},
		{Config{Dim: 1, Iterations: -1}, ok, "dcem: Unroll: Iterations = -1, want at least 1"},
		{Config{Dim: 1, Temperature: -1}, ok, "dcem: Unroll: Temperature = -1, want a finite number above 0"},
		{Config{Dim: 1, Temperature: nan}, ok, "dcem: Unroll: Temperature = NaN, want a finite number above 0"},
		{Config{Dim: 2, Lower: []float64{1}, Upper: []float64{2, 0}}, ok, "dcem: Unroll: Lower[1] = 1 is above Upper[1] = 0"},
		{Config{Dim: 3, Lower: []float64{1, 2}}, ok, "dcem: Unroll: Lower has 2 values, want 1 or 3"},
		{Config{Dim: 3, Batch: 2, Mu: make([]float64, 4)}, ok, "dcem: Unroll: Mu has 4 values, want 1, Dim = 3 or Batch*Dim = 6"},
		{Config{Dim: 1, Mu: []float64{nan}}, ok, "dcem: Unroll: Mu[0] = NaN, want a finite number"},
		{Config{Dim: 1, Sigma: []float64{-1}}, ok, "dcem: Unroll: Sigma[0] = -1, want at least 0"},
		{Config{Dim: math.MaxInt / 2}, ok, "is beyond the range of int"},
		{Config{Dim: 4, Samples: 1 << 62}, ok, "dcem: Unroll: Batch*Samples*Dim = 1*4611686018427387904*4 is beyond"},
		{Config{Dim: 3, Batch: 2, Dtype: tensor.Float64, MuNode: elsewhere}, ok, "dcem: Unroll: MuNode = elsewhere"},
		{Config{Dim: 1, Run: RunNode(G.NewGraph(), "other")}, ok, "want an int64 scalar node of the same graph"},
		{Config{Dim: 2}, func(*G.Node) (*G.Node, error) { return elsewhere, nil }, "a node of another graph"},
		{Config{Dim: 2, Sigma: []float64{1, -1}}, ok, "dcem: Unroll: Sigma[1] = -1, want at least 0"},
		{Config{Dim: 1, Mu: []float64{1e39}}, ok, "dcem: Unroll: Mu = 1e+39 is beyond the range of float32"},
		{Config{Dim: 1, Lower: []float64{1e39}}, ok, "dcem: Unroll: Lower = 1e+39 is beyond the range of float32"},
		{Config{Dim: 1, Temperature: 1e-310}, ok, "dcem: Unroll: Temperature = 1e-310, want a finite number above 0, its inverse"},
		{Config{Dim: 1, SigmaMin: -1}, ok, "dcem: Unroll: SigmaMin = -1, want a finite number of at least 0"},
		{Config{Dim: 1, Backprop: 11}, ok, "dcem: Unroll: Backprop = 11, want 0 <= Backprop <= Iterations = 10"},
		{Config{Dim: 1, Dtype: tensor.Int}, ok, "dcem: Unroll: Dtype = int, want float32 or float64"},
		{Config{Dim: 1, MuNode: wrong}, ok, "dcem: Unroll: MuNode has shape (2, 3), want (1, 1)"},
		{Config{Dim: 3, Batch: 2, MuNode: wrong}, ok, "dcem: Unroll: MuNode has element type float64, want float32"},
		{Config{Dim: 1, Noise: G.Nodes{wrong}}, ok, "dcem: Unroll: Noise has 1 nodes, want one per iteration = 10"},
		{Config{Dim: 1, Iterations: 1, Noise: G.Nodes{wrong}}, ok, "dcem: Unroll: Noise[0] has shape (2, 3), want (1, 100, 1)"},
		{Config{Dim: 1, Relaxation: 7}, ok, "want LML, ConstrainedSoftmax or ConstrainedSparsemax"},
		{Config{Dim: 1}, nil, "dcem: Unroll: the graph and the objective must not be nil"},
		{Config{Dim: 2}, func(x *G.Node) (*G.Node, error) { return x, nil }, "the objective returned float32 of shape (1, 100, 2), want float32 of shape (1, 100)"},
		{Config{Dim: 2}, func(x *G.Node) (*G.Node, error) { return nil, nil }, "the objective returned no node"},
		{Config{Dim: 2}, func(x *G.Node) (*G.Node, error) { return nil, fmt.Errorf("no net") }, "dcem: Unroll: iteration 0: the objective: no net"},
	} {
		_, err := Unroll(g, c.f, c.c)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %q, want %q", fmt.Sprint(err), c.want)
		}
	}
}
