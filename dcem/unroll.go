package dcem

import (
	"fmt"
	"sync/atomic"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// An Objective builds the costs, shape (B, N), of candidates x, shape (B, N, D), to be minimised. It is called once
// per iteration and must build the same function each time. Costs that come out NaN or infinite exclude their
// candidate: weight 0, and a gradient of 0 into the objective (see [Unrolled.ExcludedGradients]).
type Objective func(x *G.Node) (costs *G.Node, err error)

// An Iterate holds the nodes of one iteration.
type Iterate struct {
	X     *G.Node // candidates, (B, N, D)
	F     *G.Node // their costs as the objective gave them, (B, N)
	I     *G.Node // their weights, (B, N), summing to k
	Mu    *G.Node // refitted mean, (B, D)
	Sigma *G.Node // refitted standard deviation, (B, D)
}

// Unrolled is a solve in a graph.
type Unrolled struct {
	// Answer is the mean after the last iteration, clamped to the bounds: shape (B, D). If the graph goes on from it,
	// read its value through the function Keep.
	Answer *G.Node
	// Mu0 and Sigma0 are the starting nodes, (B, D); unless Config gave them they are inputs that gorgonia.Let may set
	// (warm start).
	Mu0, Sigma0 *G.Node
	// Run is the run number of the noise; nil if Config.Noise supplied it.
	Run *G.Node
	// Iterates are the nodes of every iteration, in order, to build on. To read their values after a run use Keep.
	Iterates []Iterate
	// Config is the configuration with its defaults filled in.
	Config Config

	count gradientCount
	kept  []Iterate
}

// Mu is the mean after the last iteration before clamping, (B, D).
func (u *Unrolled) Mu() *G.Node { return u.Iterates[len(u.Iterates)-1].Mu }

// Sigma is the standard deviation after the last iteration, (B, D).
func (u *Unrolled) Sigma() *G.Node { return u.Iterates[len(u.Iterates)-1].Sigma }

// LostGradients counts, over all backward passes so far, the excluded samples whose gradient with respect to the
// candidate was not finite (the objective's Jacobian made NaN of 0 * Inf, say) and was replaced by 0.
func (u *Unrolled) LostGradients() int64 { return u.count.lost.Load() }

// ExcludedGradients counts, over all backward passes so far, the excluded samples. Each sends a gradient of exactly 0
// into the objective. What the objective's own Jacobian makes of that is its own: where a derivative with respect to
// a parameter is infinite at such a sample, 0 * Inf = NaN reaches the parameter's gradient, and kernels.OptimizerStep
// skips that update and says so. An objective that keeps its inputs inside its domain (log(max(x, tiny)), say) avoids
// it.
func (u *Unrolled) ExcludedGradients() int64 { return u.count.excluded.Load() }

var unrolls atomic.Uint64

// Unroll adds T iterations of the differentiable cross-entropy method to g, eqs. (1) to (5). The objective is built T
// times; gradients flow through all of it into the objective's own parameters, MuNode and SigmaNode, by gorgonia.Grad
// or package autodiff.
//
// The last sigma has no consumer. A LispMachine, which wants every root of its graph to be a scalar, is given
// g.SubgraphRoots(loss) instead of g.
func Unroll(g *G.ExprGraph, objective Objective, c Config) (_ *Unrolled, err error) {
	const fn = "Unroll"
	defer recovered(&err, fn)
	if c, err = c.withDefaults(fn); err != nil {
		return nil, err
	}
	if g == nil || objective == nil {
		return nil, fmt.Errorf("dcem: %s: the graph and the objective must not be nil", fn)
	}
	if err := c.checkNodes(fn, g); err != nil {
		return nil, err
	}
	u := &Unrolled{Config: c, Run: c.Run, Mu0: c.MuNode, Sigma0: c.SigmaNode}
	id := unrolls.Add(1)
	if u.Mu0 == nil {
		u.Mu0 = startNode(g, fmt.Sprintf("dcem.mu0#%d", id), c, c.Mu)
	}
	if u.Sigma0 == nil {
		u.Sigma0 = startNode(g, fmt.Sprintf("dcem.sigma0#%d", id), c, c.Sigma)
	}
	if u.Run == nil && c.Noise == nil {
		u.Run = RunNode(g, "dcem.run")
	}
	mu, sigma := u.Mu0, u.Sigma0
	for t := range c.Iterations {
		if c.Backprop < c.Iterations && t == c.Iterations-c.Backprop {
			if mu, err = Detach(mu); err != nil {
				return nil, err
			}
			if sigma, err = Detach(sigma); err != nil {
				return nil, err
			}
		}
		it, err := u.iterate(t, mu, sigma, objective)
		if err != nil {
			return nil, fmt.Errorf("dcem: %s: iteration %d: %w", fn, t, err)
		}
		u.Iterates = append(u.Iterates, it)
		mu, sigma = it.Mu, it.Sigma
	}
	if u.Answer, err = clamp(mu, c.Lower, c.Upper); err != nil {
		return nil, err
	}
	return u, nil
}

// iterate adds one iteration: sample, observe, weigh, refit.
func (u *Unrolled) iterate(t int, mu, sigma *G.Node, objective Objective) (it Iterate, err error) {
	c := u.Config
	var eps *G.Node
	if c.Noise != nil {
		eps = c.Noise[t]
	} else if eps, err = Normal(u.Run, c.Dtype, c.Seed, c.Draw+uint64(t), c.Batch, c.Samples, c.Dim); err != nil {
		return it, err
	}
	if it.X, err = Sample(mu, sigma, eps, SampleOptions{Lower: c.Lower, Upper: c.Upper}); err != nil {
		return it, err
	}
	if c.Project != nil {
		if it.X, err = c.Project(it.X); err != nil {
			return it, fmt.Errorf("dcem: Config.Project: %w", err)
		}
		if err = wantShape("Config.Project", "its result", it.X, c.Batch, c.Samples, c.Dim); err != nil {
			return it, err
		}
	}
	if it.F, err = gated(it.X, objective, &u.count); err != nil {
		return it, err
	}
	if it.I, err = weigh(it.F, c); err != nil {
		return it, err
	}
	it.Mu, it.Sigma, err = Refit(it.X, it.I, c.Elites, RefitOptions{SigmaMin: c.SigmaMin, PrevMu: mu, PrevSigma: sigma})
	return it, err
}

// weigh turns costs into weights: eqs. (2) and (3), or the exact top-k.
func weigh(f *G.Node, c Config) (*G.Node, error) {
	if c.Hard {
		return TopK(f, c.Elites)
	}
	v, err := Normalise(f, NormaliseOptions{PassThrough: c.RawCosts})
	if err != nil {
		return nil, err
	}
	return SoftTopK(v, c.Elites, SoftTopKOptions{Relaxation: c.relaxation(), Scale: -1 / c.Temperature})
}

// checkNodes checks the fields that are graph nodes.
func (c Config) checkNodes(fn string, g *G.ExprGraph) error {
	if err := c.checkNode(fn, "MuNode", c.MuNode, g, c.Batch, c.Dim); err != nil {
		return err
	}
	if err := c.checkNode(fn, "SigmaNode", c.SigmaNode, g, c.Batch, c.Dim); err != nil {
		return err
	}
	if c.Run != nil && (c.Run.Dtype() != tensor.Int64 || !c.Run.Shape().IsScalar() || c.Run.Graph() != g) {
		return fmt.Errorf("dcem: %s: Run = %v, want an int64 scalar node of the same graph (see RunNode)", fn, c.Run)
	}
	if c.Noise != nil && len(c.Noise) != c.Iterations {
		return fmt.Errorf("dcem: %s: Noise has %d nodes, want one per iteration = %d", fn, len(c.Noise), c.Iterations)
	}
	for t, n := range c.Noise {
		name := fmt.Sprintf("Noise[%d]", t)
		if n == nil {
			return fmt.Errorf("dcem: %s: %s is nil", fn, name)
		}
		if err := c.checkNode(fn, name, n, g, c.Batch, c.Samples, c.Dim); err != nil {
			return err
		}
	}
	return nil
}

// checkNode checks the shape, element type and graph of a node that may be nil.
func (c Config) checkNode(fn, name string, n *G.Node, g *G.ExprGraph, shape ...int) error {
	if n == nil {
		return nil
	}
	if err := wantShape(fn, name, n, shape...); err != nil {
		return err
	}
	if n.Dtype() != c.Dtype {
		return fmt.Errorf("dcem: %s: %s has element type %v, want %v", fn, name, n.Dtype(), c.Dtype)
	}
	if n.Graph() != g {
		return fmt.Errorf("dcem: %s: %s = %v is not a node of the graph", fn, name, n)
	}
	return nil
}

// startNode adds an input of shape (B, D) with a value. It is no constant: Gorgonia merges constants by their
// printed, shortened values.
func startNode(g *G.ExprGraph, name string, c Config, v []float64) *G.Node {
	return G.NewMatrix(g, c.Dtype, G.WithShape(c.Batch, c.Dim), G.WithName(name), G.WithValue(dense(c.Dtype, v, c.Batch, c.Dim)))
}

// dense makes a tensor of the given element type from float64 values.
func dense(dt tensor.Dtype, v []float64, shape ...int) *tensor.Dense {
	if dt == tensor.Float32 {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(convert[float32](v)))
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(convert[float64](v)))
}
