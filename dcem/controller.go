package dcem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// ControllerOptions are what a [Controller] can do beyond [Plan]. The zero value compiles a whole plan as one
// program.
type ControllerOptions struct {
	// Stepwise compiles each iteration as a program of its own, so that a plan can end between two: when all its
	// problems have stopped, after TimeLimit, at the number of iterations that SetIterations says, or when its context
	// is over. The answer is that of the iterations done. Tolerances and TimeLimit imply it.
	Stepwise bool
	// TimeLimit ends a plan's search before the first iteration that would start later than this after the plan's
	// beginning; 0 means none. One iteration is always done. How many are depends on the machine: the same
	// plans are made again only without it.
	TimeLimit time.Duration
	// CarryElites makes the KeepElites best candidates of a plan's last iteration, moved on by Advance as the answer
	// is, candidates of the next plan's first (Pinneri et al. 2020). Where a problem starts anew the mean stands in
	// for them.
	CarryElites bool
	// Engine are options of the machines, engine.On say. Outputs are the controller's to choose.
	Engine []engine.Option
}

// Controller plans for a batch of problems in closed loop (receding horizon): Plan, carry the first controls out,
// Advance, and Plan again from where that led. It compiles what [Plan] adds to a graph, with states and starts as
// inputs, for the engine. Plans have no gradients; in a graph with those use Plan.
//
// Problems do not affect one another: a batch gives the same bits as its problems on their own with Problem0 set, as
// far as the model's own nodes give the same bits for any number of rows.
//
// A plan allocates nothing. A Controller is for one goroutine at a time. Use [NewController].
type Controller[T kernels.Float] struct {
	c        PlanConfig
	m        Model
	o        ControllerOptions
	out      *Planned
	segments []segment[T]
	limits   bounds[T]

	x0, mu0, sigma0, prev, user []T
	carry                       []T    // (B, m, D): elites of the plan before
	state                       [6][]T // as planState.nodes
	shifted, tmp                []T    // (B, D): the answer, and room for one problem's
	shifts                      []blend
	shiftedBy                   int

	iterations int
	run        uint64
	cause      Status // of the last search's end
	values     []planValues[T]
	result     PlanResult[T]
	room       problem[T]
	planned    bool // there is a result that Advance can start from
}

// segment is a part of a plan that runs at once.
type segment[T kernels.Float] struct {
	vm    *engine.VM
	state [6]reader[T] // what it leaves for the next
	iters [][5]reader[T]
	first int // number of iters[0]
	// of the last one
	controls, cost, answer reader[T]
	states                 []reader[T]
}

// reader gives the elements of a node's value. A value seen before costs no memory.
type reader[T kernels.Float] struct {
	node  *G.Node
	value G.Value
	v     []T
}

func (r *reader[T]) read() ([]T, error) {
	if r.node == nil {
		return nil, nil
	}
	if v := r.node.Value(); v == nil || v != r.value {
		var err error
		if r.v, err = nodeValues[T](r.node, r.node.Name()); err != nil {
			return nil, err
		}
		r.value = v
	}
	return r.v, nil
}

// A PlanResult is what a plan led to. Its slices belong to the Controller and are valid until its next call.
type PlanResult[T kernels.Float] struct {
	Controls []T // (B, H, U), within the bounds
	First    []T // (B, U)
	// Cost is that of Controls, (B); NaN or infinite where the dynamics blow up. States are x_0 to x_H, (B, H+1, S).
	// Of several particles they are the risk and the mean.
	Cost, States []T
	// Diagnoses are one per problem. The status is Converged where the tolerances were met, OutOfBudget where TimeLimit
	// or SetIterations ended the search before that, and Cancelled where the context did.
	Diagnoses  []Diagnosis
	Iterations int    // iterations done
	Run        uint64 // run number of the noise
}

