package ref

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
)

// An UpdateInfo says what an optimiser's step did.
type UpdateInfo struct {
	kernels.StepInfo
	Loss float64 // 0 where the update has none
}

// step does an update on params and grads, of which element i belongs to Params[i], with the learning rate that s
// holds and s's moments. The step is skipped, and nothing changes, if the loss or the norm of the gradients is not
// finite.
func step[T kernels.Float](o kernels.Optimizer, rate, loss float64, s *kernels.OptimizerState[T], params,
	grads []any) UpdateInfo {
	o.Rate = rate
	p, g := make([][]T, len(params)), make([][]T, len(grads))
	for i := range params {
		p[i], g[i] = params[i].([]T), grads[i].([]T)
	}
	if loss-loss != 0 {
		return UpdateInfo{StepInfo: kernels.StepInfo{GradNorm: norm(g), Skipped: true}, Loss: loss}
	}
	return UpdateInfo{StepInfo: kernels.OptimizerStep(o, s, p, g), Loss: loss}
}

// norm is the 2-norm of all arrays together.
func norm[T kernels.Float](arrays [][]T) float64 {
	n := 0.0
	for _, a := range arrays {
		for _, x := range a {
			n = math.Hypot(n, float64(x))
		}
	}
	return n
}

// A Machine runs a graph again and again: resident inputs keep their values and updates move them.
type Machine struct {
	run
	resident []any // by node; nil: not fed yet
	states   []updateState
}

type updateState struct {
	rate float64
	f32  kernels.OptimizerState[float32]
	f64  kernels.OptimizerState[float64]
	info UpdateInfo
}

// NewMachine returns a machine of g, which rounds as EvalRounded does or not.
func NewMachine(g *ir.Graph, round bool) (*Machine, error) {
	if err := g.Verify(); err != nil {
		return nil, err
	}
	m := &Machine{run: run{g: g, round: round}, resident: make([]any, len(g.Nodes)),
		states: make([]updateState, len(g.Updates))}
	for i, u := range g.Updates {
		o, err := optimizer(g, u)
		if err != nil {
			return nil, fmt.Errorf("ref: update %d: %w", i, err)
		}
		m.states[i].rate = o.Rate
	}
	return m, nil
}

// optimizer checks what an update carries.
func optimizer(g *ir.Graph, u ir.Update) (kernels.Optimizer, error) {
	o, ok := u.Optimizer.(kernels.Optimizer)
	if !ok {
		return o, fmt.Errorf("the optimiser is a %T, want a kernels.Optimizer", u.Optimizer)
	}
	for _, id := range u.Params {
		if t, want := g.Nodes[id].Type, g.Nodes[u.Params[0]].Type; t != want || !t.Float() {
			return o, fmt.Errorf("parameters of types %v and %v, want all f32 or all f64", want, t)
		}
	}
	return o, o.Validate()
}

// Run computes the outputs and then does the updates. feed is asked for the inputs in every run, for a resident one
// only as long as the machine holds no value of it.
func (m *Machine) Run(feed func(ir.ID) any) ([]any, error) {
	m.reset()
	m.feed = func(id ir.ID) any {
		if !m.g.Nodes[id].Attr.(ir.InputAttr).Resident {
			return feed(id)
		}
		if m.resident[id] == nil {
			if data := feed(id); data != nil {
				m.resident[id] = fromSlice(data).slice()
			}
		}
		return m.resident[id]
	}
	out, err := m.outputs()
	if err != nil {
		return nil, err
	}
	// All gradients are known before the first parameter moves.
	grads := make([][]any, len(m.g.Updates))
	for i, u := range m.g.Updates {
		for j, id := range u.Grads {
			for _, need := range []ir.ID{id, u.Params[j]} {
				if _, err := m.get(need); err != nil {
					return nil, err
				}
			}
			grads[i] = append(grads[i], m.values[id].slice())
		}
		if u.Loss >= 0 {
			if _, err := m.get(u.Loss); err != nil {
				return nil, err
			}
		}
	}
	for i, u := range m.g.Updates {
		m.update(i, u, grads[i])
	}
	return out, nil
}

func (m *Machine) update(i int, u ir.Update, grads []any) {
	s := &m.states[i]
	o := u.Optimizer.(kernels.Optimizer)
	loss := 0.0
	if u.Loss >= 0 {
		loss = m.values[u.Loss].at(0)
	}
	params := make([]any, len(u.Params))
	for j, id := range u.Params {
		params[j] = m.resident[id]
	}
	if len(params) > 0 && m.g.Nodes[u.Params[0]].Type == ir.F32 {
		s.info = step(o, s.rate, loss, &s.f32, params, grads)
	} else {
		s.info = step(o, s.rate, loss, &s.f64, params, grads)
	}
}

// Resident is the value of a resident input, nil before it was fed. It is the machine's own.
func (m *Machine) Resident(id ir.ID) any { return m.resident[id] }

// SetRate sets the learning rate of update i; 0 is kernels.Optimizer's default.
func (m *Machine) SetRate(i int, rate float64) { m.states[i].rate = rate }

// Info is what update i did in the last run.
func (m *Machine) Info(i int) UpdateInfo { return m.states[i].info }
