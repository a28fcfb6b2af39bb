package dcem

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/graphop"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Planned is a plan in a graph.
type Planned struct {
	Controls *G.Node   // (B, H, U), within the bounds
	First    *G.Node   // (B, U)
	Cost     *G.Node   // of Controls, (B): over particles their risk. NaN or infinite where the dynamics blow up
	States   []*G.Node // x_0 to x_H under Controls, each (B, S): over particles their mean
	Answer   *G.Node   // the free controls, (B, Dim), that Controls are made of

	Mu0, Sigma0 *G.Node // the starting nodes, (B, Dim), as of Unrolled
	Run         *G.Node // the run number of the noise; nil if Config.Noise supplied all of it
	// Best and BestCost are the candidate of least cost, (B, Dim), and that cost, (B), over all iterations; +Inf
	// where no cost was finite, Best then being the first candidate. Nil with AnswerMean.
	Best, BestCost *G.Node
	// Iterates are the nodes of every iteration; Mu and Sigma are those the next one starts from.
	Iterates []Iterate
	// Config is the configuration with its defaults filled in.
	Config PlanConfig

	iters []planIterate
	count gradientCount
	kept  bool
}

// LostGradients and ExcludedGradients count as Unrolled's do.
func (p *Planned) LostGradients() int64 { return p.count.lost.Load() }

// ExcludedGradients counts as Unrolled's does.
func (p *Planned) ExcludedGradients() int64 { return p.count.excluded.Load() }

// Plan adds a plan to a graph: model predictive control of a batch of B problems from the states x0 (B, S). The
// controls u minimise
//
//	J(u) = sum_(t<H) c_t(x_t, u_t) + c_H(x_H),    x_(t+1) = f_t(x_t, u_t),    lower <= u <= upper
//
// by DCEM (or CEM: Hard) over the free controls. Gradients flow (package autodiff) into anything that the model is
// made of, into x0, Previous, Candidates, MuNode and SigmaNode.
//
// A problem with fewer than k finite costs keeps its mu and sigma, so that the controls are finite and within the
// bounds, as long as mu + sigma*eps is within the range of the type; Diagnose says so (call Keep first).
func Plan(g *G.ExprGraph, x0 *G.Node, m Model, c PlanConfig) (_ *Planned, err error) {
	const fn = "Plan"
	defer recovered(&err, fn)
	if g == nil {
		return nil, fmt.Errorf("dcem: %s: the graph is nil", fn)
	}
	if err := wantShape(fn, "x0", x0, -1, max(m.States, 1)); err != nil {
		return nil, err
	}
	if c.Dtype == (tensor.Dtype{}) {
		c.Dtype = x0.Dtype()
	}
	c, err = c.withDefaults(fn, m, rowsOf(x0))
	if err != nil {
		return nil, err
	}
	if c.CandidateCount != 0 {
		return nil, fmt.Errorf("dcem: %s: CandidateCount = %d is for a Controller, want Candidates", fn, c.CandidateCount)
	}
	p, err := newPlanner(fn, g, x0, m, c)
	if err != nil {
		return nil, err
	}
	s := p.start()
	for t := range c.Iterations {
		if c.Backprop < c.Iterations && t == c.Iterations-c.Backprop {
			if s, err = s.detached(); err != nil {
				return nil, err
			}
		}
		if s, err = p.iterate(t, s); err != nil {
			return nil, fmt.Errorf("dcem: %s: iteration %d: %w", fn, t, err)
		}
	}
	if err := p.finish(s); err != nil {
		return nil, fmt.Errorf("dcem: %s: %w", fn, err)
	}
	return p.out, nil
}

// planState is what one iteration leaves for the next; nil where no option asks for it.
type planState struct {
	mu, sigma      *G.Node // (B, D)
	stopped        *G.Node // (B): 1 for problems that have
	best, bestCost *G.Node // (B, D), (B)
	elites         *G.Node // (B, m, D)
}

// elitesState is the number of elites among nodes.
const elitesState = 5

