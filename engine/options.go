package engine

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// An Option of NewVM. Options but Outputs, BindDualValues and Disable may be given once.
type Option func(*config) error

type config struct {
	device   Device
	outputs  G.Nodes
	named    bool    // Outputs or KeepOnDevice was given
	kept     G.Nodes // of outputs: those of KeepOnDevice
	seed     *uint64
	update   *updateConfig
	dual     bool
	duals    G.Nodes // empty: all
	budget   int64
	numerics bool
	trace    io.Writer
	disable  []string
	eval     bool
	given    []string
}

type updateConfig struct {
	optimizer kernels.Optimizer
	loss      *G.Node
	params    G.Nodes
	grads     G.Nodes // of params, once they are in the graph
}

// once returns an error if the option was given before.
func (c *config) once(name string) error {
	if slices.Contains(c.given, name) {
		return fmt.Errorf("engine: %s is given twice", name)
	}
	c.given = append(c.given, name)
	return nil
}

// On runs the graph on a device, see [Open]. Without it the VM runs on the CPU, or on what [SetDefault] or the
// environment say.
func On(d Device) Option {
	return func(c *config) error {
		if d == nil {
			return errors.New("engine: On: the device is nil")
		}
		c.device = d
		return c.once("On")
	}
}

// Outputs names the nodes whose values are wanted besides the graph's roots and what is read. All others then have no
// value, and need not be stored. A node may be named more than once.
func Outputs(nodes ...*G.Node) Option {
	return func(c *config) error {
		c.outputs, c.named = append(c.outputs, nodes...), true
		return nil
	}
}

// KeepOnDevice names wanted nodes, as Outputs does, whose values a run does not copy to the host. [VM.Device] gives them
// where they are, for the input of another VM for example, and [VM.Value] copies them when asked; until then, and after
// the next RunAll, the nodes have no value. On a device whose memory is the host's, and for nodes that are also named in
// Outputs, read, set or gradients of BindDualValues, it is Outputs.
func KeepOnDevice(nodes ...*G.Node) Option {
	return func(c *config) error {
		c.outputs, c.named = append(c.outputs, nodes...), true
		c.kept = append(c.kept, nodes...)
		return nil
	}
}

// Seed is mixed into the seeds of all noise of the graph: VMs of different seeds draw different noise, those of one
// seed the same. Without it the noise is that of the ops' own seeds, as on the TapeMachine.
func Seed(seed uint64) Option {
	return func(c *config) error {
		c.seed = &seed
		return c.once("Seed")
	}
}

// WithUpdate makes a step of an optimiser part of every RunAll: the gradients of the scalar loss with respect to the
// params, input nodes of one float type, are added to the graph (package autodiff), and the params live on the
// device, where they are updated after everything else. An update whose loss or gradient is not finite is skipped,
// see [VM.Info]. A param that the loss does not depend on has a gradient of 0: it stays, or decays; that it depends on
// none of them is an error.
//
// The params' values are copied to the device by NewVM. After that the VM writes a param again only when its node is
// bound to another value object than the one it saw last (gorgonia.Let with a new value); changes made in place are
// seen by [VM.Load] alone. Moments stay. The host's values are refreshed in place by [VM.Sync] and [VM.Close].
//
// On a GPU, a step copies nothing to the host but the update's report (see [VM.Losses], [VM.Loss], [VM.Info]) and what
// is named: the graph's roots, the loss among them, have no value after a RunAll unless Outputs names them, they are
// read or set, or BindDualValues wants them. They are as if KeepOnDevice had named them. On the CPU roots have values.
func WithUpdate(opt kernels.Optimizer, loss *G.Node, params ...*G.Node) Option {
	return func(c *config) error {
		c.update = &updateConfig{optimizer: opt, loss: loss, params: slices.Clone(params)}
		return c.once("WithUpdate")
	}
}

// BindDualValues makes the gradients of nodes, or of all without any, part of the nodes' own values, as
// gorgonia.BindDualValues does: after gorgonia.Grad, every RunAll adds a node's gradient to what Node.Grad gives, and
// a solver's Step sets it back to zero. Without this option Node.Grad gives the gradient of the last RunAll, which
// solvers accept as well. It also keeps the named gradients' values beside Outputs and WithUpdate.
func BindDualValues(nodes ...*G.Node) Option {
	return func(c *config) error {
		c.dual, c.duals = true, append(c.duals, nodes...)
		return nil
	}
}

// MemoryBudget bounds the bytes of temporary values: where they would take more, some are computed again when they
// are needed again. The results are the same.
func MemoryBudget(bytes int64) Option {
	return func(c *config) error {
		if bytes <= 0 {
			return fmt.Errorf("engine: MemoryBudget: %d bytes, want more than 0", bytes)
		}
		c.budget = bytes
		return c.once("MemoryBudget")
	}
}

// CheckNumerics makes RunAll look for NaN and Inf, and return a [NumericsError] that names the first node, in the
// order of the graph, that has one and says what its operands hold. No update is applied then. It keeps every value,
// and is slower.
func CheckNumerics() Option {
	return func(c *config) error {
		c.numerics = true
		return c.once("CheckNumerics")
	}
}

