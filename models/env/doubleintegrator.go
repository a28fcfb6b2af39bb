package env

import (
	"image/draw"
	"math"

	G "gorgonia.org/gorgonia"
)

// DoubleIntegrator is a body in the plane that a force pushes past obstacles to a goal. Its state is (px, py, vx,
// vy); its control the force (fx, fy), in newtons. It is integrated by semi-implicit Euler steps of Delta seconds.
// Obstacles repel softly, and as there is a way past each on either side the cost is not convex in the controls:
//
//	v' = v + Delta u / m, p' = p + Delta v'
//	cost = w_goal |p - goal|^2 + w_v |v|^2 + w_u |u|^2 + w_obstacle sum_i exp(2 - 2 |p - c_i|^2 / r_i^2)
//
// An obstacle costs w_obstacle on its rim, and e^2 times as much in its centre.
type DoubleIntegrator struct {
	Delta     float64  // 0: 0.1 s
	Force     float64  // the greatest along each axis; 0: 1 N
	Obstacles []Circle // nil: three between the start and the goal
}

// A Circle is an obstacle: its centre and its radius, in metres.
type Circle struct{ X, Y, R float64 }

// The parameters' places.
const (
	bodyMass = iota
	bodyGoalX
	bodyGoalY
	bodyWeightGoal
	bodyWeightV
	bodyWeightU
	bodyWeightObstacle
)

var (
	bodyDefaults  = []float64{1, 1.5, 0, 1, 0.1, 0.01, 2}
	bodyObstacles = []Circle{{0, 0.05, 0.5}, {-0.3, -1.1, 0.3}, {0.25, 1.15, 0.3}}
)

// Name implements Env.
func (DoubleIntegrator) Name() string { return "doubleintegrator" }

// StateDim implements Env.
func (DoubleIntegrator) StateDim() int { return 4 }

// ControlDim implements Env.
func (DoubleIntegrator) ControlDim() int { return 2 }

// States implements Env.
func (DoubleIntegrator) States() []string { return []string{"px", "py", "vx", "vy"} }

// Controls implements Env.
func (DoubleIntegrator) Controls() []string { return []string{"fx", "fy"} }

// Bounds implements Env.
func (e DoubleIntegrator) Bounds() (lower, upper []float64) {
	f := or(e.Force, 1)
	return []float64{-f, -f}, []float64{f, f}
}

// Dt implements Env.
func (e DoubleIntegrator) Dt() float64 { return or(e.Delta, 0.1) }

func (e DoubleIntegrator) obstacles() []Circle {
	if e.Obstacles == nil {
		return bodyObstacles
	}
	return e.Obstacles
}

// Params implements Env.
func (DoubleIntegrator) Params() []Param {
	return []Param{
		bodyMass:           {Name: "mass", Unit: "kg", Positive: true, Value: bodyDefaults[bodyMass]},
		bodyGoalX:          {Name: "goal_x", Unit: "m", Cost: true, Value: bodyDefaults[bodyGoalX]},
		bodyGoalY:          {Name: "goal_y", Unit: "m", Cost: true, Value: bodyDefaults[bodyGoalY]},
		bodyWeightGoal:     {Name: "weight_goal", Cost: true, Value: bodyDefaults[bodyWeightGoal]},
		bodyWeightV:        {Name: "weight_v", Cost: true, Value: bodyDefaults[bodyWeightV]},
		bodyWeightU:        {Name: "weight_u", Cost: true, Value: bodyDefaults[bodyWeightU]},
		bodyWeightObstacle: {Name: "weight_obstacle", Cost: true, Value: bodyDefaults[bodyWeightObstacle]},
	}
}

// Step implements Env.
func (e DoubleIntegrator) Step(x, u *G.Node, p ParamNodes) (*G.Node, error) {
	b := Build(e, x, u, p)
	dt := b.Const(e.Dt())
	gain := b.Div(dt, b.P("mass"))
	vx, vy := b.Add(b.X(2), b.Mul(gain, b.Clamped(0))), b.Add(b.X(3), b.Mul(gain, b.Clamped(1)))
	return b.State(b.Add(b.X(0), b.Mul(dt, vx)), b.Add(b.X(1), b.Mul(dt, vy)), vx, vy)
}

