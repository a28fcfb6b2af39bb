package engine_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A solveSpec says what a whole DCEM solve is made of.
type solveSpec struct {
	seed        uint64
	config      dcem.Config
	hidden      int  // of the objective's net; 0: it has none
	noiseNodes  bool // the noise is an input
	startInputs bool // the start is an input
}

func (s solveSpec) String() string {
	c := s.config
	name := fmt.Sprintf("B=%d D=%d N=%d k=%d T=%d", c.Batch, c.Dim, c.Samples, c.Elites, c.Iterations)
	switch {
	case c.Hard:
		name += " hard"
	case c.RawCosts:
		name += fmt.Sprintf(" %v raw", c.Relaxation)
	default:
		name += fmt.Sprintf(" %v", c.Relaxation)
	}
	if c.Lower != nil || c.Upper != nil {
		name += " bounds"
	}
	if c.Backprop > 0 {
		name += fmt.Sprint(" backprop ", c.Backprop)
	}
	if s.hidden > 0 {
		name += fmt.Sprint(" net ", s.hidden)
	}
	if s.noiseNodes {
		name += " eps"
	}
	return fmt.Sprintf("seed %d: %s", s.seed, name)
}

// randomSolve draws a spec of that many iterations.
func randomSolve(seed uint64, iterations int) solveSpec {
	r := rand.New(rand.NewPCG(seed, 11))
	c := dcem.Config{Batch: 1 + r.IntN(4), Dim: 1 + r.IntN(4), Samples: 5 + r.IntN(40), Iterations: iterations,
		Seed: r.Uint64(), Draw: r.Uint64N(100)}
	c.Elites = 1 + r.IntN(c.Samples)
	if r.IntN(4) > 0 {
		c.Elites = 2 + r.IntN(c.Samples/2)
	}
	c.Temperature = []float64{0, 0.5, 2}[r.IntN(3)]
	c.Relaxation = kernels.Relaxation(r.IntN(3))
	c.Hard = r.IntN(5) == 0
	c.RawCosts = r.IntN(3) == 0
	c.SigmaMin = []float64{0, 0.05}[r.IntN(2)]
	if r.IntN(2) == 0 {
		c.Lower, c.Upper = []float64{-0.8}, []float64{0.9}
	}
	if r.IntN(4) == 0 && iterations > 1 {
		c.Backprop = 1 + r.IntN(iterations-1)
	}
	return solveSpec{seed: seed, config: c, hidden: []int{0, 6, 16}[r.IntN(3)], noiseNodes: r.IntN(4) == 0,
		startInputs: r.IntN(2) == 0}
}

// A solveGraph is a spec as a graph, with a loss and its gradients of all inputs. Two of one spec are alike.
type solveGraph struct {
	u      *dcem.Unrolled
	inputs G.Nodes // all that the loss depends on
	loss   *G.Node
	grads  G.Nodes
	watch  map[string]*G.Node // what is compared
}

func (s solveSpec) build(t testing.TB, dt tensor.Dtype, gradients bool) *solveGraph {
	t.Helper()
	g := G.NewGraph()
	p := &solveGraph{watch: map[string]*G.Node{}}
	c := s.config
	c.Dtype = dt
	drawn := uint64(0)
	in := func(name string, centre, spread float64, shape ...int) *G.Node {
		drawn++
		v := normals(1000*s.seed+drawn, shape...).Data().([]float64)
		for i := range v {
			v[i] = centre + spread*v[i]
		}
		n := newInput(g, dt, name, v, shape...)
		p.inputs = append(p.inputs, n)
		return n
	}
	if s.startInputs {
		c.MuNode = in("mu", 0, 0.3, c.Batch, c.Dim)
		c.SigmaNode = in("sigma", 0.7, 0.05, c.Batch, c.Dim)
	}
	if s.noiseNodes {
		for i := range c.Iterations {
			c.Noise = append(c.Noise, in(fmt.Sprint("eps", i), 0, 1, c.Batch, c.Samples, c.Dim))
		}
	}
	centre, wave := in("centre", 0, 0.5, c.Batch, c.Dim), in("wave", 2, 0.3, c.Batch, c.Dim)
	var net *nn.MLP
	if s.hidden > 0 {
		var err error
		if net, err = nn.NewMLP(g, nn.MLPConfig{Sizes: []int{c.Dim, s.hidden, s.hidden, 1},
			Activation: []nn.Activation{nn.Softplus, nn.Tanh, nn.ELU}[s.seed%3],
			Output:     nn.Softplus, // so that an offset matters: costs that all move by the same change nothing
			Dtype:      dt, Seed: s.seed}); err != nil {
			t.Fatal(err)
		}
		p.inputs = append(p.inputs, net.Params().Nodes()...)
	}
	var err error
	p.u, err = dcem.Unroll(g, func(x *G.Node) (*G.Node, error) {
		off := sub(x, G.Must(dcem.Expand(centre, c.Samples)))
		ripple := G.Must(G.Sin(mul(x, G.Must(dcem.Expand(wave, c.Samples)))))
		cost := total(add(square(off), ripple), 2)
		if net == nil {
			return cost, nil
		}
		flat := G.Must(autodiff.Reshape(x, c.Batch*c.Samples, c.Dim))
		return G.Add(cost, G.Must(autodiff.Reshape(G.Must(net.Forward(flat)), c.Batch, c.Samples)))
	}, c)
	if err != nil {
		t.Fatalf("%v: %v", s, err)
	}
	p.loss = add(total(square(p.u.Answer)), total(p.u.Sigma()))
	p.watch["loss"], p.watch["answer"] = p.loss, p.u.Answer
	for i, it := range p.u.Iterates {
		p.watch[fmt.Sprint("costs ", i)], p.watch[fmt.Sprint("weights ", i)] = it.F, it.I
		p.watch[fmt.Sprint("mu ", i)], p.watch[fmt.Sprint("sigma ", i)] = it.Mu, it.Sigma
	}
	if !gradients {
		return p
	}
	if p.grads, err = autodiff.Gradients(p.loss, p.inputs...); err != nil {
		t.Fatalf("%v: %v", s, err)
	}
	for i, n := range p.grads {
		p.watch["gradient of "+p.inputs[i].Name()] = n
	}
	return p
}

