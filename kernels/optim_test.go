package kernels

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

func clone[T Float](s [][]T) [][]T {
	c := make([][]T, len(s))
	for i := range s {
		c[i] = append([]T(nil), s[i]...)
	}
	return c
}

func sameTensors[T Float](t *testing.T, name string, got, want [][]T) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d tensors, want %d", name, len(got), len(want))
	}
	for i := range want {
		sameBits(t, fmt.Sprintf("%s[%d]", name, i), got[i], want[i])
	}
}

// optimSequences is four steps of two parameter tensors. The parameters after them were computed by another program,
// from the textbook equations (bias-corrected means, torch's epsilon and clipping) in decimal arithmetic of 50
// digits.
var optimSequences = []struct {
	name string
	o    Optimizer
	want []float64
}{
	{"adam", Optimizer{}, []float64{0.49810728794674725, -1.249888152403162, 1.9986381832776423, -0.7507290707503449}},
	{"adam, all options", Optimizer{Rate: 0.05, Beta1: 0.4, Beta2: 0.9, Epsilon: 0.1, WeightDecay: 0.3, ClipNorm: 1.5},
		[]float64{0.3885770410263093, -1.1768239580668447, 1.8828976349489792, -0.7122104819949857}},
	{"rmsprop", Optimizer{Method: RMSProp},
		[]float64{0.48820607554426293, -1.2571816888392733, 2.0039183025708343, -0.7644304429776594}},
	{"rmsprop, all options",
		Optimizer{Method: RMSProp, Rate: 0.02, Decay: 0.8, Epsilon: 0.1, Momentum: 0.7, WeightDecay: 0.1, ClipNorm: 2},
		[]float64{0.41297845763467733, -1.2246432936280398, 1.915596856871207, -0.7579413820134189}},
	{"gradient descent", Optimizer{Method: Momentum}, []float64{0.4976, -1.25319, 2.00345, -0.7614}},
	{"momentum, all options", Optimizer{Method: Momentum, Rate: 0.1, Momentum: 0.9, WeightDecay: 0.01, ClipNorm: 3},
		[]float64{0.0260811806805, -1.309497584101576, 1.7973489999191012, -0.8076740270770534}},
}

func TestOptimizerSequences(t *testing.T) {
	for _, c := range optimSequences {
		optimSequence[float64](t, c.name, c.o, c.want, 1e-15)
		optimSequence[float32](t, c.name+" float32", c.o, c.want, 3e-7) // a few roundings of 2^-24 per step
	}
}

func optimSequence[T Float](t *testing.T, name string, o Optimizer, want []float64, tol float64) {
	params := [][]T{{0.5, -1.25, 2}, {-0.75}}
	steps := [][][]T{{{0.3, -0.7, 1.1}, {0.2}}, {{-0.4, 0.9, 0.05}, {-1.6}}, {{2.5, -0.01, -0.6}, {0.8}}, {{0, 3, -4}, {12}}}
	norms := []float64{1.3527749258468682, 1.8794946129212502, 2.6926009730370373, 13}
	var s OptimizerState[T]
	for i, grads := range steps {
		before := clone(grads)
		info := OptimizerStep(o, &s, params, grads)
		sameTensors(t, name+": grads", grads, before)
		if wantClipped := o.ClipNorm != 0 && norms[i] > o.ClipNorm; !check.Within(info.GradNorm, norms[i], tol) ||
			info.Clipped != wantClipped || info.Skipped {
			t.Errorf("%s: step %d: %+v, want norm %v, clipped %v", name, i+1, info, norms[i], wantClipped)
		}
	}
	if s.Steps != 4 {
		t.Errorf("%s: Steps = %d, want 4", name, s.Steps)
	}
	check.Close(t, name, check.Copy[float64](append(append([]T(nil), params[0]...), params[1]...)), want, tol)
}