// Trace writes the time of every step of every RunAll to w in Chrome's trace-event format (chrome://tracing,
// ui.perfetto.dev), a JSON document that [VM.Close] completes. It is slower.
func Trace(w io.Writer) Option {
	return func(c *config) error {
		if w == nil {
			return errors.New("engine: Trace: the writer is nil")
		}
		c.trace = w
		return c.once("Trace")
	}
}

// Disable leaves out passes over the graph and abilities of the planner by name, to find which one is at fault or
// what it is worth; [Switches] lists the names.
func Disable(names ...string) Option {
	return func(c *config) error {
		for _, n := range names {
			if !slices.Contains(Switches(), n) {
				return fmt.Errorf("engine: Disable: no pass or switch %q, want one of %v", n, Switches())
			}
		}
		c.disable = append(c.disable, names...)
		return nil
	}
}

// EvalMode puts ops that have a training mode (dropout, batch norm) into evaluation mode; without it NewVM puts them
// into training mode, as NewTapeMachine does. Either can be changed later by the op's SetTraining.
func EvalMode() Option {
	return func(c *config) error {
		c.eval = true
		return c.once("EvalMode")
	}
}

// configure applies the options and checks them against the graph.
func configure(g *G.ExprGraph, opts []Option) (*config, error) {
	if g == nil {
		return nil, errors.New("engine: the graph is nil")
	}
	if len(g.AllNodes()) == 0 {
		return nil, errors.New("engine: the graph has no nodes")
	}
	c := new(config)
	for i, o := range opts {
		if o == nil {
			return nil, fmt.Errorf("engine: option %d is nil", i)
		}
		if err := o(c); err != nil {
			return nil, err
		}
	}
	if err := checkNodes(g, "Outputs", c.outputs, false); err != nil {
		return nil, err
	}
	for _, n := range c.outputs {
		if isStatement(n) {
			return nil, fmt.Errorf("engine: Outputs: %s is a statement and has no value", describe(n))
		}
	}
	if err := checkNodes(g, "BindDualValues", c.duals, false); err != nil {
		return nil, err
	}
	if c.update != nil {
		if err := c.update.check(g); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// checkNodes wants nodes of g, each once if so said.
func checkNodes(g *G.ExprGraph, what string, nodes G.Nodes, once bool) error {
	seen := make(map[*G.Node]bool, len(nodes))
	for i, n := range nodes {
		switch {
		case n == nil:
			return fmt.Errorf("engine: %s: node %d is nil", what, i)
		case !inGraph(g, n):
			return fmt.Errorf("engine: %s: %s is not a node of the VM's graph", what, describe(n))
		case once && seen[n]:
			return fmt.Errorf("engine: %s: %s is given twice", what, describe(n))
		}
		seen[n] = true
	}
	return nil
}

func (u *updateConfig) check(g *G.ExprGraph) error {
	if err := u.optimizer.Validate(); err != nil {
		return fmt.Errorf("engine: WithUpdate: %w", err)
	}
	if u.loss == nil {
		return errors.New("engine: WithUpdate: the loss is nil")
	}
	if err := checkNodes(g, "WithUpdate: the loss", G.Nodes{u.loss}, true); err != nil {
		return err
	}
	if isStatement(u.loss) || !isFloat(u.loss) {
		return fmt.Errorf("engine: WithUpdate: the loss %s, want a float32 or float64 scalar", describe(u.loss))
	}
	if !u.loss.IsScalar() {
		return fmt.Errorf("engine: WithUpdate: the loss %s, want a scalar, of shape (): take gorgonia.Sum or Mean of it",
			describe(u.loss))
	}
	if len(u.params) == 0 {
		return errors.New("engine: WithUpdate: no parameters")
	}
	if err := checkNodes(g, "WithUpdate: the parameters", u.params, true); err != nil {
		return err
	}
	for _, p := range u.params {
		if !isInput(p) || !isFloat(p) {
			return fmt.Errorf("engine: WithUpdate: the parameter %s, want an input of float32 or float64", describe(p))
		}
		if first := u.params[0]; p.Dtype() != first.Dtype() {
			return fmt.Errorf("engine: WithUpdate: the parameter %s, want the element type of %s",
				describe(p), describe(first))
		}
	}
	// That it does not depend on one of many is usual: the last bias of an energy whose gradient is followed.
	on := dependencies(g, u.loss)
	if !slices.ContainsFunc(u.params, func(p *G.Node) bool { return on[p] }) {
		return fmt.Errorf("engine: WithUpdate: the loss %s depends on no parameter, not on %s either",
			describe(u.loss), describe(u.params[0]))
	}
	return nil
}

// dependencies are the nodes that n is computed from, and n.
func dependencies(g *G.ExprGraph, n *G.Node) map[*G.Node]bool {
	seen := map[*G.Node]bool{n: true}
	for todo := []*G.Node{n}; len(todo) > 0; {
		n, todo = todo[len(todo)-1], todo[:len(todo)-1]
		for it := g.From(n.ID()); it != nil && it.Next(); {
			if k, ok := it.Node().(*G.Node); ok && !seen[k] {
				seen[k] = true
				todo = append(todo, k)
			}
		}
	}
	return seen
}