// reads has the machine leave each watched value where it survives the run.
func (p *solveGraph) reads() map[string]*G.Value {
	read := make(map[string]*G.Value, len(p.watch))
	for name, n := range p.watch {
		v := new(G.Value)
		G.Read(n, v)
		read[name] = v
	}
	return read
}

// values runs a solve twice with different noise and returns what both runs left in what is watched. With nudged,
// every input is moved by a unit in the last place first.
func (s solveSpec) values(t *testing.T, newVM func(g *G.ExprGraph) G.VM, nudged bool) map[string][]float64 {
	t.Helper()
	p := s.build(t, tensor.Float64, true)
	read := p.reads()
	if nudged {
		for i, n := range p.inputs {
			data := n.Value().Data().([]float64)
			for j := range data {
				data[j] = math.Nextafter(data[j], math.Inf(1-2*((i+j)%2)))
			}
		}
	}
	vm := newVM(p.loss.Graph())
	defer vm.Close()
	got := map[string][]float64{}
	for step := range 2 {
		if p.u.Run != nil {
			if err := G.Let(p.u.Run, int64(step*5)); err != nil {
				t.Fatal(err)
			}
		}
		run(t, vm)
		vm.Reset()
		for name, v := range read {
			got[fmt.Sprintf("run %d, %s", step, name)] = floats(t, *v)
		}
	}
	return got
}

func onTape(g *G.ExprGraph) G.VM { return G.NewTapeMachine(g) }

// compareWithTape compares a solve on the engine with the TapeMachine. It returns the largest difference relative to
// the largest entry of its array, and whether the solve is so ill conditioned that the TapeMachine's own values move
// by more than the tolerance when its inputs move by a unit in the last place; then ten times that is allowed.
func (s solveSpec) compareWithTape(t *testing.T, tolerance float64, opts ...engine.Option) (worst float64, ill bool) {
	t.Helper()
	want := s.values(t, onTape, false)
	got := s.values(t, func(g *G.ExprGraph) G.VM { return newVM(t, g, opts...) }, false)
	var nudged map[string][]float64
	for _, name := range slices.Sorted(maps.Keys(want)) {
		d := distance(got[name], want[name])
		if !(d <= tolerance) {
			if nudged == nil {
				nudged = s.values(t, onTape, true)
			}
			if moved := distance(nudged[name], want[name]); 10*moved > tolerance && d <= 10*moved {
				ill = true
				continue
			}
			t.Errorf("%v: %s: a difference of %.3g, want at most %g", s, name, d, tolerance)
		}
		worst = max(worst, d)
	}
	return worst, ill
}

// distance is the largest difference of two arrays relative to the largest entry of the second; NaN gives +Inf.
func distance(a, b []float64) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	diff, scale := 0.0, 0.0
	for i := range b {
		if d := math.Abs(a[i] - b[i]); !(d <= diff) {
			diff = d
		}
		scale = max(scale, math.Abs(b[i]))
	}
	switch {
	case diff == 0:
		return 0
	case diff != diff:
		return math.Inf(1)
	}
	return diff / scale
}

// Whole solves, their gradients of all inputs and parameters too, have the TapeMachine's values relative to the
// largest entry of each array: to 1e-11 up to T = 4, to 1e-8 at T = 10, where each rounding has grown for ten
// iterations.
func TestSolvesAgreeWithTheTapeMachine(t *testing.T) {
	few, ten := max(40, soak), max(6, soak/4)
	seen, worst, ill := map[string]int{}, map[float64]float64{}, 0
	for i := range few + ten {
		iterations, tolerance := 1+i%4, 1e-11
		if i >= few {
			iterations, tolerance = 10, 1e-8
		}
		s := randomSolve(uint64(i), iterations)
		var opts []engine.Option
		if i%2 == 0 {
			opts = append(opts, engine.Outputs())
		}
		w, bad := s.compareWithTape(t, tolerance, opts...)
		worst[tolerance] = max(worst[tolerance], w)
		if bad {
			ill++
		}
		for what, is := range map[string]bool{
			"hard": s.config.Hard, "raw costs": s.config.RawCosts, "bounds": s.config.Lower != nil,
			"backprop":    s.config.Backprop > 0,
			"noise nodes": s.noiseNodes, "start nodes": s.startInputs, "a net": s.hidden > 0,
			"every k": s.config.Elites == s.config.Samples,
			"k=1":     s.config.Elites == 1, s.config.Relaxation.String(): !s.config.Hard,
		} {
			if is {
				seen[what]++
			}
		}
	}
	for _, what := range []string{"hard", "raw costs", "bounds", "backprop", "noise nodes", "start nodes", "a net",
		kernels.LML.String(), kernels.ConstrainedSoftmax.String(), kernels.ConstrainedSparsemax.String()} {
		if seen[what] < 3 {
			t.Errorf("%d of the solves have %s: too few to say something", seen[what], what)
		}
	}
	if ill > (few+ten)/50 {
		t.Errorf("%d of %d solves are ill conditioned: the comparison says too little", ill, few+ten)
	}
	t.Logf("solves with %v, %d ill conditioned; the largest differences are %v", seen, ill, worst)
}