func (s *planState) nodes() []**G.Node {
	return []**G.Node{&s.mu, &s.sigma, &s.stopped, &s.best, &s.bestCost, &s.elites}
}

// detached is s as constants.
func (s planState) detached() (planState, error) {
	for _, n := range s.nodes() {
		if *n != nil {
			var err error
			if *n, err = Detach(*n); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// planIterate is what a diagnosis looks at.
type planIterate struct{ f, w, mu, sigma, stopped *G.Node }

func (it *planIterate) nodes() [5]**G.Node {
	return [...]**G.Node{&it.f, &it.w, &it.mu, &it.sigma, &it.stopped}
}

// planner adds plans to a graph.
type planner struct {
	g      *G.ExprGraph
	m      Model
	c      PlanConfig
	x0     *G.Node
	out    *Planned
	fn     string
	colour *G.Node // (D, D)
	null   *G.Node // (B, 1, D)
	user   *G.Node // (B, n, D)
	carry  *G.Node // (B, m, D): elites of the plan before
}

func newPlanner(fn string, g *G.ExprGraph, x0 *G.Node, m Model, c PlanConfig) (*planner, error) {
	p := &planner{g: g, m: m, c: c, x0: x0, fn: fn, user: c.Candidates}
	if x0.Graph() != g || x0.Dtype() != c.Dtype {
		return nil, fmt.Errorf("dcem: %s: x0 = %v, want a node of the graph and of %v", fn, x0, c.Dtype)
	}
	if err := c.checkNodes(fn, g); err != nil {
		return nil, err
	}
	if err := c.checkNode(fn, "Previous", c.Previous, g, c.Batch, m.Controls); err != nil {
		return nil, err
	}
	if err := c.checkNode(fn, "Candidates", c.Candidates, g, c.Batch, -1, c.Dim); err != nil {
		return nil, err
	}
	special := c.KeepElites
	if c.SampleMean {
		special++
	}
	if c.Null {
		special++
	}
	if p.user != nil {
		special += p.user.Shape()[1]
	}
	if fewest := c.fewest(); special >= fewest {
		return nil, fmt.Errorf("dcem: %s: %d candidates are given or kept, want fewer than Samples = %d",
			fn, special, fewest)
	}
	p.out = &Planned{Config: c, Run: c.Run, Mu0: c.MuNode, Sigma0: c.SigmaNode}
	id := unrolls.Add(1)
	name := func(s string) string { return fmt.Sprintf("dcem.%s#%d", s, id) }
	if p.out.Mu0 == nil {
		p.out.Mu0 = startNode(g, name("mu0"), c.Config, c.Mu)
	}
	if p.out.Sigma0 == nil {
		p.out.Sigma0 = startNode(g, name("sigma0"), c.Config, c.Sigma)
	}
	if p.out.Run == nil && (c.Noise == nil || m.Noise > 0) {
		p.out.Run = RunNode(g, name("run"))
	}
	// What is constant is an input all the same: see startNode.
	input := func(s string, v []float64, shape ...int) *G.Node {
		return G.NewTensor(g, c.Dtype, len(shape), G.WithShape(shape...), G.WithName(name(s)),
			G.WithValue(dense(c.Dtype, v, shape...)))
	}
	if c.Colour != nil {
		v, err := colouring(c.free(), c.Colour)
		if err != nil {
			return nil, err
		}
		p.colour = input("colour", v, c.Dim, c.Dim)
	}
	if c.Null {
		v := make([]float64, c.Batch*c.Dim)
		clampOp[float64]{boundsOf[float64](c.Lower, c.Upper)}.Run(v, []any{v})
		p.null = input("null", v, c.Batch, 1, c.Dim)
	}
	if p.user != nil {
		d, n := c.Dim, p.user.Shape()[1]
		flat, err := autodiff.Reshape(p.user, c.Batch*n, d)
		if err == nil {
			flat, err = clamp(flat, c.Lower, c.Upper)
		}
		if err == nil {
			p.user, err = autodiff.Reshape(flat, c.Batch, n, d)
		}
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// stops says whether problems may stop early.
func (p *planner) stops() bool { return p.c.MuTolerance > 0 || p.c.SigmaTolerance > 0 }

// start is the state before the first iteration.
func (p *planner) start() planState {
	return planState{mu: p.out.Mu0, sigma: p.out.Sigma0, elites: p.carry}
}

// full is an input of one value.
func (p *planner) full(name string, v float64, shape ...int) *G.Node {
	n := tensor.Shape(shape).TotalSize()
	values := make([]float64, n)
	for i := range values {
		values[i] = v
	}
	return G.NewTensor(p.g, p.c.Dtype, len(shape), G.WithShape(shape...), G.WithName(name),
		G.WithValue(dense(p.c.Dtype, values, shape...)))
}

// kernels in the plan's type.
func (p *planner) typed(f32, f64 graphop.Kernel, shape tensor.Shape, inputs ...*G.Node) (*G.Node, error) {
	return typed(p.c.Dtype, f32, f64, shape, inputs...)
}

// iterate adds one iteration.
func (p *planner) iterate(t int, s planState) (next planState, err error) {
	c := p.c.at(t)
	whole := p
	p = &planner{}
	*p = *whole
	p.c = c
	var it Iterate
	if it.X, err = p.sample(t, s); err != nil {
		return next, err
	}
	objective := func(x *G.Node) (*G.Node, error) { return p.objective(t, x) }
	if it.F, err = gated(it.X, objective, &p.out.count); err != nil {
		return next, err
	}
	if it.I, err = weigh(it.F, c.Config); err != nil {
		return next, err
	}
	o := RefitOptions{SigmaMin: c.floor(t), PrevMu: s.mu, PrevSigma: s.sigma}
	if it.Mu, it.Sigma, err = Refit(it.X, it.I, c.Elites, o); err != nil {
		return next, err
	}
	if err = p.hold(t, s, &it); err != nil {
		return next, err
	}
	next = planState{mu: it.Mu, sigma: it.Sigma}
	if p.stops() {
		if next.stopped, err = p.stop(t, s, it); err != nil {
			return next, err
		}
	}
	if c.Answer == AnswerBest {
		if err = p.keepBest(s, it, &next); err != nil {
			return next, err
		}
	}
	if c.KeepElites > 0 && (t+1 < c.Iterations || p.carry != nil) {
		if next.elites, err = p.elites(s, it); err != nil {
			return next, err
		}
	}
	p.out.Iterates = append(p.out.Iterates, it)
	p.out.iters = append(p.out.iters, planIterate{it.F, it.I, it.Mu, it.Sigma, next.stopped})
	return next, err
}

// elites finds the best candidates of an iteration; a problem that had stopped before it keeps its own.
func (p *planner) elites(s planState, it Iterate) (*G.Node, error) {
	c := p.c
	k, m := size{c.Batch, c.Samples, c.Dim}, c.KeepElites
	n, err := p.typed(gatherOp[float32]{k, m}, gatherOp[float64]{k, m}, tensor.Shape{k.b, m, k.d}, it.F, it.X)
	if err != nil || s.stopped == nil {
		return n, err
	}
	return p.typed(selectOp[float32]{m * k.d}, selectOp[float64]{m * k.d}, n.Shape(), s.stopped, s.elites, n)
}

// sample adds the candidates.
func (p *planner) sample(t int, s planState) (x *G.Node, err error) {
	c := p.c
	var eps *G.Node
	if c.Noise != nil {
		eps = c.Noise[t]
	} else if eps, err = p.noise(c.Draw+uint64(t), c.Samples, c.Dim); err != nil {
		return nil, err
	}
	if p.colour != nil {
		if eps, err = p.coloured(eps); err != nil {
			return nil, err
		}
	}
	if x, err = Sample(s.mu, s.sigma, eps, SampleOptions{Lower: c.Lower, Upper: c.Upper}); err != nil {
		return nil, err
	}
	end := c.Samples
	put := func(y *G.Node) {
		if y == nil || err != nil {
			return
		}
		m := y.Shape()[1]
		end -= m
		k := size{c.Batch, c.Samples, c.Dim}
		x, err = p.typed(replaceOp[float32]{k, end, m}, replaceOp[float64]{k, end, m}, x.Shape(), x, y)
	}
	put(s.elites)
	put(p.user)
	put(p.null)
	if c.SampleMean && err == nil {
		var mean *G.Node
		if mean, err = clamp(s.mu, c.Lower, c.Upper); err == nil {
			mean, err = autodiff.Reshape(mean, c.Batch, 1, c.Dim)
		}
		put(mean)
	}
	if err == nil && c.Project != nil {
		if x, err = c.Project(x); err != nil {
			return nil, fmt.Errorf("dcem: Config.Project: %w", err)
		}
		err = wantShape("Config.Project", "its result", x, c.Batch, c.Samples, c.Dim)
	}
	return x, err
}

// noise adds standard normals of shape (B, n, d), those of the problems from Problem0 on.
func (p *planner) noise(draw uint64, n, d int) (*G.Node, error) {
	c := p.c
	if most := math.MaxInt/n/d - c.Batch; c.Problem0 > most {
		return nil, fmt.Errorf("Problem0 = %d, want at most %d with %d numbers drawn for each problem", c.Problem0, most, n*d)
	}
	if c.Problem0 == 0 {
		return Normal(p.out.Run, c.Dtype, c.Seed, draw, c.Batch, n, d)
	}
	shape := tensor.Shape{c.Batch, n, d}
	return p.typed(laterNoiseOp[float32]{noiseOp[float32]{c.Seed, draw, false, shape}, c.Problem0},
		laterNoiseOp[float64]{noiseOp[float64]{c.Seed, draw, false, shape}, c.Problem0}, shape, p.out.Run)
}

func (p *planner) coloured(eps *G.Node) (*G.Node, error) {
	c := p.c
	flat, err := autodiff.Reshape(eps, c.Batch*c.Samples, c.Dim)
	if err != nil {
		return nil, err
	}
	if flat, err = G.Mul(flat, p.colour); err != nil {
		return nil, err
	}
	return autodiff.Reshape(flat, c.Batch, c.Samples, c.Dim)
}

// hold smooths the refitted moments and leaves those of stopped problems.
func (p *planner) hold(t int, s planState, it *Iterate) (err error) {
	c := p.c
	bd := tensor.Shape{c.Batch, c.Dim}
	for _, v := range []struct {
		prev     *G.Node
		at       **G.Node
		a, floor float64
	}{{s.mu, &it.Mu, c.MuSmoothing, math.Inf(-1)}, {s.sigma, &it.Sigma, c.SigmaSmoothing, c.floor(t)}} {
		if v.a > 0 {
			// The floor as sigma can hold it.
			f32 := smoothOp[float32]{v.a, float64(float32(v.floor))}
			if *v.at, err = p.typed(f32, smoothOp[float64]{v.a, v.floor}, bd, v.prev, *v.at); err != nil {
				return err
			}
		}
		if s.stopped != nil {
			if *v.at, err = p.choose(s.stopped, v.prev, *v.at); err != nil {
				return err
			}
		}
	}
	return nil
}

// choose is x where c (B) is not 0, else y, both (B, D).
func (p *planner) choose(c, x, y *G.Node) (*G.Node, error) {
	d := x.Shape()[1]
	return p.typed(selectOp[float32]{d}, selectOp[float64]{d}, x.Shape(), c, x, y)
}

// stop finds the problems that have stopped.
func (p *planner) stop(t int, s planState, it Iterate) (*G.Node, error) {
	c := p.c
	if s.stopped == nil {
		s.stopped = p.full(p.out.Mu0.Name()+".running", 0, c.Batch)
	}
	k := size{c.Batch, c.Samples, c.Dim}
	f32 := stopOp[float32]{k, boundsOf[float32](c.Lower, c.Upper), c.MuTolerance, c.SigmaTolerance,
		float64(float32(c.floor(t)))}
	f64 := stopOp[float64]{k, boundsOf[float64](c.Lower, c.Upper), c.MuTolerance, c.SigmaTolerance, c.floor(t)}
	return p.typed(f32, f64, tensor.Shape{c.Batch}, s.stopped, it.Mu, s.mu, it.Sigma, p.out.Sigma0, it.I)
}

// keepBest finds the best candidate so far.
func (p *planner) keepBest(s planState, it Iterate, next *planState) (err error) {
	c := p.c
	k := size{c.Batch, c.Samples, c.Dim}
	best, err := p.typed(gatherOp[float32]{k, 1}, gatherOp[float64]{k, 1}, tensor.Shape{c.Batch, 1, c.Dim}, it.F, it.X)
	if err != nil {
		return err
	}
	if next.best, err = autodiff.Reshape(best, c.Batch, c.Dim); err != nil {
		return err
	}
	next.bestCost, err = p.typed(leastOp[float32]{k.n}, leastOp[float64]{k.n}, tensor.Shape{c.Batch}, it.F)
	if err != nil {
		return err
	}
	if s.best == nil {
		return nil
	}
	less, err := p.typed(lessOp[float32]{}, lessOp[float64]{}, tensor.Shape{c.Batch}, next.bestCost, s.bestCost)
	if err == nil && s.stopped != nil { // one that has stopped keeps its own
		less, err = p.both(less, s.stopped)
	}
	if err == nil {
		next.best, err = p.choose(less, next.best, s.best)
	}
	if err == nil {
		next.bestCost, err = p.chooseCost(less, next.bestCost, s.bestCost)
	}
	return err
}

// both is a where not b, of flags (B).
func (p *planner) both(a, b *G.Node) (*G.Node, error) {
	return p.typed(maskOp[float32]{1, false}, maskOp[float64]{1, false}, a.Shape(), b, a)
}

// chooseCost is choose of costs (B).
func (p *planner) chooseCost(c, x, y *G.Node) (*G.Node, error) {
	return p.typed(selectOp[float32]{1}, selectOp[float64]{1}, x.Shape(), c, x, y)
}

// objective is the cost of candidates (B, N, D).
func (p *planner) objective(t int, x *G.Node) (*G.Node, error) {
	c := p.c
	s := x.Shape()
	flat, err := autodiff.Reshape(x, s[0]*s[1], s[2])
	if err != nil {
		return nil, err
	}
	_, cost, err := p.rollout(t, flat, false)
	if err != nil {
		return nil, err
	}
	return autodiff.Reshape(cost, c.Batch, c.Samples)
}

// finish adds the answer and what follows from it.
func (p *planner) finish(s planState) (err error) {
	c, out := p.c, p.out
	out.Best, out.BestCost = s.best, s.bestCost
	if out.Answer, err = clamp(s.mu, c.Lower, c.Upper); err != nil {
		return err
	}
	if c.Answer == AnswerBest {
		_, mean, err := p.rollout(c.Iterations, out.Answer, false)
		if err != nil {
			return err
		}
		less, err := p.typed(lessOp[float32]{}, lessOp[float64]{}, tensor.Shape{c.Batch}, s.bestCost, mean)
		if err != nil {
			return err
		}
		if out.Answer, err = p.choose(less, s.best, out.Answer); err != nil {
			return err
		}
	}
	r, cost, err := p.rollout(c.Iterations, out.Answer, true)
	if err != nil {
		return err
	}
	out.Cost, out.States, out.First = cost, r.states, r.controls[0]
	h, u := c.Horizon, p.m.Controls
	out.Controls, err = p.typed(joinOp[float32]{h, u}, joinOp[float64]{h, u},
		tensor.Shape{c.Batch, c.Horizon, p.m.Controls}, r.controls...)
	return err
}
