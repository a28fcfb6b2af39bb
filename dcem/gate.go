package dcem

import (
	"fmt"
	"sync/atomic"

	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// identityOp copies its input.
type identityOp[T kernels.Float] struct{}

func (k identityOp[T]) Run(out any, in []any) { copy(out.([]T), in[0].([]T)) }

// detachOp is the identity with no gradient.
type detachOp[T kernels.Float] struct{ identityOp[T] }

func (k detachOp[T]) String() string         { return "dcem.Detach{}" }
func (k detachOp[T]) Rules() []*graphop.Rule { return []*graphop.Rule{nil} }

// Detach is x as a constant: no gradient flows back through it.
func Detach(x *G.Node) (*G.Node, error) {
	if x == nil {
		return nil, fmt.Errorf("dcem: Detach: x is nil")
	}
	return typed(x.Dtype(), detachOp[float32]{}, detachOp[float64]{}, x.Shape(), x)
}

// A gateState ties a gate to the costs that its output led to, which exist only after the objective has been built.
type gateState struct {
	id    uint64
	costs *G.Node
	count *gradientCount
}

// gradientCount counts over all backward passes; see Unrolled.LostGradients and ExcludedGradients.
type gradientCount struct{ lost, excluded atomic.Int64 }

var gates atomic.Uint64

// gateOp is the identity on the candidates; backwards it lets no gradient through for the samples whose cost is not
// finite.
type gateOp[T kernels.Float] struct {
	identityOp[T]
	size
	state *gateState
}

// A gate belongs to one call of one objective, so its name holds a number of its own: two objectives on the same
// candidates do not merge.
func (k gateOp[T]) String() string { return fmt.Sprintf("dcem.Gate{%d}", k.state.id) }
func (k gateOp[T]) Link() *G.Node  { return k.state.costs }
func (k gateOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(gateGradOp[T]{k.size, k.state}, graphop.Linked, graphop.Gradient)}
}

// gateGradOp is g where the cost is finite, else 0: inputs costs, g.
type gateGradOp[T kernels.Float] struct {
	size
	state *gateState
}

func (k gateGradOp[T]) String() string { return fmt.Sprintf("dcem.GateGrad{%d}", k.state.id) }
func (k gateGradOp[T]) Run(out any, in []any) {
	lost := kernels.GateBackward(out.([]T), in[1].([]T), in[0].([]T), k.b, k.n, k.d)
	k.state.count.lost.Add(int64(lost))
}
func (k gateGradOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{nil, graphop.By(k, 0, graphop.Gradient)}
}

// costGateOp is the identity on the costs; its gradient counts the excluded samples on the way back into the objective.
type costGateOp[T kernels.Float] struct {
	identityOp[T]
	state *gateState
}

func (k costGateOp[T]) String() string { return fmt.Sprintf("dcem.CostGate{%d}", k.state.id) }
func (k costGateOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(costGateGradOp[T]{k.state}, 0, graphop.Gradient)}
}

// costGateGradOp is g where the cost is finite, else 0: inputs costs, g.
type costGateGradOp[T kernels.Float] struct{ state *gateState }

func (k costGateGradOp[T]) String() string { return fmt.Sprintf("dcem.CostGateGrad{%d}", k.state.id) }
func (k costGateGradOp[T]) Run(out any, in []any) {
	o, f, g := out.([]T), in[0].([]T), in[1].([]T)
	for i, v := range f {
		o[i] = g[i]
		if v-v != 0 { // NaN or infinite
			o[i] = 0
			k.state.count.excluded.Add(1)
		}
	}
}
func (k costGateGradOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{nil, graphop.By(k, 0, graphop.Gradient)}
}

// gated calls the objective on x behind a gate, and lets its costs out through another.
func gated(x *G.Node, objective Objective, count *gradientCount) (costs *G.Node, err error) {
	s := size{x.Shape()[0], x.Shape()[1], x.Shape()[2]}
	state := &gateState{id: gates.Add(1), count: count}
	y, err := typed(x.Dtype(), gateOp[float32]{size: s, state: state}, gateOp[float64]{size: s, state: state}, x.Shape(), x)
	if err != nil {
		return nil, err
	}
	if costs, err = objective(y); err != nil {
		return nil, fmt.Errorf("the objective: %w", err)
	}
	if costs == nil {
		return nil, fmt.Errorf("the objective returned no node")
	}
	if costs.Graph() != x.Graph() {
		return nil, fmt.Errorf("the objective returned %v, a node of another graph or a constant of none", costs)
	}
	if costs.Dtype() != x.Dtype() || !costs.Shape().Eq(x.Shape()[:2]) {
		return nil, fmt.Errorf("the objective returned %v of shape %v, want %v of shape %v for candidates of shape %v",
			costs.Dtype(), costs.Shape(), x.Dtype(), x.Shape()[:2], x.Shape())
	}
	state.costs = costs
	return typed(x.Dtype(), costGateOp[float32]{state: state}, costGateOp[float64]{state: state}, costs.Shape(), costs)
}
