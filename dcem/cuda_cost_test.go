package dcem

import (
	"fmt"
	"testing"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
)

// A kernel's cost grows with its rows and with what is in them, arrives in the plan, and leaves the bytes to it.
func TestCosts(t *testing.T) {
	const b, n, d, k = 3, 40, 2, 5
	of := func(b, n int) []costed {
		s := size{b, n, d}
		mu, sigma := refitMuOp[float32]{size: s, k: k}, refitSigmaOp[float32]{size: s, k: k}
		all := []costed{
			normaliseOp[float32]{b, n, false}, normaliseGradOp[float32]{normaliseOp[float32]{b, n, false}},
			normaliseGrad2Op[float32]{normaliseOp[float32]{b, n, false}}, normaliseOp[float32]{b, n, true},
			topKOp[float32]{b, n, k}, mu, sigma, gateGradOp[float32]{size: s},
			gatherOp[float32]{s, k}, scatterOp[float32]{s, k}, denseOp[float32]{b, n},
		}
		for which := range 3 {
			if which < 2 {
				all = append(all, refitMuGradOp[float32]{mu, which})
			}
			all = append(all, refitSigmaGradOp[float32]{sigma, which})
		}
		for _, r := range []kernels.Relaxation{kernels.LML, kernels.ConstrainedSoftmax, kernels.ConstrainedSparsemax} {
			x := softTopK[float32]{b, n, k, r, 1}
			y := softTopK[float64]{b, n, k, r, 1}
			all = append(all, softTopKSolveOp[float32]{x}, softTopKOp[float32]{x}, softTopKGradOp[float32]{x},
				softTopKGrad2Op[float32]{x}, softTopKOp[float64]{y})
		}
		return all
	}
	one, rows, long := of(b, n), of(2*b, n), of(b, 2*n)
	for i, x := range one {
		name := fmt.Sprintf("%T", x)
		f, bytes := x.Cost()
		f2, _ := rows[i].Cost()
		f3, _ := long[i].Cost()
		if !(f >= b*n && f2 == 2*f && f3 >= 2*f && bytes == 0) {
			t.Errorf("%s: %d operations, %d for twice the rows, %d for rows twice as long; %d bytes", name, f, f2, f3, bytes)
		}
		if s := x.Stages(); s < 0 || rows[i].Stages() != s || long[i].Stages() < s {
			t.Errorf("%s waits %d times, %d for twice the rows, %d for rows twice as long", name, s, rows[i].Stages(),
				long[i].Stages())
		}
	}
	kernel := normaliseOp[float32]{b, n, false}
	build := ir.NewBuilder()
	in := build.Input(ir.F32, []int{b, n}, ir.InputAttr{Name: "f"})
	build.Output(graphop.Custom(build, kernel, ir.F32, []int{b, n}, []ir.ID{in}))
	p, err := plan.New(build.G, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := kernel.Cost()
	if s := p.Steps[0]; s.Flops != want || s.Bytes != 2*4*b*n || s.Custom.Kernel.(ir.Stager).Stages() != 3 {
		t.Errorf("%d operations, %d bytes, %d stages; want %d, %d, 3", s.Flops, s.Bytes,
			s.Custom.Kernel.(ir.Stager).Stages(), want, 2*4*b*n)
	}
}
