package frontend

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/cpu"
	"github.com/godcem/godcem/engine/backend/ref"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/pass"
	"github.com/godcem/godcem/engine/plan"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A gradient is a way to add derivatives to a graph.
type gradient struct {
	name string
	of   func(cost *G.Node, wrt ...*G.Node) (G.Nodes, error)
}

var gradients = []gradient{
	{byGrad, G.Grad},
	{byGradients, autodiff.Gradients},
}

// A world is a case's graph with values bound: y, and the gradients of sum(y*weights) if they are asked for.
type world struct {
	g     *G.ExprGraph
	x     G.Nodes
	wants G.Nodes     // y, then the gradient of each float input
	vals  [][]float64 // of x
}

func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

func (c *opCase) world(dt tensor.Dtype, d *gradient) (w *world, err error) {
	w = &world{g: G.NewGraph()}
	rng := rand.New(rand.NewPCG(1, uint64(len(c.inputs))))
	for i, in := range c.inputs {
		vals := make([]float64, tensor.Shape(in.shape).TotalSize())
		var v any
		if in.ints != nil {
			v = tensor.New(tensor.WithShape(in.shape...), tensor.WithBacking(append([]int(nil), in.ints...)))
			w.x = append(w.x, G.NewTensor(w.g, tensor.Int, len(in.shape), G.WithShape(in.shape...),
				G.WithName(fmt.Sprint("x", i)), G.WithValue(v)))
			w.vals = append(w.vals, vals)
			continue
		}
		for j := range vals {
			vals[j] = float64(float32(in.lo + (in.hi-in.lo)*rng.Float64()))
		}
		w.x = append(w.x, bound(w.g, dt, in.shape, vals, fmt.Sprint("x", i)))
		w.vals = append(w.vals, vals)
	}
	var y *G.Node
	err = guard(func() (err error) { y, err = c.build(dt, w.x); return err })
	if err != nil {
		return nil, err
	}
	w.wants = G.Nodes{y}
	if d == nil {
		return w, nil
	}
	err = guard(func() error {
		weights := make([]float64, max(1, y.Shape().TotalSize()))
		for j := range weights {
			weights[j] = float64(float32(.5 + rng.Float64()))
		}
		cost, err := y, error(nil)
		if !c.plain || !y.IsScalar() {
			cost, err = G.HadamardProd(y, bound(w.g, dt, y.Shape(), weights, "weights"))
		}
		if err == nil && cost.Dims() == 2 && cost.Shape()[1] == 1 { // Gorgonia cannot sum a column
			cost, err = G.Ravel(cost)
		}
		if err == nil && !cost.IsScalar() {
			cost, err = G.Sum(cost)
		}
		if err != nil {
			return err
		}
		var wrt G.Nodes
		for i, x := range w.x {
			if c.inputs[i].ints == nil {
				wrt = append(wrt, x)
			}
		}
		grads, err := d.of(cost, wrt...)
		w.wants = append(w.wants, grads...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// bound is an input with a value.
func bound(g *G.ExprGraph, dt tensor.Dtype, shape []int, vals []float64, name string) *G.Node {
	var v any
	if dt == tensor.Float32 {
		d := make([]float32, len(vals))
		for i := range d {
			d[i] = float32(vals[i])
		}
		v = tensor.New(tensor.WithShape(shape...), tensor.WithBacking(d))
		if len(shape) == 0 {
			v = d[0]
		}
	} else {
		v = tensor.New(tensor.WithShape(shape...), tensor.WithBacking(append([]float64(nil), vals...)))
		if len(shape) == 0 {
			v = vals[0]
		}
	}
	if len(shape) == 0 {
		return G.NewScalar(g, dt, G.WithName(name), G.WithValue(v))
	}
	return G.NewTensor(g, dt, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(v))
}

// tape runs a case on Gorgonia's TapeMachine.
func (c *opCase) tape(dt tensor.Dtype, d *gradient) ([][]float64, error) {
	w, err := c.world(dt, d)
	if err != nil {
		return nil, err
	}
	reads := make([]G.Value, len(w.wants))
	for i, n := range w.wants {
		G.Read(n, &reads[i])
	}
	var opts []G.VMOpt
	if c.eval {
		opts = append(opts, G.EvalMode())
	}
	if err := guard(func() error {
		vm := G.NewTapeMachine(w.g, opts...)
		defer vm.Close()
		return vm.RunAll()
	}); err != nil {
		return nil, err
	}
	out := make([][]float64, len(reads))
	for i, v := range reads {
		flat, err := Flat(v)
		if err != nil {
			return nil, err
		}
		out[i] = floats(flat)
	}
	return out, nil
}

// imported is a case's graph in the representation.
func (c *opCase) imported(dt tensor.Dtype, d *gradient) (*world, *Module, error) {
	w, err := c.world(dt, d)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range w.g.AllNodes() {
		if op, ok := n.Op().(G.TrainModeOp); ok {
			op.SetTraining(!c.eval)
		}
	}
	m, err := Import(w.g, Options{All: true, Wanted: w.wants})
	if err == nil {
		err = m.Graph.Verify()
	}
	return w, m, err
}

// A device evaluates the wanted nodes of a module.
type device struct {
	name string
	run  func(m *Module) ([]any, error)
}

func feed(m *Module, g *ir.Graph, errp *error) func(ir.ID) any {
	return func(id ir.ID) any {
		v, err := m.Value(g.Nodes[id].Src)
		if err == nil {
			var data any
			if data, err = Flat(v); err == nil {
				return data
			}
		}
		*errp = err
		return nil
	}
}

var devices = []device{
	{"ref", func(m *Module) (out []any, err error) {
		var ferr error
		if out, err = ref.Eval(m.Graph, feed(m, m.Graph, &ferr)); ferr != nil {
			err = ferr
		}
		return out, err
	}},
	{"passes and ref", func(m *Module) (out []any, err error) {
		g, _, err := pass.Run(m.Graph, pass.Options{Verify: true})
		if err != nil {
			return nil, err
		}
		var ferr error
		if out, err = ref.Eval(g, feed(m, g, &ferr)); ferr != nil {
			err = ferr
		}
		return out, err
	}},
}

func init() {
	devices = append(devices, device{"cpu", func(m *Module) ([]any, error) {
		g, _, err := pass.Run(m.Graph, pass.Options{Verify: true})
		if err != nil {
			return nil, err
		}
		p, err := plan.New(g, plan.Options{})
		if err != nil {
			return nil, err
		}
		return execute(m, p, cpu.New())
	}})
}

// execute runs a program once.
func execute(m *Module, p *plan.Program, d backend.Device) ([]any, error) {
	defer d.Close()
	x, err := d.Compile(p)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	for _, b := range p.Inputs {
		v, err := m.Value(p.Graph.Nodes[b.Node].Src)
		if err != nil {
			return nil, err
		}
		data, err := Flat(v)
		if err == nil && b.Buf >= 0 {
			err = x.Write(b.Buf, data)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := x.Run(nil); err != nil {
		return nil, err
	}
	if err := x.Sync(); err != nil {
		return nil, err
	}
	var out []any
	for _, b := range p.Outputs {
		n := &p.Graph.Nodes[b.Node]
		dst := ir.MakeSlice(n.Type, n.Count())
		if b.Buf >= 0 {
			if err := x.Read(b.Buf, dst); err != nil {
				return nil, err
			}
		}
		out = append(out, dst)
	}
	return out, nil
}

// engine runs a case on a device.
func (c *opCase) engine(dt tensor.Dtype, d *gradient, dev device) ([][]float64, error) {
	w, m, err := c.imported(dt, d)
	if err != nil {
		return nil, err
	}
	vals, err := dev.run(m)
	if err != nil {
		return nil, err
	}
	return wanted(w, m, vals)
}

func wanted(w *world, m *Module, vals []any) ([][]float64, error) {
	at := map[int32]int{}
	for i, src := range m.Wants {
		at[src] = i
	}
	var out [][]float64
	for _, n := range w.wants {
		i, ok := at[m.Number(n)]
		if !ok {
			return nil, fmt.Errorf("no output for %v", n)
		}
		out = append(out, floats(vals[i]))
	}
	return out, nil
}

func floats(flat any) []float64 {
	var f []float64
	switch d := flat.(type) {
	case []float32:
		for _, v := range d {
			f = append(f, float64(v))
		}
	case []float64:
		f = append(f, d...)
	case []int:
		for _, v := range d {
			f = append(f, float64(v))
		}
	case []int64:
		for _, v := range d {
			f = append(f, float64(v))
		}
	case []bool:
		for _, v := range d {
			x := 0.
			if v {
				x = 1
			}
			f = append(f, x)
		}
	}
	return f
}

// compare reports where got is not want, relative to the largest entry.
func compare(got, want []float64, tol float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d elements, want %d", len(got), len(want))
	}
	scale := 0.
	for _, v := range want {
		if !math.IsInf(v, 0) {
			scale = max(scale, math.Abs(v))
		}
	}
	for i := range want {
		if got[i] == want[i] { // infinities
			continue
		}
		if diff := math.Abs(got[i] - want[i]); !(diff <= tol*scale) {
			return fmt.Errorf("element %d is %v, want %v (off by %.3g of the largest, %v)\n got %v\nwant %v", i, got[i],
				want[i], diff/scale, scale, got, want)
		}
	}
	return nil
}
