package rl

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// smallModel is a model in float64 with sequences to learn from.
type smallModel struct {
	g                       *G.ExprGraph
	m                       *RSSM
	q                       Sequences
	n                       int
	obs, act, reward        []float64
	weight, after           []float64
	noise                   [][]float64
	deter, stoch, hid, o, a int
}

func newSmallModel(t *testing.T, free float64) *smallModel {
	t.Helper()
	s := &smallModel{g: G.NewGraph(), n: 2, deter: 4, stoch: 3, hid: 5, o: 3, a: 2}
	var err error
	if s.m, err = NewRSSM(s.g, RSSMConfig{Obs: s.o, Act: s.a, Deter: s.deter, Stoch: s.stoch, Hidden: s.hid,
		FreeNats:     free,
		RewardWeight: 3, ObsWeight: 20, Dtype: tensor.Float64, Seed: 7}); err != nil {
		t.Fatal(err)
	}
	const length = 3
	rows := length * s.n
	s.obs, s.act, s.reward = draw(1, 0, rows*s.o), draw(1, 1, rows*s.a), draw(1, 2, rows)
	s.weight, s.after = slices.Repeat([]float64{1}, rows), slices.Repeat([]float64{1}, rows)
	s.weight[rows-1], s.after[0] = 0, 0
	s.q = Sequences{Length: length, Obs: train.Input(s.g, "obs", s.obs, rows, s.o), Act: train.Input(s.g, "act", s.act, rows, s.a),
		Reward: train.Input(s.g, "reward", s.reward, rows), Weight: train.Input(s.g, "weight", s.weight, rows),
		After: train.Input(s.g, "after", s.after, rows)}
	for t := range length {
		s.noise = append(s.noise, draw(2, uint64(t), s.n*s.stoch))
		s.q.Noise = append(s.q.Noise, train.Input(s.g, fmt.Sprint("noise", t), s.noise[t], s.n, s.stoch))
	}
	return s
}

// plain is the loss of one sequence in plain Go: the sums over its steps of the terms, and the last state.
func (s *smallModel) plain(seq int, free float64) (obs, reward, raw, floored float64, state []float64) {
	p := map[string][]float64{}
	for _, q := range s.m.Params() {
		p[q.Name] = nn.Values[float64](nn.Params{q})[0]
	}
	layer := func(name string, x []float64, out int) []float64 {
		y, w := make([]float64, out), p[name+"/w"]
		copy(y, p[name+"/b"])
		for i, v := range x {
			for j := range y {
				y[j] += v * w[i*out+j]
			}
		}
		return y
	}
	relu := func(x []float64) []float64 {
		for i := range x {
			x[i] = math.Max(x[i], 0)
		}
		return x
	}
	net := func(name string, x []float64, out int) []float64 {
		return layer(name+"/2", relu(layer(name+"/1", relu(layer(name+"/0", x, s.hid)), s.hid)), out)
	}
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	softplus := func(x float64) float64 { return math.Log1p(math.Exp(x)) + 0.1 }
	h, z := make([]float64, s.deter), make([]float64, s.stoch)
	for t := range s.q.Length {
		row := t*s.n + seq
		o, d := s.obs[row*s.o:(row+1)*s.o], s.deter
		x, xa := layer("transition/s", z, 3*d), layer("transition/a", s.act[row*s.a:(row+1)*s.a], 3*d)
		y := layer("transition/h", h, 3*d)
		next := make([]float64, d)
		for i := range next {
			r, u := sigmoid(x[i]+xa[i]+y[i]), sigmoid(x[d+i]+xa[d+i]+y[d+i])
			n := math.Tanh(x[2*d+i] + xa[2*d+i] + r*y[2*d+i])
			next[i] = (1-u)*n + u*h[i]
		}
		h = next
		prior := net("transition/prior", h, 2*s.stoch)
		first := layer("posterior/h", h, s.hid)
		for i, v := range layer("posterior/o", o, s.hid) {
			first[i] += v
		}
		post := layer("posterior/1", relu(layer("posterior/0", relu(first), s.hid)), 2*s.stoch)
		kl := 0.0
		z = make([]float64, s.stoch)
		for i := range z {
			mq, sq, mp, sp := post[i], softplus(post[s.stoch+i]), prior[i], softplus(prior[s.stoch+i])
			z[i] = mq + sq*s.noise[t][seq*s.stoch+i]
			kl += math.Log(sp/sq) + (sq*sq+(mq-mp)*(mq-mp))/(2*sp*sp) - 0.5
		}
		state = append(slices.Clone(h), z...)
		w := s.weight[row]
		raw += w * kl
		floored += w * math.Max(kl, free)
		for i, v := range net("decoder", state, s.o) {
			obs += w * 0.5 * (v - o[i]) * (v - o[i])
		}
		r := net("reward", state, 1)[0] - s.reward[row]
		reward += w * s.after[row] * 0.5 * r * r
	}
	return obs, reward, raw, floored, state
}

