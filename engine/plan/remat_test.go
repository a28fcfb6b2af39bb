package plan

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
)

// TestRematRandomPrograms: under any budget that is met the results have the same bits, and the budget is met.
func TestRematRandomPrograms(t *testing.T) {
	again, met := 0, 0
	for seed := range uint64(40) {
		p := randomProgram(seed, 10+int(seed)*2)
		want := results(planned(t, p, alone))
		full := planned(t, p, Options{})
		for _, part := range []float64{0.9, 0.7, 0.5} {
			c := p.clone()
			budget := int64(part * float64(temps(full)))
			if err := remat(c, budget); err != nil {
				least := int64(0)
				say := fmt.Sprintf("plan: MemoryBudget = %d bytes, the least found for this graph is %%d", budget)
				if _, err2 := fmt.Sscanf(err.Error(), say, &least); err2 != nil || least <= budget {
					t.Fatal(err)
				}
				if err := remat(p.clone(), least); err != nil {
					t.Errorf("seed %d: %v, which was found", seed, err)
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
	if met < 20 || again < 80 {
		t.Errorf("%d budgets met by %d steps: the programs test little", met, again)
	}
}

// TestRematUnrolled: an unrolled optimiser runs in the memory of one iteration, with at most a second forward pass.
func TestRematUnrolled(t *testing.T) {
	const iters, layers, rows, width = 10, 3, 64, 16
	p := unrolled(iters, layers, rows, width, false)
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
		if again := planned(t, p, Options{Budget: budget, Disable: []string{"schedule"}}); !reflect.DeepEqual(again, q) {
			t.Errorf("%g of the memory: planned twice, two plans", c.memory)
		}
		more := int64(0)
		for _, s := range q.Steps {
			if s.Again {
				more += s.Flops
			}
		}
		share := float64(more) / float64(forward)
		t.Logf("%g of the memory (%d of %d bytes): %d steps again, %.2f of the forward pass",
			c.memory, temps(q), temps(full), q.Recomputed, share)
		if !(share <= c.flops) {
			t.Errorf("%g of the memory: %.2f of the forward pass again, want at most %g", c.memory, share, c.flops)
		}
	}
	say := "MemoryBudget = 1000 bytes, the least found for this graph is"
	if err := remat(p.clone(), 1000); err == nil || !strings.Contains(err.Error(), say) {
		t.Errorf("%v, want the least budget", err)
	}
}

// TestRematChain: where no state is small a chain of n layers keeps about sqrt(n) of them and computes the others
// again from those.
func TestRematChain(t *testing.T) {
	for _, n := range []int{25, 100, 400} {
		p := unrolled(1, n, 8, 8, false)
		want := results(planned(t, p, alone))
		full := planned(t, p, Options{})
		q := p.clone()
		budget := int64(3.2 / math.Sqrt(float64(n)) * float64(temps(full)))
		if err := remat(q, budget); err != nil {
			t.Errorf("%d layers in %d bytes: %v", n, temps(full), err)
			continue
		}
		if err := place(q, Options{}); err != nil {
			t.Fatal(err)
		}
		if err := q.Verify(); err != nil {
			t.Fatal(err)
		}
		equalBits(t, fmt.Sprint(n), results(q), want)
		t.Logf("%d layers: %d of %d bytes by %d steps", n, temps(q), temps(full), q.Recomputed)
		if q.Recomputed > n {
			t.Errorf("%d layers: %d steps again", n, q.Recomputed)
		}
	}
}

// TestRematFromBase: what is a function of another result of its step is computed again from that, by a loop, if it
// is there anyway: most of the memory of the activations costs next to nothing.
func TestRematFromBase(t *testing.T) {
	p := unrolled(10, 3, 16, 32, true)
	want := results(planned(t, p, alone))
	full := planned(t, p, Options{})
	q := planned(t, p, Options{Budget: int64(0.7 * float64(temps(full)))})
	equalBits(t, "0.7 of the memory", results(q), want)
	all, again, products, activations := int64(0), int64(0), 0, 0
	for _, s := range q.Steps {
		all += s.Flops
		if s.Again {
			again += s.Flops
			if s.Dot != nil {
				products++
			} else if strings.HasSuffix(s.Name, " tanh again") && len(s.Loop.Dims) == 1 && len(s.Reads) == 1 {
				activations++
			}
		}
	}
	if activations < 5 || products > 0 || again*10 > all {
		t.Errorf("%d steps again, of them %d products and %d activations, %d of %d flops",
			q.Recomputed, products, activations, again, all)
	}
}

// TestRematLeavesWhatFits: what is within the budget is left alone.
func TestRematLeavesWhatFits(t *testing.T) {
	p := unrolled(3, 2, 16, 8, false)
	before := p.clone()
	if err := remat(p, 1<<40); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p, before) {
		t.Error("a program that fits was changed")
	}
}

func benchmarkRemat(b *testing.B, p *Program, part float64) {
	used, err := tempBytes(p)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := remat(p.clone(), int64(part*float64(used))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(p.Steps)), "steps")
}

func BenchmarkRematUnrolled100(b *testing.B) { benchmarkRemat(b, unrolled(10, 3, 16, 8, false), 0.25) }
func BenchmarkRematUnrolled1k(b *testing.B)  { benchmarkRemat(b, unrolled(50, 8, 16, 8, false), 0.25) }
func BenchmarkRematUnrolled10k(b *testing.B) {
	benchmarkRemat(b, unrolled(200, 23, 16, 8, false), 0.25)
}

// TestRematBeforeUpdates: what only the second update reads is computed again before the first, which changes what it
// is computed from.
func TestRematBeforeUpdates(t *testing.T) {
	m := newMaker(1)
	x := m.buf(Param, ir.F64, 64)
	y := m.buf(Param, ir.F64, 64)
	loop := func(in ...BufID) BufID {
		l := &Loop{Type: ir.F64, Dims: []int{64}}
		for _, b := range in {
			l.Loads = append(l.Loads, Load{Buf: b, Strides: []int{1}})
		}
		l.Body = []Instr{{Op: ir.Tanh, A: int32(len(in) - 1), B: -1, C: -1, Node: -1}}
		out := m.buf(Temp, ir.F64, 64)
		l.Stores = []Store{{Value: int32(len(in)), Buf: out, Strides: []int{1}}}
		m.step("loop", Step{Loop: l})
		return out
	}
	long := loop(x)
	next := loop(long)
	var many []BufID
	for range 12 {
		next = loop(next)
		many = append(many, next)
	}
	for _, b := range many {
		next = loop(next, b)
	}
	for _, u := range [][2]BufID{{x, next}, {y, long}} {
		m.step("update", Step{Update: &Update{
			Optimizer: kernels.Optimizer{Method: kernels.Momentum}, Params: u[:1], Grads: u[1:],
			Rate: m.buf(State, ir.F64), Steps: m.buf(State, ir.Int64), Loss: -1, Info: m.buf(Output, ir.F64, 5),
		}})
	}
	want := results(planned(t, m.p, alone))
	full := planned(t, m.p, Options{})
	again := false
	for budget := int64(temps(full)); ; budget -= 64 * 8 {
		if err := remat(m.p.clone(), budget); err != nil {
			break // it is less than the least
		}
		c := planned(t, m.p, Options{Budget: budget})
		equalBits(t, fmt.Sprintf("in %d bytes", budget), results(c), want)
		for i := range c.Steps {
			again = again || slices.Contains(c.Steps[i].Reads, x) && c.Steps[i].Again
		}
	}
	if !again {
		t.Error("the gradient was kept: the test shows nothing")
	}
}
