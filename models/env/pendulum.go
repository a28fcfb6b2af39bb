package env

import (
	"image/draw"
	"math"

	G "gorgonia.org/gorgonia"
)

// Pendulum is a rod that turns about one of its ends, moved by a torque too weak to lift it. Its state is (cos theta,
// sin theta, dtheta), with theta = 0 where it stands upright; its control the torque, in newton metres. It is
// integrated by semi-implicit Euler steps of Delta seconds, which keep the energy of the free pendulum within a band;
// the cost asks for it to stand still, upright:
//
//	ddtheta = 3 g / (2 l) sin theta + 3 u / (m l^2)
//	dtheta' = dtheta + Delta ddtheta, theta' = theta + Delta dtheta'
//	cost = w_cos (cos theta - 1)^2 + w_sin sin^2 theta + w_dth dtheta^2 + w_u u^2
//
// A large w_dth makes hanging still a minimum, from which no short plan climbs.
type Pendulum struct {
	Delta  float64 // 0: 0.05 s
	Torque float64 // the greatest; 0: 2 N m
}

// The parameters' places.
const (
	pendulumGravity = iota
	pendulumMass
	pendulumLength
	pendulumWeightCos
	pendulumWeightSin
	pendulumWeightSpin
	pendulumWeightU
)

var pendulumDefaults = []float64{10, 1, 1, 1, 1, 0.01, 1e-3}

// Name implements Env.
func (Pendulum) Name() string { return "pendulum" }

// StateDim implements Env.
func (Pendulum) StateDim() int { return 3 }

// ControlDim implements Env.
func (Pendulum) ControlDim() int { return 1 }

// States implements Env.
func (Pendulum) States() []string { return []string{"cos", "sin", "dth"} }

// Controls implements Env.
func (Pendulum) Controls() []string { return []string{"u"} }

// Bounds implements Env.
func (e Pendulum) Bounds() (lower, upper []float64) {
	u := or(e.Torque, 2)
	return []float64{-u}, []float64{u}
}

// Dt implements Env.
func (e Pendulum) Dt() float64 { return or(e.Delta, 0.05) }

// Params implements Env.
func (Pendulum) Params() []Param {
	return []Param{
		pendulumGravity:    {Name: "gravity", Unit: "m/s^2", Value: pendulumDefaults[pendulumGravity]},
		pendulumMass:       {Name: "mass", Unit: "kg", Positive: true, Value: pendulumDefaults[pendulumMass]},
		pendulumLength:     {Name: "length", Unit: "m", Positive: true, Value: pendulumDefaults[pendulumLength]},
		pendulumWeightCos:  {Name: "weight_cos", Cost: true, Value: pendulumDefaults[pendulumWeightCos]},
		pendulumWeightSin:  {Name: "weight_sin", Cost: true, Value: pendulumDefaults[pendulumWeightSin]},
		pendulumWeightSpin: {Name: "weight_dth", Cost: true, Value: pendulumDefaults[pendulumWeightSpin]},
		pendulumWeightU:    {Name: "weight_u", Cost: true, Value: pendulumDefaults[pendulumWeightU]},
	}
}

// Step implements Env.
func (e Pendulum) Step(x, u *G.Node, p ParamNodes) (*G.Node, error) {
	b := Build(e, x, u, p)
	cos, sin, spin := b.X(0), b.X(1), b.X(2)
	l, dt := b.P("length"), b.Const(e.Dt())
	fall := b.Mul(b.Div(b.Mul(b.Const(1.5), b.P("gravity")), l), sin)
	push := b.Div(b.Mul(b.Const(3), b.Clamped(0)), b.Mul(b.P("mass"), b.Square(l)))
	spin = b.Add(spin, b.Mul(dt, b.Add(fall, push)))
	cos, sin = b.Turn(cos, sin, b.Mul(dt, spin))
	return b.State(cos, sin, spin)
}

// Cost implements Env.
func (e Pendulum) Cost(x, u *G.Node, p ParamNodes) (*G.Node, error) {
	b := Build(e, x, u, p)
	return b.Value(b.Add(
		b.Mul(b.P("weight_cos"), b.Square(b.Sub(b.X(0), b.Const(1)))),
		b.Mul(b.P("weight_sin"), b.Square(b.X(1))),
		b.Mul(b.P("weight_dth"), b.Square(b.X(2))),
		b.Mul(b.P("weight_u"), b.Square(b.U(0)))))
}

// StepGo implements Env.
func (e Pendulum) StepGo(next, x, u, params []float64) {
	if params == nil {
		params = pendulumDefaults
	}
	l, torque, dt := params[pendulumLength], or(e.Torque, 2), e.Dt()
	fall := 1.5 * params[pendulumGravity] / l * x[1]
	push := 3 * Clamp(u[0], -torque, torque) / (params[pendulumMass] * (l * l))
	spin := x[2] + dt*(fall+push)
	next[0], next[1] = Turn(x[0], x[1], dt*spin)
	next[2] = spin
}

// CostGo implements Env.
func (e Pendulum) CostGo(x, u, params []float64) float64 {
	if params == nil {
		params = pendulumDefaults
	}
	return params[pendulumWeightCos]*(x[0]-1)*(x[0]-1) + params[pendulumWeightSin]*x[1]*x[1] +
		params[pendulumWeightSpin]*x[2]*x[2] + params[pendulumWeightU]*u[0]*u[0]
}

// Reset implements Env: any angle, dtheta in [-1, 1].
func (Pendulum) Reset(rng func() float64, x []float64) {
	x[1], x[0] = math.Sincos(math.Pi * (2*rng() - 1))
	x[2] = 2*rng() - 1
}

// Draw implements Env: the rod as long as it is, the place where it should stand, and the torque as an arc.
func (e Pendulum) Draw(img draw.Image, x, u []float64) { e.drawWith(img, x, u, pendulumDefaults) }

func (e Pendulum) drawWith(img draw.Image, x, u, params []float64) {
	l := params[pendulumLength]
	size := math.Max(1, l) // a longer rod is shown whole
	s := newSketch(img, 2.7*size, 2.7*size)
	defer s.show(img)
	s.disc(point{}, l, ring)
	s.disc(point{}, 0.985*l, paper)
	for i := range 6 { // the goal, dashed
		s.line(0.018, ghost, point{0, l * (float64(i)/6 + 0.03)}, point{0, l * (float64(i)/6 + 0.1)})
	}
	s.disc(point{0, l}, 0.06, ghost)
	s.disc(point{0, l}, 0.042, paper)
	if !drawable(x) {
		s.lost()
		return
	}
	tip := point{l * x[1], l * x[0]} // theta turns clockwise
	s.line(0.11*size, blue, point{}, tip)
	s.disc(tip, 0.1*size, blue)
	if len(u) > 0 && drawable(u) {
		_, upper := e.Bounds()
		s.swirl(0.3, Clamp(u[0]/upper[0], -1, 1), vermilion)
	}
	s.disc(point{}, 0.075, ink)
	s.disc(point{}, 0.03, paper)
}
