package env

import "fmt"

// A Simulator rolls an Env out in plain Go, one problem at a time, without allocating. It is not safe for concurrent
// use; different Simulators of one Env are.
type Simulator struct {
	env    Env
	o      Options
	params int
	states []float64
	still  []float64 // a control of zeros
}

// NewSimulator makes a simulator of e whose rollouts sum up the costs that o says.
func NewSimulator(e Env, o Options) (*Simulator, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Simulator{env: e, o: o, params: len(e.Params()), still: make([]float64, e.ControlDim())}, nil
}

// Run is Rollout of one problem: x0 (S), u (H,U) flat, params as in Env.StepGo. It returns the cost, and the states
// (H+1,S) flat, which stay valid until the next call. An error says which argument has the wrong length.
func (s *Simulator) Run(x0, u, params []float64) (states []float64, cost float64, err error) {
	e, o, size, width := s.env, &s.o, s.env.StateDim(), len(s.still)
	horizon := len(u) / width
	switch {
	case len(x0) != size:
		return nil, 0, fmt.Errorf("env: %s: %d elements of x0, want %d", e.Name(), len(x0), size)
	case horizon < 1 || len(u) != horizon*width:
		return nil, 0, fmt.Errorf("env: %s: %d controls, want H*%d with H of at least 1", e.Name(), len(u), width)
	case params != nil && len(params) != s.params:
		return nil, 0, fmt.Errorf("env: %s: %d parameters, want %d", e.Name(), len(params), s.params)
	}
	if n := (horizon + 1) * size; cap(s.states) < n {
		s.states = make([]float64, n)
	} else {
		s.states = s.states[:n]
	}
	x, scale := s.states[:size], 1.0
	copy(x, x0)
	for t := range horizon {
		now, next := u[t*width:(t+1)*width], s.states[(t+1)*size:(t+2)*size]
		c := e.CostGo(x, now, params)
		if o.StageGo != nil {
			c = o.StageGo(t, x, now, c)
		}
		cost += scale * c
		scale *= o.Discount
		if o.DynamicsGo != nil {
			o.DynamicsGo(t, next, x, now, params)
		} else {
			e.StepGo(next, x, now, params)
		}
		x = next
	}
	if o.Final != 0 {
		cost += scale * o.Final * e.CostGo(x, s.still, params)
	}
	if o.TerminalGo != nil {
		cost += scale * o.TerminalGo(x, params)
	}
	return s.states, cost, nil
}

// RolloutGo is Simulator.Run once: the states (H+1,S), flat, and the cost.
func RolloutGo(e Env, x0, u, params []float64, o Options) (states []float64, cost float64, err error) {
	s, err := NewSimulator(e, o)
	if err != nil {
		return nil, 0, err
	}
	return s.Run(x0, u, params)
}
