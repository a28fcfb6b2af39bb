package env

import (
	"fmt"
	"image/draw"
	"math"
	"slices"
	"strings"

	G "gorgonia.org/gorgonia"
)

// An Env is a controlled system in discrete time: x' = step(x, u) at the cost c(x, u). States have S elements,
// controls U, problems of a batch B. All values are in SI units.
//
// The dynamics are said twice, as graph nodes to differentiate and in plain Go to simulate, and must agree: every
// test of this package runs over both. Neither limits a state; dynamics that blow up give Inf and NaN. The methods do
// not change the Env, so that many may run at once.
type Env interface {
	Name() string
	StateDim() int
	ControlDim() int
	// States and Controls name the elements, for the columns of tables and the axes of figures.
	States() []string
	Controls() []string
	// Bounds are the least and the greatest control, each (U). The step clamps to them; the cost sees what was asked.
	Bounds() (lower, upper []float64)
	// Dt is the duration of a step, in seconds.
	Dt() float64
	// Params are what the dynamics and the cost depend on, always in the same order.
	Params() []Param
	// Step adds one step to the graph: x (B,S), u (B,U) -> the next state (B,S).
	Step(x, u *G.Node, p ParamNodes) (*G.Node, error)
	// Cost adds the cost of one step: x (B,S), u (B,U) -> (B).
	Cost(x, u *G.Node, p ParamNodes) (*G.Node, error)
	// StepGo sets next (S), which may be x itself, to the state after x (S) under u (U). params are in the order of
	// Params; nil means their defaults.
	StepGo(next, x, u, params []float64)
	// CostGo is the cost of one step.
	CostGo(x, u, params []float64) float64
	// Reset sets x (S) to a random initial state; rng gives uniform numbers in [0,1).
	Reset(rng func() float64, x []float64)
	// Draw fills img with a picture of the state x under the control u (nil: none).
	Draw(img draw.Image, x, u []float64)
}

// A Param is a number in the dynamics or in the cost of an Env.
type Param struct {
	Name  string
	Value float64 // the default
	Unit  string  // "" where it has none
	Cost  bool    // it is a weight of the cost, and the dynamics do not know it
	// Positive says that it must be above 0, as masses and lengths must. With checks it; values of nodes are the
	// caller's to keep there.
	Positive bool
}

// ParamNodes are nodes in the place of parameters' defaults, by name: learnable, or of any other origin. A node is a
// scalar, a (1), or a (B) with a value for each problem of the batch, of the element type of the states. Parameters
// that are absent, or nil, are constants of their default.
type ParamNodes map[string]*G.Node

// all are the environments of this package, by name.
var all = []Env{Cartpole{}, Pendulum{}, DoubleIntegrator{}}

// Names lists what ByName knows.
func Names() []string {
	names := make([]string, len(all))
	for i, e := range all {
		names[i] = e.Name()
	}
	return names
}

// ByName is the environment of that name, in its default setting.
func ByName(name string) (Env, error) {
	for _, e := range all {
		if e.Name() == name {
			return e, nil
		}
	}
	return nil, fmt.Errorf("env: no environment %q, want one of %s", name, strings.Join(Names(), ", "))
}

// Defaults are the values of the parameters, in their order.
func Defaults(e Env) []float64 {
	params := e.Params()
	values := make([]float64, len(params))
	for i, p := range params {
		values[i] = p.Value
	}
	return values
}

// With is e with other defaults of the named parameters: another plant, or another task. Values must be finite, and
// above 0 where the parameter is Positive.
func With(e Env, values map[string]float64) (Env, error) {
	params := slices.Clone(e.Params())
	known := 0
	for i, p := range params {
		if v, ok := values[p.Name]; ok {
			if math.IsNaN(v) || math.IsInf(v, 0) || p.Positive && v <= 0 {
				return nil, fmt.Errorf("env: %s's %s is %v, want a finite number%s", e.Name(), p.Name, v, above(p))
			}
			params[i].Value = v
			known++
		}
	}
	if known < len(values) {
		for name := range values {
			if err := checkParam(e, name); err != nil {
				return nil, err
			}
		}
	}
	w := changed{Env: e, params: params}
	w.values = Defaults(w)
	return w, nil
}

func above(p Param) string {
	if p.Positive {
		return " above 0"
	}
	return ""
}

// changed is an Env with other defaults.
type changed struct {
	Env
	params []Param
	values []float64
}

func (c changed) Params() []Param { return slices.Clone(c.params) }

func (c changed) Step(x, u *G.Node, p ParamNodes) (*G.Node, error) {
	p, err := c.fill(p)
	if err != nil {
		return nil, err
	}
	return c.Env.Step(x, u, p)
}

func (c changed) Cost(x, u *G.Node, p ParamNodes) (*G.Node, error) {
	p, err := c.fill(p)
	if err != nil {
		return nil, err
	}
	return c.Env.Cost(x, u, p)
}

// fill is p with a constant for every parameter that it leaves out.
func (c changed) fill(p ParamNodes) (ParamNodes, error) {
	if err := p.check(c.Env); err != nil {
		return nil, err
	}
	full := make(ParamNodes, len(c.params))
	for _, param := range c.params {
		full[param.Name] = p[param.Name]
		if full[param.Name] == nil {
			full[param.Name] = G.NewConstant(param.Value) // of either type: a Builder takes its number
		}
	}
	return full, nil
}

// drawer draws what depends on its parameters.
type drawer interface {
	drawWith(img draw.Image, x, u, params []float64)
}

// Draw implements Env: the picture is that of the parameters.
func (c changed) Draw(img draw.Image, x, u []float64) { c.drawWith(img, x, u, c.values) }

func (c changed) drawWith(img draw.Image, x, u, params []float64) {
	if d, ok := c.Env.(drawer); ok {
		d.drawWith(img, x, u, params)
		return
	}
	c.Env.Draw(img, x, u)
}

func (c changed) StepGo(next, x, u, params []float64) { c.Env.StepGo(next, x, u, c.or(params)) }

func (c changed) CostGo(x, u, params []float64) float64 { return c.Env.CostGo(x, u, c.or(params)) }

func (c changed) or(params []float64) []float64 {
	if params == nil {
		return c.values
	}
	return params
}

func checkParam(e Env, name string) error {
	var names []string
	for _, p := range e.Params() {
		if p.Name == name {
			return nil
		}
		names = append(names, p.Name)
	}
	return fmt.Errorf("env: %s has no parameter %q, only %s", e.Name(), name, strings.Join(names, ", "))
}

// check reports a name that e does not have: the first in alphabetical order.
func (p ParamNodes) check(e Env) error {
	if len(p) == 0 {
		return nil
	}
	names := make([]string, 0, len(p))
	for name := range p {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := checkParam(e, name); err != nil {
			return err
		}
	}
	return nil
}