// NewController makes a controller of c.Batch problems (0: one). The model's functions add to g, where its parameters
// are; nil stands for a new graph. Their values are read in each plan, so that they may change between plans. Of
// PlanConfig, what is for graphs must not be set: MuNode, SigmaNode, Run, Noise, Backprop, Previous and Candidates.
// Close it when done.
func NewController[T kernels.Float](g *G.ExprGraph, m Model, c PlanConfig, o ControllerOptions) (
	_ *Controller[T], err error,
) {
	const fn = "NewController"
	defer recovered(&err, fn)
	if g == nil {
		g = G.NewGraph()
	}
	dt := dtypeOf[T]()
	switch {
	case c.Dtype.Type != nil && c.Dtype != dt:
		return nil, fmt.Errorf("dcem: %s: Dtype = %v, want %v, the Controller's type argument", fn, c.Dtype, dt)
	case c.MuNode != nil || c.SigmaNode != nil || c.Run != nil || c.Noise != nil || c.Backprop != 0:
		return nil, fmt.Errorf("dcem: %s: MuNode, SigmaNode, Run, Noise and Backprop are for Plan", fn)
	case c.Previous != nil || c.Candidates != nil:
		return nil, fmt.Errorf("dcem: %s: Previous and Candidates are for Plan; "+
			"a Controller has SetPrevious and SetCandidates", fn)
	case o.CarryElites && c.KeepElites == 0:
		return nil, fmt.Errorf("dcem: %s: CarryElites is set and KeepElites = 0, want at least 1", fn)
	case o.TimeLimit < 0:
		return nil, fmt.Errorf("dcem: %s: TimeLimit = %v, want at least 0", fn, o.TimeLimit)
	}
	c.Dtype = dt
	if c.Batch == 0 {
		c.Batch = 1
	}
	c, err = c.withDefaults(fn, m, max(c.Batch, 1))
	if err != nil {
		return nil, err
	}
	s := &Controller[T]{m: m, o: o, limits: boundsOf[T](c.Lower, c.Upper), iterations: c.Iterations, shiftedBy: -1}
	id := unrolls.Add(1)
	input := func(name string, shape ...int) (*G.Node, []T) {
		v := make([]T, tensor.Shape(shape).TotalSize())
		return G.NewTensor(g, dt, len(shape), G.WithShape(shape...), G.WithName(fmt.Sprintf("dcem.%s#%d", name, id)),
			G.WithValue(tensor.New(tensor.WithShape(shape...), tensor.WithBacking(v)))), v
	}
	b, d := c.Batch, c.Dim
	var x0 *G.Node
	x0, s.x0 = input("x0", b, m.States)
	c.MuNode, s.mu0 = input("mu", b, d)
	c.SigmaNode, s.sigma0 = input("sigma", b, d)
	if c.RatePenalty != nil {
		c.Previous, s.prev = input("previous", b, m.Controls)
	}
	if c.CandidateCount > 0 {
		c.Candidates, s.user = input("candidates", b, c.CandidateCount, d)
	}
	s.c = c
	p, err := newPlanner(fn, g, x0, m, c)
	if err != nil {
		return nil, err
	}
	if o.CarryElites {
		p.carry, s.carry = input("elites", b, c.KeepElites, d)
		s.state[elitesState] = make([]T, b*c.KeepElites*d)
	}
	s.out = p.out
	s.shifted, s.tmp = make([]T, b*d), make([]T, d)
	s.values = make([]planValues[T], 0, c.Iterations)
	s.result = PlanResult[T]{
		Controls: make([]T, b*c.Horizon*m.Controls), First: make([]T, b*m.Controls), Cost: make([]T, b),
		States: make([]T, b*(c.Horizon+1)*m.States), Diagnoses: make([]Diagnosis, b),
	}
	if err := s.compile(p); err != nil {
		return nil, errors.Join(fmt.Errorf("dcem: %s: %w", fn, err), s.Close())
	}
	s.Reset()
	return s, nil
}

