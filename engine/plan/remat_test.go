package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestRematRandomPrograms: under any budget that is met the results have the same bits, and the budget is met.
func TestRematRandomPrograms(t *testing.T) {
	again, met := 0, 0
	for seed := range uint64(60) {
		p := randomProgram(seed, 10+int(seed)*2)
		want := results(planned(t, p, alone))
		full := planned(t, p, Options{})
		for _, part := range []float64{0.9, 0.7, 0.5} {
			c := p.clone()
			budget := int64(part * float64(temps(full)))
			if err := remat(c, budget); err != nil {
				if !strings.Contains(err.Error(), fmt.Sprintf("plan: MemoryBudget = %d bytes, the least", budget)) {
					t.Fatal(err)
				}
				continue
			}
			if err := place(c, Options{}); err != nil {
				t.Fatal(err)
			}
			if err := c.Verify(); err != nil {
				t.Fatalf("seed %d, %g of the memory: %v", seed, part, err)
			}
			if n := temps(c); int64(n) > budget {
				t.Errorf("seed %d: %d bytes under a budget of %d", seed, n, budget)
			}
			equalBits(t, fmt.Sprintf("seed %d, %g of the memory", seed, part), results(c), want)
			met++
			n := 0
			for i := range c.Steps {
				if c.Steps[i].Again {
					n++
				}
			}
			if n != c.Recomputed {
				t.Errorf("Recomputed = %d, want %d", c.Recomputed, n)
			}
			again += n
		}
	}
	t.Logf("%d budgets met by %d steps", met, again)
	if met < 30 || again < 100 {
		t.Errorf("%d budgets met by %d steps: the programs test little", met, again)
	}
}

// TestRematUnrolled: an unrolled optimiser runs in the memory of one iteration, with at most a second forward pass.
func TestRematUnrolled(t *testing.T) {
	const iters, layers, rows, width = 10, 3, 64, 16
	p := unrolled(iters, layers, rows, width)
	want := results(planned(t, p, alone))
	full := planned(t, p, Options{})
	forward := int64(0)
	for _, s := range p.Steps[:iters*(layers+2)] {
		forward += s.Flops
	}
	for _, c := range []struct{ memory, flops float64 }{{0.75, 0.3}, {0.5, 0.55}, {0.25, 0.9}, {0.2, 1}} {
		q := p.clone()
		budget := int64(c.memory * float64(temps(full)))
		if err := remat(q, budget); err != nil {
			t.Fatal(err)
		}
		if err := place(q, Options{}); err != nil {
			t.Fatal(err)
		}
		if err := q.Verify(); err != nil {
			t.Fatal(err)
		}
		equalBits(t, fmt.Sprint(c.memory), results(q), want)
		more := int64(0)
		for _, s := range q.Steps {
			if s.Again {
				more += s.Flops
			}
		}
		t.Logf("%g of the memory (%d of %d bytes): %d steps again, %.2f of the forward pass", c.memory, temps(q), temps(full), q.Recomputed,
			float64(more)/float64(forward))
		if !(float64(more) <= c.flops*float64(forward)) {
			t.Errorf("%g of the memory: %.2f of the forward pass again, want at most %g", c.memory, float64(more)/float64(forward), c.flops)
		}
	}
	if err := remat(p.clone(), 1000); err == nil || !strings.Contains(err.Error(), "MemoryBudget = 1000 bytes, the least found for this graph is") {
		t.Errorf("%v, want the least budget", err)
	}
}

// TestRematKeepsWhatItMust: steps with effects and updates never run twice, and what fits is left alone.
func TestRematLeavesWhatFits(t *testing.T) {
	p := unrolled(3, 2, 16, 8)
	before := p.clone()
	if err := remat(p, 1<<40); err != nil {
		t.Fatal(err)
	}
	if len(p.Steps) != len(before.Steps) || !slices.EqualFunc(p.Buffers, before.Buffers, func(a, b Buffer) bool { return a.Node == b.Node && a.Role == b.Role }) {
		t.Error("a program that fits was changed")
	}
}