// TestRSSMLoss: every term against plain Go, on both machines, without an op on the host.
func TestRSSMLoss(t *testing.T) {
	for _, free := range []float64{-1, 0.6} {
		for _, machine := range train.Machines {
			s := newSmallModel(t, free)
			l, err := s.m.Loss(s.q)
			if err != nil {
				t.Fatal(err)
			}
			out := G.Nodes{l.Total, l.Obs, l.Reward, l.Raw, l.Divergence, l.States}
			read := make([]G.Value, len(out))
			for i, n := range out {
				G.Read(n, &read[i])
			}
			vm, err := train.NewVM(machine, s.g, out...)
			if err != nil {
				t.Fatal(err)
			}
			defer vm.Close()
			if err := vm.RunAll(); err != nil {
				t.Fatal(err)
			}
			if e, ok := vm.(*engine.VM); ok {
				noHost(t, e)
			}
			var want [6]float64
			for seq := range s.n {
				obs, reward, raw, floored, state := s.plain(seq, math.Max(free, 0))
				for i, v := range []float64{20*obs + 3*reward + floored, obs, reward, raw, floored} {
					want[i] += v / 6 // rows

				}
				rows := numbers(read[5])
				check.Close(t, "last state", rows[len(rows)-7*(s.n-seq):][:7], state, 1e-13)
			}
			for i, name := range []string{"total", "observations", "reward", "divergence", "with free nats"} {
				// Sums of some hundred numbers of size 1.
				check.Close(t, machine+" "+name, []float64{scalar(read[i])}, want[i:i+1], 1e-13)
			}
			if free > 0 && want[3] == want[4] {
				t.Errorf("no divergence is below the free nats, their mean is %v: they were not tested", want[3])
			}
		}
	}
}

// TestRSSMGradient: of the loss with respect to every parameter, against finite differences.
func TestRSSMGradient(t *testing.T) {
	s := newSmallModel(t, 0.6)
	l, err := s.m.Loss(s.q)
	if err != nil {
		t.Fatal(err)
	}
	params := s.m.Params()
	grads, err := autodiff.Gradients(l.Total, params.Nodes()...)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := engine.NewVM(s.g, engine.Outputs(append(grads, l.Total)...))
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	noHost(t, vm)
	loss := func() float64 {
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		return scalar(l.Total.Value())
	}
	loss()
	for i, p := range params {
		got := slices.Clone(numbers(grads[i].Value()))
		memory := nn.Values[float64](nn.Params{p})[0]
		saved := slices.Clone(memory)
		want := check.Gradient(func(x []float64) float64 { copy(memory, x); return loss() }, saved, 1e-5)
		copy(memory, saved)
		loss()
		// Differences over 1e-5 of a sum of size 10: 1e-15*10/1e-5.
		check.Close(t, p.Name, got, want, 1e-8)
		if slices.Max(got) == 0 && slices.Min(got) == 0 {
			t.Errorf("%s: the gradient is 0: nothing was tested", p.Name)
		}
	}
}

// TestImagine: steps of imagination are those that the loss takes, with the prior in the posterior's place; and
// Filter is the posterior's mean.
func TestImagine(t *testing.T) {
	s := newSmallModel(t, -1)
	state := s.deter + s.stoch
	x := train.Input(s.g, "x", draw(4, 0, s.n*state), s.n, state)
	a := train.Input(s.g, "a", draw(4, 1, s.n*s.a), s.n, s.a)
	noise := train.Input(s.g, "eps", make([]float64, s.n*s.stoch), s.n, s.stoch)
	o := train.Input(s.g, "o", draw(4, 2, s.n*s.o), s.n, s.o)
	must := func(n *G.Node, err error) *G.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	mean, sampled := must(s.m.Next(x, a, nil)), must(s.m.Next(x, a, noise))
	filtered, reward, guess := must(s.m.Filter(x, a, o)), must(s.m.RewardOf(x)), must(s.m.Observe(x))
	vm, err := engine.NewVM(s.g, engine.Outputs(mean, sampled, filtered, reward, guess))
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	noHost(t, vm)
	m, f := slices.Clone(numbers(mean.Value())), numbers(filtered.Value())
	check.Close(t, "without noise", numbers(sampled.Value()), m, 0)
	for r := range s.n {
		check.Close(t, "h of filter and imagination", f[r*state:r*state+s.deter], m[r*state:r*state+s.deter], 0)
	}
	if slices.Equal(f, m) {
		t.Error("the observation says nothing")
	}
	copy(noise.Value().Data().([]float64), slices.Repeat([]float64{1}, s.n*s.stoch))
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	for r := range s.n {
		for j := s.deter; j < state; j++ {
			if !(numbers(sampled.Value())[r*state+j] >= m[r*state+j]+0.1) {
				t.Errorf("a noise of 1 moves element %d by %v, want at least the least standard deviation", j,
					numbers(sampled.Value())[r*state+j]-m[r*state+j])
			}
		}
	}
	if reward.Shape()[0] != s.n || guess.Shape()[1] != s.o {
		t.Errorf("shapes %v, %v", reward.Shape(), guess.Shape())
	}
}

func TestRSSMErrors(t *testing.T) {
	for text, c := range map[string]RSSMConfig{
		"Obs = 0":        {Act: 1},
		"Deter = -1":     {Obs: 1, Act: 1, Deter: -1},
		"MinStd = NaN":   {Obs: 1, Act: 1, MinStd: math.NaN()},
		"ObsWeight = -1": {Obs: 1, Act: 1, ObsWeight: -1},
		"want float":     {Obs: 1, Act: 1, Dtype: tensor.Int},
	} {
		if _, err := NewRSSM(G.NewGraph(), c); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want one with %q", err, text)
		}
	}
	s := newSmallModel(t, -1)
	s.q.Length = 4
	if _, err := s.m.Loss(s.q); err == nil || !strings.Contains(err.Error(), "length 4") {
		t.Errorf("error %v", err)
	}
	if c := s.m.Config(); c.FreeNats != -1 || c.MinStd != 0.1 {
		t.Errorf("%+v", c)
	}
}
