package dcem

import (
	"fmt"

	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// keepOp copies its input into memory of its own.
type keepOp[T kernels.Float] struct{ identityOp[T] }

func (k keepOp[T]) String() string         { return "dcem.Keep{}" }
func (k keepOp[T]) Rules() []*graphop.Rule { return []*graphop.Rule{graphop.By(k, graphop.Gradient)} }

// Keep adds a copy of x whose value can be read after a run. The TapeMachine lets an op write its result over an
// input that nothing uses later, so that the value of a node inside the graph may be that of another by the end; a
// copy that nothing else consumes stays what it is.
func Keep(x *G.Node) (*G.Node, error) {
	if x == nil {
		return nil, fmt.Errorf("dcem: Keep: x is nil")
	}
	return typed(x.Dtype(), keepOp[float32]{}, keepOp[float64]{}, x.Shape(), x)
}

// Keep returns the iterates as copies to be read after a run (see the function [Keep]). Call it before the graph is
// compiled.
func (u *Unrolled) Keep() ([]Iterate, error) {
	if u.kept != nil {
		return u.kept, nil
	}
	for _, it := range u.Iterates {
		for _, n := range []**G.Node{&it.X, &it.F, &it.I, &it.Mu, &it.Sigma} {
			var err error
			if *n, err = Keep(*n); err != nil {
				return nil, err
			}
		}
		u.kept = append(u.kept, it)
	}
	return u.kept, nil
}
