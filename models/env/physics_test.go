package env

import (
	"math"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

// energies are what a free system keeps, in joules.
var energies = map[string]func(x, p []float64) float64{
	"pendulum": func(x, p []float64) float64 { // of a rod about its end
		m, l := p[pendulumMass], p[pendulumLength]
		return m*l*l/6*x[2]*x[2] + m*p[pendulumGravity]*l/2*x[0]
	},
	"cartpole": func(x, p []float64) float64 { // of a cart and a rod about its middle
		m, l := p[poleMass], p[poleLength]
		vx, vy := x[1]+l*x[4]*x[2], -l*x[4]*x[3]
		return p[cartMass]/2*x[1]*x[1] + m/2*(vx*vx+vy*vy) + m*l*l/6*x[4]*x[4] + m*p[cartGravity]*l*x[2]
	},
}

// Without a control both pendulums keep their energy, the better the shorter the step: what explicit Euler steps add
// or take is proportional to their length. (It stands for signs and factors that no golden file has.)
func TestEnergyIsKept(t *testing.T) {
	drift := func(e Env, params []float64) (worst float64) {
		energy := energies[e.Name()]
		x, u := make([]float64, e.StateDim()), make([]float64, 1)
		copy(x[len(x)-3:], []float64{math.Cos(2), math.Sin(2), 0.5})
		start := energy(x, params)
		for range int(math.Round(2 / e.Dt())) {
			e.StepGo(x, x, u, params)
			worst = math.Max(worst, math.Abs(energy(x, params)-start))
		}
		return worst
	}
	cart, pendulum := Defaults(Cartpole{}), Defaults(Pendulum{})
	cart[cartMass], cart[poleMass], cart[poleLength] = 1.3, 0.4, 0.7
	pendulum[pendulumMass], pendulum[pendulumLength] = 1.4, 0.75
	for _, c := range []struct {
		env    func(dt float64) Env
		params []float64
	}{
		{func(dt float64) Env { return Cartpole{Delta: dt} }, cart},
		{func(dt float64) Env { return Pendulum{Delta: dt} }, pendulum},
	} {
		e := c.env(1e-4)
		coarse, fine := drift(c.env(1e-3), c.params), drift(e, c.params)
		if !(coarse < 0.05 && fine < 0.005 && fine < 0.11*coarse) {
			t.Errorf("%s: the energy drifts by %g J with steps of 1 ms, by %g J with 0.1 ms", e.Name(), coarse, fine)
		}
	}
}

// The pendulum's steps are symplectic: over 1e5 of them the energy stays within the band of the first few swings.
func TestPendulumEnergyHasNoTrend(t *testing.T) {
	e, energy, p := Pendulum{Delta: 0.01}, energies["pendulum"], pendulumDefaults
	x, u := []float64{math.Cos(2), math.Sin(2), 0}, []float64{0}
	start := energy(x, p)
	band := 0.0
	for i := range 100_000 {
		e.StepGo(x, x, u, nil)
		d := math.Abs(energy(x, p) - start)
		if i < 1000 {
			band = math.Max(band, d)
		} else if !(d <= 1.05*band) {
			t.Fatalf("after %d steps the energy is off by %g J, at first by %g at most", i, d, band)
		}
	}
	if r := math.Hypot(x[0], x[1]); !(math.Abs(r-1) <= 1e-15) {
		t.Errorf("the angle's cosine and sine have the length 1 + %g", r-1)
	}
}

// A mirrored problem has the mirrored answer, to the last bit: all terms are odd or even.
func TestMirror(t *testing.T) {
	for _, c := range []struct {
		e    Env
		flip []float64 // of the state
	}{
		{Cartpole{}, []float64{-1, -1, 1, -1, -1}},
		{Pendulum{}, []float64{1, -1, -1}},
		{DoubleIntegrator{Obstacles: []Circle{{0, 0, 0.5}}}, []float64{1, -1, 1, -1}},
	} {
		const horizon = 30
		p := randomProblems(c.e, 4, 1, horizon)
		mirrored := randomProblems(c.e, 4, 1, horizon)
		for i, f := range c.flip {
			mirrored.x[i] *= f
		}
		for i := range mirrored.u {
			if c.e.ControlDim() == 1 || i%2 == 1 { // fx stays
				mirrored.u[i] *= -1
			}
		}
		states, cost, err := RolloutGo(c.e, p.x, p.u, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, gotCost, err := RolloutGo(c.e, mirrored.x, mirrored.u, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i] *= c.flip[i%len(c.flip)]
		}
		check.Close(t, c.e.Name()+": mirrored states", got, states, 0)
		check.Close(t, c.e.Name()+": mirrored cost", []float64{gotCost}, []float64{cost}, 0)
	}
}

// Upright and hanging are at rest; the pole falls from the first and swings about the second. The rail has no
// preferred place, and a body that no force moves goes straight on.
func TestRest(t *testing.T) {
	for _, c := range []struct {
		e Env
		x []float64
	}{
		{Cartpole{}, []float64{3, 0, 1, 0, 0}}, {Cartpole{}, []float64{-2, 0, -1, 0, 0}},
		{Pendulum{}, []float64{1, 0, 0}}, {Pendulum{}, []float64{-1, 0, 0}}, {DoubleIntegrator{}, []float64{1, 2, 0, 0}},
	} {
		next := make([]float64, len(c.x))
		c.e.StepGo(next, c.x, make([]float64, c.e.ControlDim()), nil)
		check.Close(t, c.e.Name()+" at rest", next, c.x, 0)
	}
	for _, c := range []struct {
		e           Env
		x           []float64 // tilted to the right
		accelerates float64
	}{
		{Pendulum{}, []float64{math.Cos(0.1), math.Sin(0.1), 0}, 1},
		{Pendulum{}, []float64{math.Cos(3), math.Sin(3), 0}, 1},
		{Cartpole{}, []float64{0, 0, math.Cos(0.1), math.Sin(0.1), 0}, 1},
	} {
		next := make([]float64, len(c.x))
		c.e.StepGo(next, c.x, []float64{0}, nil)
		if d := next[len(next)-1]; !(d*c.accelerates > 0) {
			t.Errorf("%s at %v: dtheta becomes %v", c.e.Name(), c.x, d)
		}
	}
	// A push to the right moves the cart there and tips the pole to the left.
	x := []float64{0, 0, 1, 0, 0}
	Cartpole{}.StepGo(x, x, []float64{10}, nil)
	if !(x[1] > 0 && x[4] < 0) {
		t.Errorf("a pushed cart has the state %v", x)
	}
	// Its total momentum is what the force gave it: 0.05 s of 10 N, at an upright pole.
	momentum := 1*x[1] + 0.1*(x[1]+0.5*x[4])
	check.Close(t, "momentum", []float64{momentum}, []float64{0.5}, 1e-15)
}