// optimReference is one step of the textbook equations for a single tensor, in float64.
func optimReference(o Optimizer, t int, p, g, m, v, buf []float64) {
	norm := math.Sqrt(inner(g, g))
	for i := range p {
		gi := g[i]
		if o.ClipNorm > 0 && norm+1e-6 > o.ClipNorm {
			gi *= o.ClipNorm / (norm + 1e-6)
		}
		gi += o.WeightDecay * p[i]
		switch o.Method {
		case Adam:
			m[i] = o.Beta1*m[i] + (1-o.Beta1)*gi
			v[i] = o.Beta2*v[i] + (1-o.Beta2)*gi*gi
			mHat, vHat := m[i]/(1-math.Pow(o.Beta1, float64(t))), v[i]/(1-math.Pow(o.Beta2, float64(t)))
			p[i] -= o.Rate * mHat / (math.Sqrt(vHat) + o.Epsilon)
		case RMSProp:
			v[i] = o.Decay*v[i] + (1-o.Decay)*gi*gi
			buf[i] = o.Momentum*buf[i] + gi/(math.Sqrt(v[i])+o.Epsilon)
			p[i] -= o.Rate * buf[i]
		case Momentum:
			buf[i] = o.Momentum*buf[i] + gi
			p[i] -= o.Rate * buf[i]
		}
	}
}

// A large tensor and 30 steps, for every method with its options on and off; and the state is what the equations say.
func TestOptimizerMatchesReference(t *testing.T) {
	const n = 9001
	for _, o := range []Optimizer{
		{Method: Adam, Rate: 0.01, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8},
		// Momentum has no part in Adam.
		{Method: Adam, Rate: 0.01, Beta1: 0.3, Beta2: 0.9, Epsilon: 1e-3, WeightDecay: 0.1, ClipNorm: 50, Momentum: 0.5},
		{Method: RMSProp, Rate: 0.01, Decay: 0.99, Epsilon: 1e-8},
		{Method: RMSProp, Rate: 0.01, Decay: 0.5, Epsilon: 1e-3, Momentum: 0.9, WeightDecay: 0.1, ClipNorm: 50},
		{Method: Momentum, Rate: 0.01},
		{Method: Momentum, Rate: 0.01, Momentum: 0.9, WeightDecay: 0.1, ClipNorm: 50},
	} {
		p := [][]float64{normals[float64](1, n)}
		want := clone(p)[0]
		m, v, buf := make([]float64, n), make([]float64, n), make([]float64, n)
		var s OptimizerState[float64]
		for step := 1; step <= 30; step++ {
			g := normals[float64](uint64(100+step), n)
			OptimizerStep(o, &s, p, [][]float64{g})
			optimReference(o, step, want, g, m, v, buf)
		}
		name := fmt.Sprintf("%+v", o)
		check.Close(t, name, p[0], want, 1e-13) // 30 steps of a few roundings, of updates up to 1
		if o.Method == Adam {
			check.Close(t, name+": M", s.M[0], m, 1e-14)
		}
		if o.Method != Momentum {
			check.Close(t, name+": V", s.V[0], v, 1e-14)
		}
		if o.Method != Adam && o.Momentum != 0 {
			check.Close(t, name+": Buf", s.Buf[0], buf, 1e-13)
		}
		if (s.M != nil) != (o.Method == Adam) || (s.V != nil) != (o.Method != Momentum) ||
			(s.Buf != nil) != (o.Method != Adam && o.Momentum != 0) {
			t.Errorf("%s: M %v, V %v, Buf %v: want the arrays that the rule needs", name, s.M != nil, s.V != nil, s.Buf != nil)
		}
	}
}

func TestOptimizerClips(t *testing.T) {
	for _, c := range []struct {
		bound, norm float64
		clipped     bool
	}{{0, 5, false}, {2, 5, true}, {5, 5, true}, {5 + 2e-6, 5, false}, {1e300, 5, false}} {
		p, g := [][]float64{{0}, {}, {0}}, [][]float64{{3}, {}, {-4}}
		var s OptimizerState[float64]
		info := OptimizerStep(Optimizer{Method: Momentum, Rate: 1, ClipNorm: c.bound}, &s, p, g)
		if info != (StepInfo{GradNorm: 5, Clipped: c.clipped}) {
			t.Errorf("bound %v: %+v, want norm 5, clipped %v", c.bound, info, c.clipped)
		}
		factor := 1.0
		if c.clipped {
			factor = c.bound / (5 + 1e-6)
		}
		check.Close(t, "clipped", []float64{p[0][0], p[2][0]}, []float64{-3 * factor, 4 * factor}, 1e-15)
	}
}