// Cost implements Env.
func (e DoubleIntegrator) Cost(x, u *G.Node, p ParamNodes) (*G.Node, error) {
	b := Build(e, x, u, p)
	length := func(x, y Expr) Expr { return b.Add(b.Square(x), b.Square(y)) } // squared
	cost := b.Add(
		b.Mul(b.P("weight_goal"), length(b.Sub(b.X(0), b.P("goal_x")), b.Sub(b.X(1), b.P("goal_y")))),
		b.Mul(b.P("weight_v"), length(b.X(2), b.X(3))),
		b.Mul(b.P("weight_u"), length(b.U(0), b.U(1))))
	near := b.Const(0)
	for _, c := range e.obstacles() {
		far := length(b.Sub(b.X(0), b.Const(c.X)), b.Sub(b.X(1), b.Const(c.Y)))
		near = b.Add(near, b.Exp(b.Sub(b.Const(2), b.Mul(b.Const(2/(c.R*c.R)), far))))
	}
	return b.Value(b.Add(cost, b.Mul(b.P("weight_obstacle"), near)))
}

// StepGo implements Env.
func (e DoubleIntegrator) StepGo(next, x, u, params []float64) {
	if params == nil {
		params = bodyDefaults
	}
	dt, force := e.Dt(), or(e.Force, 1)
	gain := dt / params[bodyMass]
	for i := range 2 {
		v := x[2+i] + gain*Clamp(u[i], -force, force)
		next[i], next[2+i] = x[i]+dt*v, v
	}
}

// CostGo implements Env.
func (e DoubleIntegrator) CostGo(x, u, params []float64) float64 {
	if params == nil {
		params = bodyDefaults
	}
	length := func(x, y float64) float64 { return x*x + y*y } // squared
	cost := params[bodyWeightGoal]*length(x[0]-params[bodyGoalX], x[1]-params[bodyGoalY]) +
		params[bodyWeightV]*length(x[2], x[3]) + params[bodyWeightU]*length(u[0], u[1])
	near := 0.0
	for _, c := range e.obstacles() {
		near += math.Exp(2 - 2/(c.R*c.R)*length(x[0]-c.X, x[1]-c.Y))
	}
	return cost + params[bodyWeightObstacle]*near
}

// Reset implements Env: at rest, on the side of the obstacles where the goal is not.
func (DoubleIntegrator) Reset(rng func() float64, x []float64) {
	x[0], x[1] = -1.7+0.4*rng(), 1.6*rng()-0.8
	x[2], x[3] = 0, 0
}

// Draw implements Env: obstacles, the goal, the body with its velocity, and the force.
func (e DoubleIntegrator) Draw(img draw.Image, x, u []float64) { e.drawWith(img, x, u, bodyDefaults) }

func (e DoubleIntegrator) drawWith(img draw.Image, x, u, params []float64) {
	s := newSketch(img, 4.2, 3.4)
	defer s.show(img)
	for i := -4.0; i <= 4; i++ {
		s.line(0.012, grid, point{i / 2, -20}, point{i / 2, 20})
		s.line(0.012, grid, point{-20, i / 2}, point{20, i / 2})
	}
	for _, c := range e.obstacles() {
		for k := range 5 { // its cost reaches beyond its rim
			s.disc(point{c.X, c.Y}, c.R*(1+0.1*float64(5-k)), halo)
		}
		s.disc(point{c.X, c.Y}, c.R, stone)
	}
	s.star(point{params[bodyGoalX], params[bodyGoalY]}, 0.14, green)
	if !drawable(x) {
		s.lost()
		return
	}
	at := point{x[0], x[1]}
	s.line(0.035, sky, at, point{x[0] + 0.5*x[2], x[1] + 0.5*x[3]})
	if len(u) > 1 && drawable(u) {
		_, upper := e.Bounds()
		s.arrow(0.05, vermilion, at, point{x[0] + 0.45*Clamp(u[0]/upper[0], -1, 1),
			x[1] + 0.45*Clamp(u[1]/upper[1], -1, 1)})
	}
	s.disc(at, 0.1, ink)
	s.disc(at, 0.078, blue)
}
