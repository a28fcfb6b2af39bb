package env_test

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/models/env"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Spring is a mass on a spring, to be brought to rest: the least an environment is.
type Spring struct{}

var springDefaults = []float64{1, 4}

func (Spring) Name() string                     { return "spring" }
func (Spring) StateDim() int                    { return 2 }
func (Spring) ControlDim() int                  { return 1 }
func (Spring) States() []string                 { return []string{"x", "v"} }
func (Spring) Controls() []string               { return []string{"f"} }
func (Spring) Bounds() (lower, upper []float64) { return []float64{-1}, []float64{1} }
func (Spring) Dt() float64                      { return 0.1 }

func (Spring) Params() []env.Param {
	return []env.Param{{Name: "mass", Unit: "kg", Value: springDefaults[0]},
		{Name: "stiffness", Unit: "N/m", Value: springDefaults[1]}}
}

func (e Spring) Step(x, u *G.Node, p env.ParamNodes) (*G.Node, error) {
	b := env.Build(e, x, u, p)
	dt := b.Const(e.Dt())
	force := b.Sub(b.Clamped(0), b.Mul(b.P("stiffness"), b.X(0)))
	v := b.Add(b.X(1), b.Mul(dt, b.Div(force, b.P("mass"))))
	return b.State(b.Add(b.X(0), b.Mul(dt, v)), v)
}

func (e Spring) Cost(x, u *G.Node, p env.ParamNodes) (*G.Node, error) {
	b := env.Build(e, x, u, p)
	return b.Value(b.Add(b.Square(b.X(0)), b.Square(b.X(1))))
}

func (e Spring) StepGo(next, x, u, params []float64) {
	if params == nil {
		params = springDefaults
	}
	v := x[1] + e.Dt()*(env.Clamp(u[0], -1, 1)-params[1]*x[0])/params[0]
	next[0], next[1] = x[0]+e.Dt()*v, v
}

func (Spring) CostGo(x, _, _ []float64) float64 { return x[0]*x[0] + x[1]*x[1] }

func (Spring) Reset(rng func() float64, x []float64) { x[0], x[1] = 2*rng()-1, 0 }

func (Spring) Draw(img draw.Image, x, _ []float64) {
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	img.Set(img.Bounds().Dx()/2+int(20*x[0]), img.Bounds().Dy()/2, color.Black)
}

// A rollout of an environment of one's own, in plain Go and as a graph, and what the stiffness does to its cost.
func ExampleEnv() {
	e, x0, u := Spring{}, []float64{1, 0}, []float64{1, 0, -1, -2, 0}
	_, cost, err := env.RolloutGo(e, x0, u, nil, env.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.4f\n", cost)

	g := G.NewGraph()
	node := func(name string, values []float64, shape ...int) *G.Node {
		return G.NodeFromAny(g, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(values)), G.WithName(name))
	}
	stiffness := node("stiffness", []float64{4}, 1)
	_, costs, err := env.Rollout(e, node("x0", x0, 1, 2), node("u", u, 1, len(u), 1),
		env.ParamNodes{"stiffness": stiffness}, env.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	gradient, err := autodiff.Gradients(G.Must(G.Sum(costs)), stiffness)
	if err != nil {
		fmt.Println(err)
		return
	}
	vm, err := engine.NewVM(g, engine.Outputs(costs, gradient[0]))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.4f %.4f\n", costs.Value(), gradient[0].Value())
	// Output:
	// 8.0938
	// [8.0938] [1.6993]
}
