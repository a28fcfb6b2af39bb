package dcem

import (
	"math"
	"testing"

	"github.com/godcem/godcem/engine/ir"
)

// TestGateRowsTooLong: rows of which 32-bit numbers do not count the elements are the host's.
func TestGateRowsTooLong(t *testing.T) {
	s := size{b: 1, n: math.MaxInt32 / 2, d: 2}
	long := size{b: 1, n: math.MaxInt32/2 + 1, d: 2}
	if (gatherOp[float32]{s, 1}).Source(2, nil) == nil || (scatterOp[float32]{s, 1}).Source(s.n*s.d, nil) == nil {
		t.Error("rows that can be counted have no source")
	}
	for name, source := range map[string]*ir.Source{
		"gather":  gatherOp[float32]{long, 1}.Source(2, nil),
		"scatter": scatterOp[float32]{long, 1}.Source(long.n*long.d, nil),
		"risk":    riskOp[float32]{p: math.MaxInt32/256 + 1, w: []float64{1}}.Source(256, nil),
	} {
		if source != nil {
			t.Errorf("%s: a source for rows beyond 32 bits", name)
		}
	}
}
