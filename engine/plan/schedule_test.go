package plan

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/ir"
)

// disorder gives the steps of a program in another valid order: each time one of those whose operands are there.
func disorder(p *Program, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 9))
	s := newScheduler(p)
	wait := make([]int, s.n)
	var ready []int32
	for i := range wait {
		if wait[i] = len(s.prev[i]); wait[i] == 0 {
			ready = append(ready, int32(i))
		}
	}
	var steps []Step
	for len(ready) > 0 {
		k := rng.IntN(len(ready))
		i := ready[k]
		ready = slices.Delete(ready, k, k+1)
		steps = append(steps, p.Steps[i])
		for _, j := range s.next[i] {
			if wait[j]--; wait[j] == 0 {
				ready = append(ready, j)
			}
		}
	}
	p.Steps = append(steps, p.Steps[s.n:]...)
}

func TestScheduleRandomPrograms(t *testing.T) {
	before, after, better := 0, 0, 0
	for seed := range uint64(60) {
		p := randomProgram(seed, 5+int(seed)*2)
		want := results(planned(t, p, alone))
		disorder(p, seed)
		given := planned(t, p, Options{Disable: []string{"schedule"}})
		c := planned(t, p, Options{})
		equalBits(t, "scheduled", results(c), want)
		if c.Peak > given.Peak {
			t.Errorf("seed %d: peak %d, %d in the given order", seed, c.Peak, given.Peak)
		}
		if c.Peak < given.Peak {
			better++
		}
		before, after = before+given.Peak, after+c.Peak
	}
	t.Logf("peaks: %d, %d in random orders; lower for %d", after, before, better)
	if !(float64(after) < 0.9*float64(before)) || better < 30 {
		t.Errorf("peaks sum to %d, to %d in random orders, lower for %d programs: little gained", after, before, better)
	}
}

// TestScheduleGradients: products that free an activation run as soon as they can, however late they were asked for.
func TestScheduleGradients(t *testing.T) {
	m := newMaker(1)
	loop := func(name string, in ...BufID) BufID {
		l := &Loop{Type: ir.F64, Dims: []int{64}}
		for _, b := range in {
			l.Loads = append(l.Loads, Load{Buf: b, Strides: []int{min(1, len(m.p.Buffers[b].Shape))}})
		}
		out := m.buf(Temp, ir.F64, 64)
		l.Stores = []Store{{Buf: out, Strides: []int{1}}}
		m.step(name, Step{Loop: l})
		return out
	}
	sum := func(name string, in ...BufID) BufID {
		out := loop(name, in...)
		m.p.Buffers[out].Shape = nil
		s := &m.p.Steps[len(m.p.Steps)-1].Loop.Stores[0]
		s.Combine, s.Strides = Sum, []int{0}
		return out
	}
	x := m.buf(Input, ir.F64, 64)
	var acts, sums []BufID
	for range 8 {
		x = loop("forward", x)
		acts = append(acts, x)
	}
	for _, a := range acts { // all at the end
		sums = append(sums, sum("gradient", a))
	}
	last := loop("together", sums...)
	m.p.Buffers[last].Role = Output
	given := planned(t, m.p, Options{Disable: []string{"schedule"}})
	have := planned(t, m.p, Options{})
	if have.Peak*3 > given.Peak {
		t.Errorf("peak %d, %d in the given order", have.Peak, given.Peak)
	}
	for i, s := range have.Steps {
		if !strings.HasPrefix(s.Name, "#"+string(rune('0'+i/10))) && i >= 10 {
			t.Errorf("step %d is called %q", i, s.Name)
		}
	}
}

type stamp struct{ blend }

func (stamp) Effects() bool { return true }

// TestScheduleEffects: steps with effects keep their order and run once, under a budget too.
func TestScheduleEffects(t *testing.T) {
	for seed := range uint64(20) {
		p := randomProgram(seed, 60)
		var want []string
		for i := range p.Steps {
			if c := p.Steps[i].Custom; c != nil {
				c.Kernel = stamp{c.Kernel.(blend)}
				want = append(want, c.Kernel.String())
			}
		}
		disordered := p.clone()
		full := planned(t, p, Options{})
		for _, q := range []*Program{p, disordered} {
			c := q.clone()
			schedule(c, Options{})
			if err := remat(c, int64(0.8*float64(temps(full)))); err != nil && !strings.Contains(err.Error(), "the least") {
				t.Fatal(err)
			}
			var have []string
			for i := range c.Steps {
				if k := c.Steps[i].Custom; k != nil {
					have = append(have, k.Kernel.String())
				}
			}
			if !slices.Equal(have, want) {
				t.Fatalf("seed %d: effects %v, want %v", seed, have, want)
			}
			if c.Steps[len(c.Steps)-1].Update == nil {
				t.Fatalf("seed %d: the update is not last", seed)
			}
		}
	}
}

func BenchmarkSchedule10k(b *testing.B) {
	p := randomProgram(1, 10000)
	disorder(p, 1)
	for b.Loop() {
		schedule(p.clone(), Options{})
	}
}
