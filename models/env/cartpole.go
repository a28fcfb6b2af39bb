package env

import (
	"image/draw"
	"math"

	G "gorgonia.org/gorgonia"
)

// Cartpole is a pole hinged to a cart that a horizontal force pushes along a rail. Its state is (x, dx, cos theta,
// sin theta, dtheta), with theta = 0 where the pole stands upright; its control the force, in newtons. It is
// integrated by explicit Euler steps of Delta seconds; the cost asks for an upright pole in the middle of the rail:
//
//	f = (u + m l dtheta^2 sin theta) / (M + m)
//	ddtheta = (g sin theta - cos theta f) / (l (4/3 - m cos^2 theta / (M + m)))
//	ddx = f - m l ddtheta cos theta / (M + m)
//	cost = -(w_cos cos theta - w_x x^2 - w_u u^2)
//
// with the masses M and m of cart and pole, and half the pole's length, l.
type Cartpole struct {
	Delta float64 // 0: 0.05 s
	Force float64 // the greatest; 0: 100 N
}

// The parameters' places.
const (
	cartMass = iota
	poleMass
	poleLength
	cartGravity
	cartWeightCos
	cartWeightX
	cartWeightU
)

var cartpoleDefaults = []float64{1, 0.1, 0.5, 9.8, 1, 0.1, 1e-5}

// Name implements Env.
func (Cartpole) Name() string { return "cartpole" }

// StateDim implements Env.
func (Cartpole) StateDim() int { return 5 }

// ControlDim implements Env.
func (Cartpole) ControlDim() int { return 1 }

// States implements Env.
func (Cartpole) States() []string { return []string{"x", "dx", "cos", "sin", "dth"} }

// Controls implements Env.
func (Cartpole) Controls() []string { return []string{"u"} }

// Bounds implements Env.
func (c Cartpole) Bounds() (lower, upper []float64) {
	f := or(c.Force, 100)
	return []float64{-f}, []float64{f}
}

// Dt implements Env.
func (c Cartpole) Dt() float64 { return or(c.Delta, 0.05) }

func or(v, otherwise float64) float64 {
	if v == 0 {
		return otherwise
	}
	return v
}

// Params implements Env.
func (Cartpole) Params() []Param {
	return []Param{
		cartMass:      {Name: "masscart", Unit: "kg", Positive: true, Value: cartpoleDefaults[cartMass]},
		poleMass:      {Name: "masspole", Unit: "kg", Positive: true, Value: cartpoleDefaults[poleMass]},
		poleLength:    {Name: "length", Unit: "m", Positive: true, Value: cartpoleDefaults[poleLength]},
		cartGravity:   {Name: "gravity", Unit: "m/s^2", Value: cartpoleDefaults[cartGravity]},
		cartWeightCos: {Name: "weight_cos", Cost: true, Value: cartpoleDefaults[cartWeightCos]},
		cartWeightX:   {Name: "weight_x", Cost: true, Value: cartpoleDefaults[cartWeightX]},
		cartWeightU:   {Name: "weight_u", Cost: true, Value: cartpoleDefaults[cartWeightU]},
	}
}

// Step implements Env.
func (c Cartpole) Step(x, u *G.Node, p ParamNodes) (*G.Node, error) {
	b := Build(c, x, u, p)
	pos, vel, cos, sin, spin := b.X(0), b.X(1), b.X(2), b.X(3), b.X(4)
	m, l := b.P("masspole"), b.P("length")
	all, dt := b.Add(b.P("masscart"), m), b.Const(c.Dt())
	ml := b.Mul(m, l)
	f := b.Div(b.Add(b.Clamped(0), b.Mul(b.Mul(ml, b.Square(spin)), sin)), all)
	inertia := b.Mul(l, b.Sub(b.Const(4./3), b.Div(b.Mul(m, b.Square(cos)), all)))
	ddth := b.Div(b.Sub(b.Mul(b.P("gravity"), sin), b.Mul(cos, f)), inertia)
	ddx := b.Sub(f, b.Div(b.Mul(b.Mul(ml, ddth), cos), all))
	cos, sin = b.Turn(cos, sin, b.Mul(dt, spin))
	return b.State(b.Add(pos, b.Mul(dt, vel)), b.Add(vel, b.Mul(dt, ddx)), cos, sin, b.Add(spin, b.Mul(dt, ddth)))
}

