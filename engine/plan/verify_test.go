package plan

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/ir"
)

// TestVerifyFindsPlantedErrors: each fault, put into a program that passes, is found and named.
func TestVerifyFindsPlantedErrors(t *testing.T) {
	loop := func(p *Program, ok func(l *Loop) bool) *Step {
		for i := range p.Steps {
			s := &p.Steps[i]
			if s.Loop != nil && ok(s.Loop) {
				l := *s.Loop
				l.Loads, l.Body, l.Stores = slices.Clone(l.Loads), slices.Clone(l.Body), slices.Clone(l.Stores)
				s.Loop = &l
				return s
			}
		}
		t.Fatal("no such loop")
		return nil
	}
	loads := func(l *Loop) bool { return len(l.Loads) > 0 && l.Points() > 4 }
	set := func(l *Loop) bool {
		return l.Points() > 4 && l.Stores[0].Combine == Set && len(l.Dims) == 2 && l.Dims[0] > 1 && l.Dims[1] > 1
	}
	dot := func(p *Program) *Step {
		for i := range p.Steps {
			if s := &p.Steps[i]; s.Dot != nil && s.Dot.M > 1 && s.Dot.N > 1 && s.Dot.K > 1 {
				d := *s.Dot
				s.Dot = &d
				return s
			}
		}
		t.Fatal("no dot")
		return nil
	}
	temp := func(p *Program, ok func(b *Buffer) bool) *Buffer {
		for i := range p.Buffers {
			if b := &p.Buffers[i]; b.Role == Temp && b.Count() > 4 && ok(b) {
				return b
			}
		}
		t.Fatal("no such buffer")
		return nil
	}
	for _, c := range []struct {
		name, want string
		plant      func(p *Program)
	}{
		{"no name", "named", func(p *Program) { p.Steps[3].Name = "" }},
		{"same name", "named", func(p *Program) { p.Steps[3].Name = p.Steps[4].Name }},
		{"two kinds", "want one", func(p *Program) { loop(p, loads).Dot = &Dot{} }},
		{"after update", "after an update", func(p *Program) {
			p.Steps = append(p.Steps, p.Steps[0])
			p.Steps[len(p.Steps)-1].Name = "late"
		}},
		{"read too early", "before step", func(p *Program) {
			for i := len(p.Steps) - 2; i > 0; i-- {
				for _, w := range p.Steps[i-1].Writes { // an update is last for other reasons
					if p.Steps[i].Update == nil && slices.Contains(p.Steps[i].Reads, w) {
						p.Steps[i], p.Steps[i-1] = p.Steps[i-1], p.Steps[i]
						return
					}
				}
			}
			t.Fatal("no pair")
		}},
		{"load outside", "reads elements", func(p *Program) {
			s := loop(p, loads)
			s.Loop.Loads[0].Offset += p.Buffers[s.Loop.Loads[0].Buf].Count()
		}},
		{"load before", "reads elements", func(p *Program) { loop(p, loads).Loop.Loads[0].Offset -= 1000 }},
		{"store outside", "writes elements", func(p *Program) { loop(p, set).Loop.Stores[0].Offset++ }},
		{"store twice", "twice", func(p *Program) {
			s := loop(p, set)
			s.Loop.Stores[0].Strides = []int{1, 1}
		}},
		{"store less", "elements are written", func(p *Program) {
			s := loop(p, set)
			s.Loop.Dims = []int{s.Loop.Dims[0] - 1, s.Loop.Dims[1]}
		}},
		{"strides missing", "strides", func(p *Program) {
			s := loop(p, set)
			s.Loop.Stores[0].Strides = s.Loop.Stores[0].Strides[:1]
		}},
		{"value", "value", func(p *Program) { loop(p, set).Loop.Stores[0].Value = 99 }},
		{"operand", "operand", func(p *Program) {
			s := loop(p, func(l *Loop) bool { return l.Body[0].Op == ir.Tanh })
			s.Loop.Body[0].A = int32(len(s.Loop.Loads))
		}},
		{"op", "not elementwise", func(p *Program) { loop(p, set).Loop.Body[0].Op = ir.Dot }},
		{"buffer", "buffer 100000", func(p *Program) { loop(p, loads).Loop.Loads[0].Buf = 100000 }},
		{"unlisted read", "Reads is", func(p *Program) { s := loop(p, loads); s.Reads = s.Reads[1:] }},
		{"listed twice", "twice", func(p *Program) { s := loop(p, loads); s.Reads = append(s.Reads[:1:1], s.Reads...) }},
		{"guard", "reads elements", func(p *Program) {
			s := loop(p, func(l *Loop) bool {
				return len(l.Loads) > 0 && l.Loads[0].Guards != nil && l.Dims[0] > p.Buffers[l.Loads[0].Buf].Shape[0]
			})
			s.Loop.Loads[0].Guards = s.Loop.Loads[0].Guards[1:]
		}},
		{"epilogue", "epilogue", func(p *Program) { dot(p).Dot.N-- }},
		{"operand outside", "reads elements", func(p *Program) {
			d := dot(p).Dot
			d.A.Offset += p.Buffers[d.A.Buf].Count()
		}},
		{"operand rows", "distance", func(p *Program) { dot(p).Dot.B.Ld = 0 }},
		{"arithmetic", "arithmetic in bool", func(p *Program) { loop(p, loads).Loop.Type = ir.Bool }},
		{"unaligned", "aligned", func(p *Program) { temp(p, func(*Buffer) bool { return true }).Offset += 8 }},
		{"beyond", "arena", func(p *Program) { p.Arena -= Align }},
		{"overlap", "both alive", func(p *Program) {
			a := temp(p, func(b *Buffer) bool { return b.Last > b.First && b.Over < 0 })
			temp(p, func(b *Buffer) bool {
				return b != a && b.Over < 0 && b.First > a.First && b.First <= a.Last
			}).Offset = a.Offset
		}},
		{"over a resident", "both alive", func(p *Program) {
			temp(p, func(b *Buffer) bool { return b.Over < 0 }).Offset = p.Buffers[p.Inputs[0].Buf].Offset
		}},
		{"lifetime", "lives", func(p *Program) { temp(p, func(*Buffer) bool { return true }).Last++ }},
		{"peak", "Peak", func(p *Program) { p.Peak++ }},
		{"over living", "over buffer", func(p *Program) {
			a := temp(p, func(b *Buffer) bool { return b.Last > b.First })
			b := temp(p, func(b *Buffer) bool { return b != a && b.First > a.First && b.First < a.Last && b.Over < 0 })
			b.Offset = a.Offset
			for i := range p.Buffers {
				if &p.Buffers[i] == a {
					b.Over = BufID(i)
				}
			}
		}},
		{"role", "feeds", func(p *Program) { temp(p, func(*Buffer) bool { return true }).Role = Input }},
		{"state", "owns", func(p *Program) {
			s := loop(p, loads)
			p.Buffers[s.Loop.Loads[0].Buf].Role = State
		}},
	} {
		p := planned(t, randomProgram(12, 40), Options{})
		p.Inputs = []Binding{{-1, 1}}
		c.plant(p)
		if err := p.Verify(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}

// TestVerifyFindsOverlaps: a random buffer at a random place of what another living one holds is always found.
func TestVerifyFindsOverlaps(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	planted := 0
	for seed := range uint64(40) {
		p := planned(t, randomProgram(seed, 40), Options{})
		a, b := &p.Buffers[rng.IntN(len(p.Buffers))], &p.Buffers[rng.IntN(len(p.Buffers))]
		if a == b || a.Role != Temp || b.Over >= 0 || b.Role == Temp && (b.First > a.Last || b.Last < a.First) {
			continue
		}
		over := func(x Buffer) bool { return x.Over >= 0 && (&p.Buffers[x.Over] == a || &p.Buffers[x.Over] == b) }
		if a.Over >= 0 || slices.ContainsFunc(p.Buffers, over) {
			continue
		}
		planted++
		a.Offset = b.Offset + rng.IntN((b.Bytes()+Align-1)/Align)*Align
		p.Arena = max(p.Arena, a.Offset+a.Bytes())
		if err := p.Verify(); err == nil {
			t.Errorf("seed %d: an overlap passes", seed)
		}
	}
	if planted < 5 {
		t.Errorf("%d overlaps planted", planted)
	}
}

// TestAffine: what is concluded from strides agrees with visiting all points.
func TestAffine(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	random := func() *target {
		x := &target{off: rng.IntN(12)}
		for range rng.IntN(4) {
			x.dims = append(x.dims, 1+rng.IntN(4))
			x.strides = append(x.strides, rng.IntN(15)-3)
		}
		return x
	}
	var yes [2][2]int
	count := func(what int, have, want bool, a ...any) {
		if have != want {
			t.Errorf("%v, want %v: %+v", have, want, a)
		}
		if want {
			yes[what][0]++
		} else {
			yes[what][1]++
		}
	}
	for range 3000 {
		a, b := random(), random()
		if rng.IntN(2) == 0 {
			b.dims, b.strides = a.dims, a.strides
		}
		have, _ := injective(a)
		want, _ := visitOnce(a)
		count(0, have, want, a)
		seen := map[int]bool{}
		each(a.dims, func(i []int) bool { seen[at(i, a.off, a.strides)] = true; return true })
		want = true
		each(b.dims, func(i []int) bool { want = want && !seen[at(i, b.off, b.strides)]; return true })
		have, _ = disjoint(a, b)
		count(1, have, want, a, b)
		l := &Load{Offset: a.off, Strides: a.strides}
		for range rng.IntN(3) {
			g := Guard{Start: rng.IntN(7) - 3, Step: 1 + rng.IntN(2), Count: 1 + rng.IntN(4)}
			for range a.dims {
				g.Strides = append(g.Strides, rng.IntN(4)-1)
			}
			l.Guards = append(l.Guards, g)
		}
		lo, hi, some := visited(a.dims, l)
		if from, to, _ := guarded(a.dims, l, 1<<30); some && (from > lo || to < hi) {
			t.Errorf("reads %d to %d, bounded by %d to %d: %+v %+v", lo, hi, from, to, a, l)
		}
	}
	if min(yes[0][0], yes[0][1], yes[1][0], yes[1][1]) < 200 {
		t.Errorf("cases %v: one side is hardly tested", yes)
	}
}

// TestVerifyWithoutSteps: a program may have none, and its inputs must not overlap for that.
func TestVerifyWithoutSteps(t *testing.T) {
	m := newMaker(1)
	m.buf(Input, ir.F64, 5)
	p := planned(t, m.p, Options{})
	if p.Buffers[1].Offset = p.Buffers[0].Offset; p.Verify() == nil {
		t.Error("two inputs in one place pass")
	}
}