func TestGradNormRange(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		grads [][]float64
		want  float64
	}{
		{nil, 0}, {[][]float64{{}}, 0}, {[][]float64{{0}, {0, 0}}, 0},
		{[][]float64{{3e-170}, {4e-170}}, 5e-170}, {[][]float64{{3e200, 4e200}}, 5e200},
		{[][]float64{{3e-310, 4e-310}}, 5e-310}, {[][]float64{{1e308, 1e308}}, math.Sqrt2 * 1e308},
		{[][]float64{{1.7e308, 1.7e308}}, inf}, {[][]float64{{1}, {inf, 0}}, inf},
		{[][]float64{{1}, {nan, inf}}, nan}, {[][]float64{{1e300, nan}}, nan},
	} {
		got := gradNorm(c.grads)
		if !check.Within(got/c.want, 1, 1e-15) && !check.Within(got, c.want, 1e-323) {
			t.Errorf("norm of %v: %v, want %v", c.grads, got, c.want)
		}
	}
	want := math.Sqrt2 * float64(float32(3e38))
	if got := gradNorm([][]float32{{3e38, -3e38}, {1e-45}}); !check.Within(got/want, 1, 1e-15) {
		t.Errorf("float32: norm %v, want %v", got, want)
	}
}

func TestOptimizerSkipsNonFinite(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		for _, o := range []Optimizer{{}, {Method: RMSProp, Momentum: 0.5, ClipNorm: 1}, {Method: Momentum, Momentum: 0.5}} {
			p := [][]float32{{1, 2}, {3}}
			good, broken := [][]float32{{0.1, 0.2}, {0.3}}, [][]float32{{0.1, 0.2}, {bad}}
			var s OptimizerState[float32]
			if info := OptimizerStep(o, &s, p, broken); !info.Skipped || info.Clipped || info.GradNorm-info.GradNorm == 0 {
				t.Errorf("%v: gradient %v: %+v, want skipped", o.Method, bad, info)
			}
			if !reflect.DeepEqual(s, OptimizerState[float32]{}) {
				t.Errorf("%v: a skipped first step made the state %+v", o.Method, s)
			}
			OptimizerStep(o, &s, p, good)
			before, params := OptimizerState[float32]{s.Steps, clone(s.M), clone(s.V), clone(s.Buf)}, clone(p)
			if info := OptimizerStep(o, &s, p, broken); !info.Skipped {
				t.Errorf("%v: gradient %v: %+v, want skipped", o.Method, bad, info)
			}
			sameTensors(t, "params", p, params)
			sameTensors(t, "M", s.M, before.M)
			sameTensors(t, "V", s.V, before.V)
			sameTensors(t, "Buf", s.Buf, before.Buf)
			if s.Steps != 1 {
				t.Errorf("%v: Steps = %d after one step and a skipped one, want 1", o.Method, s.Steps)
			}
		}
	}
}

// A state that went through JSON or gob continues bit for bit.
func TestOptimizerStateContinues(t *testing.T) {
	t.Run("float32", testOptimizerStateContinues[float32])
	t.Run("float64", testOptimizerStateContinues[float64])
}