// compile adds the plan's segments to the graph and compiles them.
func (s *Controller[T]) compile(p *planner) error {
	stepwise := s.o.Stepwise || s.o.TimeLimit > 0 || p.stops()
	state := p.start()
	var seg segment[T]
	for t := range s.c.Iterations {
		var err error
		if state, err = p.iterate(t, state); err != nil {
			return fmt.Errorf("iteration %d: %w", t, err)
		}
		it := &p.out.iters[t]
		var readers [5]reader[T]
		for i, n := range it.nodes() {
			readers[i].node = *n
		}
		seg.iters = append(seg.iters, readers)
		if !stepwise {
			continue
		}
		for i, n := range state.nodes() {
			seg.state[i].node = *n
		}
		if err := s.add(p, seg); err != nil {
			return err
		}
		seg = segment[T]{first: t + 1}
		for i, n := range state.nodes() {
			if *n == nil {
				continue
			}
			shape := (*n).Shape()
			name := fmt.Sprintf("state%d.%d", i, t+1)
			if s.state[i] == nil {
				s.state[i] = make([]T, shape.TotalSize())
			}
			*n = G.NewTensor(p.g, s.c.Dtype, len(shape), G.WithShape(shape...), G.WithName(p.out.Mu0.Name()+"."+name),
				G.WithValue(tensor.New(tensor.WithShape(shape...), tensor.WithBacking(s.state[i]))))
		}
	}
	if err := p.finish(state); err != nil {
		return err
	}
	if s.carry != nil && !stepwise {
		seg.state[elitesState].node = state.elites
	}
	seg.controls.node, seg.cost.node, seg.answer.node = p.out.Controls, p.out.Cost, p.out.Answer
	for _, n := range p.out.States {
		seg.states = append(seg.states, reader[T]{node: n})
	}
	return s.add(p, seg)
}

// add compiles a segment.
func (s *Controller[T]) add(p *planner, seg segment[T]) error {
	var outputs G.Nodes
	want := func(r *reader[T]) {
		if r.node != nil && !slices.Contains(outputs, r.node) {
			outputs = append(outputs, r.node)
		}
	}
	for i := range seg.state {
		want(&seg.state[i])
	}
	for t := range seg.iters {
		for i := range seg.iters[t] {
			want(&seg.iters[t][i])
		}
	}
	want(&seg.controls)
	want(&seg.cost)
	want(&seg.answer)
	for i := range seg.states {
		want(&seg.states[i])
	}
	g := p.g.ExactSubgraphRoots(outputs...)
	var err error
	seg.vm, err = engine.NewVM(g, append(slices.Clone(s.o.Engine), engine.Outputs(outputs...))...)
	if err == nil {
		s.segments = append(s.segments, seg)
	}
	return err
}

// Config is the configuration with its defaults filled in.
func (s *Controller[T]) Config() PlanConfig { return s.c }

// Explain says what was compiled: one program, or with Stepwise one per iteration and one for the answer.
func (s *Controller[T]) Explain() []*engine.Explanation {
	var es []*engine.Explanation
	for i := range s.segments {
		es = append(es, s.segments[i].vm.Explain())
	}
	return es
}

// Plan plans from the states x0, (B, S). A state or a cost that is not finite excludes its candidates; a problem that
// has too few others keeps the mean that it started from, and its status says so. After an error the next plan starts
// as this one did.
func (s *Controller[T]) Plan(ctx context.Context, x0 []T) (*PlanResult[T], error) {
	const fn = "Controller.Plan"
	if len(s.segments) == 0 {
		return nil, fmt.Errorf("dcem: %s: the controller has been closed", fn)
	}
	if len(x0) != len(s.x0) {
		return nil, fmt.Errorf("dcem: %s: x0 has %d values, want Batch*States = %d*%d", fn, len(x0), s.c.Batch, s.m.States)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("dcem: %s: %w", fn, err)
	}
	copy(s.x0, x0)
	s.planned = false
	run := s.run
	s.run++
	if err := s.search(ctx, run); err != nil {
		return nil, fmt.Errorf("dcem: %s: %w", fn, err)
	}
	s.result.Run = run
	s.planned = true
	return &s.result, nil
}

