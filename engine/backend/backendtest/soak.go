package backendtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/ir"
)

// Soak runs the random graphs of some seeds on a device, each as it is, without planning, and in one more of
// the variants of Run. What fails is made as small as it gets before it is reported.
func Soak(t *testing.T, d backend.Device, first, seeds uint64) {
	for seed := first; seed < first+seeds; seed++ {
		g := graphs.Random(seed)
		switch {
		case seed%8 == 7:
			g = graphs.Large(seed)
		case seed%2 == 0:
			g = graphs.Exact(seed)
		}
		c := soaked(g, seed)
		all := c.variants()
		v := []variant{all[0], all[len(all)-2], all[1+int(seed)%(len(all)-1)]}
		for _, v := range v {
			err := soak(d, g, seed, v)
			if err == nil {
				continue
			}
			kind := signature(err)
			small := graphs.Minimise(g, func(g *ir.Graph) bool {
				err := soak(d, g, seed, v)
				return err != nil && signature(err) == kind
			})
			var text strings.Builder
			if _, err := small.Print(&text, 8); err != nil {
				t.Error(err)
			}
			t.Errorf("seed %d %s: %v\n%d nodes are left of %d: %v\n%s", seed, v.name, err, len(small.Nodes), len(g.Nodes),
				soak(d, small, seed, v), text.String())
			break
		}
	}
}

func soaked(g *ir.Graph, seed uint64) *Case {
	tol, why := 128., randomWhy
	if seed%2 == 0 {
		tol, why = 1e-9, zerosWhy
	}
	return &Case{
		Name:  fmt.Sprintf("random/%d", seed),
		Build: func(b *ir.Builder, _ ir.DType) { b.G = g.Clone() },
		Tol:   tol, Why: why, Variants: true, Budgets: []float64{0.6},
		Seeds: []uint64{seed, seed, seed + 1},
	}
}

func soak(d backend.Device, g *ir.Graph, seed uint64, v variant) error {
	s, err := soaked(g, seed).reference(ir.F32)
	if err != nil {
		return err
	}
	if v.budget > 0 {
		if err := s.run(d, variant{}); err != nil { // what it takes without
			return err
		}
	}
	return s.run(d, v)
}

// signature is what tells kinds of failures apart: the words of an error, without its numbers.
func signature(err error) string {
	if s := err.Error(); strings.Contains(s, "units off") || strings.Contains(s, "other bits") {
		return "values"
	}
	s := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '#' || r == '%' {
			return -1
		}
		return r
	}, err.Error())
	return s[:min(len(s), 40)]
}
