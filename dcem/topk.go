package dcem

import (
	"fmt"

	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// topKOp marks the k smallest costs of each row: the elites of vanilla CEM.
type topKOp[T kernels.Float] struct{ rows, n, k int }

func (k topKOp[T]) String() string         { return fmt.Sprintf("dcem.TopK{k=%d}", k.k) }
func (k topKOp[T]) Rules() []*graphop.Rule { return []*graphop.Rule{nil} }
func (k topKOp[T]) Run(out any, in []any) {
	kernels.TopK(out.([]T), nil, nil, in[0].([]T), k.rows, k.n, k.k)
}

// TopK marks the k smallest finite costs of the last axis with 1 and the rest with 0: the limit of [LML] of -f/tau as
// tau -> 0, and the elites of vanilla CEM. Ties go to the lowest index. It has no gradient. A row with fewer than k
// finite costs comes out all 0.
func TopK(f *G.Node, k int) (*G.Node, error) {
	rows, n, err := lastAxis("TopK", "f", f)
	if err != nil {
		return nil, err
	}
	if k < 1 || k > n {
		return nil, fmt.Errorf("dcem: TopK: k = %d, want 1 <= k <= n = %d", k, n)
	}
	return typed(f.Dtype(), topKOp[float32]{rows, n, k}, topKOp[float64]{rows, n, k}, f.Shape(), f)
}