// Cost implements Env.
func (c Cartpole) Cost(x, u *G.Node, p ParamNodes) (*G.Node, error) {
	b := Build(c, x, u, p)
	far := b.Add(b.Mul(b.P("weight_x"), b.Square(b.X(0))), b.Mul(b.P("weight_u"), b.Square(b.U(0))))
	return b.Value(b.Sub(far, b.Mul(b.P("weight_cos"), b.X(2))))
}

// StepGo implements Env.
func (c Cartpole) StepGo(next, x, u, params []float64) {
	if params == nil {
		params = cartpoleDefaults
	}
	pos, vel, cos, sin, spin := x[0], x[1], x[2], x[3], x[4]
	m, l, dt, force := params[poleMass], params[poleLength], c.Dt(), or(c.Force, 100)
	all := params[cartMass] + m
	f := (Clamp(u[0], -force, force) + m*l*(spin*spin)*sin) / all
	inertia := l * (4./3 - m*(cos*cos)/all)
	ddth := (params[cartGravity]*sin - cos*f) / inertia
	ddx := f - m*l*ddth*cos/all
	next[0], next[1] = pos+dt*vel, vel+dt*ddx
	next[2], next[3] = Turn(cos, sin, dt*spin)
	next[4] = spin + dt*ddth
}

// CostGo implements Env.
func (c Cartpole) CostGo(x, u, params []float64) float64 {
	if params == nil {
		params = cartpoleDefaults
	}
	return params[cartWeightX]*(x[0]*x[0]) + params[cartWeightU]*(u[0]*u[0]) - params[cartWeightCos]*x[2]
}

// Reset implements Env: x and dx in [-0.5, 0.5], theta in [-pi, pi], dtheta in [-1, 1].
func (Cartpole) Reset(rng func() float64, x []float64) {
	x[0], x[1] = rng()-0.5, rng()-0.5
	x[3], x[2] = math.Sincos(math.Pi * (2*rng() - 1))
	x[4] = 2*rng() - 1
}

// Draw implements Env: the rail, marked at every metre, the cart, the pole as long as it is, and the force. A cart that leaves the
// picture takes it along.
func (c Cartpole) Draw(img draw.Image, x, u []float64) { c.drawWith(img, x, u, cartpoleDefaults) }

func (c Cartpole) drawWith(img draw.Image, x, u, params []float64) {
	const rail, top = -0.42, 0.1 // heights of the rail and of the hinge
	length := 2 * params[poleLength]
	size := math.Max(1, length) // a longer pole is shown whole
	s := newSketch(img, 6*size, 3*size)
	defer s.show(img)
	if drawable(x) {
		s.centre.x = x[0] - Clamp(x[0], -1.4, 1.4)
	}
	reach := math.Min(9*size, 100)
	s.line(0.03, ghost, point{s.centre.x - 20*size, rail}, point{s.centre.x + 20*size, rail})
	for m := math.Ceil(s.centre.x) - reach; m <= s.centre.x+reach; m++ {
		c, l := ghost, 0.1
		if m == 0 {
			c, l = steel, 0.2
		}
		s.line(0.025, c, point{m, rail - 0.03}, point{m, rail - 0.03 - l})
	}
	if !drawable(x) {
		s.lost()
		return
	}
	at := x[0]
	if len(u) > 0 && drawable(u) {
		_, upper := c.Bounds()
		f := Clamp(u[0]/upper[0], -1, 1)
		side := math.Copysign(0.42, f)
		s.arrow(0.07, vermilion, point{at + side, -0.12}, point{at + side + 1.1*f, -0.12})
	}
	s.disc(point{at - 0.22, rail + 0.1}, 0.09, ink)
	s.disc(point{at + 0.22, rail + 0.1}, 0.09, ink)
	s.box(point{at - 0.36, rail + 0.12}, point{at + 0.36, top}, 0.06, steel)
	hinge := point{at, top - 0.04}
	s.line(0.1*size, blue, hinge, point{at + length*x[3], hinge.y + length*x[2]}) // theta turns clockwise
	s.disc(hinge, 0.055, ink)
	s.disc(hinge, 0.022, paper)
}