func testOptimizerStateContinues[T Float](t *testing.T) {
	for _, o := range []Optimizer{
		{Rate: 0.1}, {Method: RMSProp}, {Method: RMSProp, Momentum: 0.9}, {Method: Momentum}, {Method: Momentum, Momentum: 0.9},
	} {
		p := [][]T{normals[T](1, 37), {}, normals[T](2, 5)}
		var s OptimizerState[T]
		step := func(s *OptimizerState[T], p [][]T, i uint64) {
			OptimizerStep(o, s, p, [][]T{normals[T](10+i, 37), {}, normals[T](50+i, 5)})
		}
		for i := range uint64(5) {
			step(&s, p, i)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var fromJSON, fromGob OptimizerState[T]
		if err := json.Unmarshal(text, &fromJSON); err != nil {
			t.Fatal(err)
		}
		var stream bytes.Buffer
		if err := gob.NewEncoder(&stream).Encode(s); err != nil {
			t.Fatal(err)
		}
		if err := gob.NewDecoder(&stream).Decode(&fromGob); err != nil {
			t.Fatal(err)
		}
		pJSON, pGob := clone(p), clone(p)
		for i := range uint64(3) {
			step(&s, p, 5+i)
			step(&fromJSON, pJSON, 5+i)
			step(&fromGob, pGob, 5+i)
		}
		sameTensors(t, o.Method.String()+" from JSON", pJSON, p)
		sameTensors(t, o.Method.String()+" from gob", pGob, p)
		if fromJSON.Steps != 8 || fromGob.Steps != 8 {
			t.Errorf("Steps %d and %d, want 8", fromJSON.Steps, fromGob.Steps)
		}
	}
}

func TestOptimizerThreadsAllocations(t *testing.T) {
	const n = 50_001
	for _, o := range []Optimizer{{ClipNorm: 1}, {Method: RMSProp, Momentum: 0.9}, {Method: Momentum, Momentum: 0.9}} {
		g := [][]float32{normals[float32](1, n), normals[float32](2, 77)}
		threadsAgree(t, func() []float32 {
			p := [][]float32{make([]float32, n), make([]float32, 77)}
			var s OptimizerState[float32]
			for range 3 {
				OptimizerStep(o, &s, p, g)
			}
			return append(p[0], p[1]...)
		})
		p := [][]float32{make([]float32, n), make([]float32, 77)}
		var s OptimizerState[float32]
		allocatesNothing(t, func() { OptimizerStep(o, &s, p, g) })
	}
}

func TestOptimizerPanics(t *testing.T) {
	p := [][]float64{{1, 2}, {3}}
	step := func(o Optimizer, s OptimizerState[float64], g [][]float64) func() {
		return func() {
			before := clone(p)
			defer func() { sameTensors(t, "params after a panic", p, before) }()
			OptimizerStep(o, &s, p, g)
		}
	}
	good := [][]float64{{1, 1}, {1}}
	var zero OptimizerState[float64]
	panicsWith(t, "len(grads) = 1, want len(params) = 2", step(Optimizer{}, zero, good[:1]))
	panicsWith(t, "len(grads[1]) = 2, want len(params[1]) = 1", step(Optimizer{}, zero, [][]float64{{1, 1}, {1, 1}}))
	panicsWith(t, "Rate = -1", step(Optimizer{Rate: -1}, zero, good))
	panicsWith(t, "the state after 3 steps has len(M) = 0, want len(params) = 2",
		step(Optimizer{}, OptimizerState[float64]{Steps: 3}, good))
	panicsWith(t, "len(V[0]) = 1, want len(params[0]) = 2",
		step(Optimizer{Method: RMSProp}, OptimizerState[float64]{Steps: 3, V: [][]float64{{1}, {1}}}, good))
	panicsWith(t, "len(Buf) = 1, want len(params) = 2",
		step(Optimizer{Method: Momentum, Momentum: 0.1}, OptimizerState[float64]{Buf: [][]float64{{1}}}, good))
}

func BenchmarkOptimizerStep(b *testing.B) {
	const n = 33_000 // the regression net's parameters
	p, g := [][]float32{make([]float32, n)}, [][]float32{normals[float32](1, n)}
	for _, o := range []Optimizer{{ClipNorm: 1}, {Method: RMSProp, Momentum: 0.9}, {Method: Momentum, Momentum: 0.9}} {
		b.Run(o.Method.String(), func(b *testing.B) {
			var s OptimizerState[float32]
			b.SetBytes(n * 4)
			for b.Loop() {
				OptimizerStep(o, &s, p, g)
			}
		})
	}
}