// search runs the segments.
func (s *Controller[T]) search(ctx context.Context, run uint64) error {
	var begin time.Time
	if s.o.TimeLimit > 0 {
		begin = time.Now()
	}
	s.values, s.cause = s.values[:0], IterationLimit
	last := len(s.segments) - 1
	for i := range last {
		if i > 0 && s.ended(ctx, i, begin) {
			break
		}
		if err := s.runSegment(&s.segments[i], run); err != nil {
			return fmt.Errorf("iteration %d: %w", i, err)
		}
	}
	seg := &s.segments[last]
	if err := s.runSegment(seg, run); err != nil {
		return err
	}
	return s.collect(seg)
}

func (s *Controller[T]) runSegment(seg *segment[T], run uint64) error {
	if err := seg.vm.SetRun(int64(run)); err != nil {
		return err
	}
	if err := seg.vm.RunAll(); err != nil {
		return err
	}
	for i := range seg.iters {
		var v planValues[T]
		to := [...]*[]T{&v.f, &v.w, &v.mu, &v.sigma, &v.stopped}
		for j := range to {
			var err error
			if *to[j], err = seg.iters[i][j].read(); err != nil {
				return err
			}
		}
		s.values = append(s.values, v)
	}
	for i := range seg.state {
		v, err := seg.state[i].read()
		if err != nil {
			return err
		}
		copy(s.state[i], v)
	}
	return nil
}

// ended says whether the search ends before iteration i, and finds the cause.
func (s *Controller[T]) ended(ctx context.Context, i int, begin time.Time) bool {
	switch {
	case s.allStopped():
	case ctx.Err() != nil:
		s.cause = Cancelled
	case i >= s.iterations || s.o.TimeLimit > 0 && time.Since(begin) >= s.o.TimeLimit:
		s.cause = OutOfBudget
	default:
		return false
	}
	return true
}

// allStopped says whether no problem is left to search for.
func (s *Controller[T]) allStopped() bool {
	stopped := s.values[len(s.values)-1].stopped
	return stopped != nil && !slices.Contains(stopped, 0)
}

// collect takes the result over.
func (s *Controller[T]) collect(seg *segment[T]) error {
	r := &s.result
	controls, err := seg.controls.read()
	if err != nil {
		return err
	}
	for i, v := range controls {
		if !finite(v) {
			return fmt.Errorf("the controls of problem %d went beyond the range of %v: want a smaller Sigma, or bounds",
				i/(s.c.Horizon*s.m.Controls), s.c.Dtype)
		}
	}
	copy(r.Controls, controls)
	u, h, n := s.m.Controls, s.c.Horizon, s.m.States
	for b := range s.c.Batch {
		copy(r.First[b*u:(b+1)*u], controls[b*h*u:])
	}
	cost, err := seg.cost.read()
	if err != nil {
		return err
	}
	copy(r.Cost, cost)
	for t := range seg.states {
		x, err := seg.states[t].read()
		if err != nil {
			return err
		}
		for b := range s.c.Batch {
			copy(r.States[(b*(h+1)+t)*n:(b*(h+1)+t+1)*n], x[b*n:])
		}
	}
	answer, err := seg.answer.read()
	if err != nil {
		return err
	}
	copy(s.shifted, answer)
	r.Iterations = len(s.values)
	for b := range r.Diagnoses {
		r.Diagnoses[b] = diagnosePlan(&s.room, &s.c, &s.limits, b, s.mu0, s.sigma0, s.values, s.cause)
	}
	return nil
}

// Act plans from the states x0 (B, S), and advances by the steps that the first control is held for (Repeat): it
// returns that control, (B, U), valid until the next call. What else there is to know about the plan is in Last.
func (s *Controller[T]) Act(ctx context.Context, x0 []T) ([]T, error) {
	r, err := s.Plan(ctx, x0)
	if err != nil {
		return nil, err
	}
	return r.First, s.Advance(s.c.Repeat)
}

// Last is the result of the last plan that succeeded.
func (s *Controller[T]) Last() *PlanResult[T] { return &s.result }

// Close closes the machines. It may be called again; plans fail afterwards.
func (s *Controller[T]) Close() error {
	var err error
	for i := range s.segments {
		err = errors.Join(err, s.segments[i].vm.Close())
	}
	s.segments = nil
	return err
}
