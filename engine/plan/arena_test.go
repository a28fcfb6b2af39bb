package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// clone copies what planning changes.
func (p *Program) clone() *Program {
	c := *p
	c.Buffers = slices.Clone(p.Buffers)
	c.Steps = slices.Clone(p.Steps)
	return &c
}

// results runs a placed program and returns what its resident and output buffers hold, in the order of the roles.
func results(p *Program) (out [][]float64) {
	m := newMachine(p)
	for range 2 { // the second run begins with what the first has left
		m.run()
		for i := range p.Buffers {
			if r := p.Buffers[i].Role; r == Output || r == Param {
				out = append(out, m.array(BufID(i)))
			}
		}
	}
	return out
}

// equalBits fails the test unless the arrays are the same, bit for bit.
func equalBits(t *testing.T, what string, have, want [][]float64) {
	t.Helper()
	if len(have) != len(want) {
		t.Fatalf("%s: %d arrays, want %d", what, len(have), len(want))
	}
	for i := range want {
		for k := range want[i] {
			if math.Float64bits(have[i][k]) != math.Float64bits(want[i][k]) {
				t.Fatalf("%s: array %d, element %d: %v, want %v", what, i, k, have[i][k], want[i][k])
			}
		}
	}
}

// planned places a copy and verifies it.
func planned(t *testing.T, p *Program, o Options) *Program {
	t.Helper()
	c := p.clone()
	if !o.off("schedule") {
		schedule(c, o)
	}
	if o.Budget > 0 {
		if err := remat(c, o.Budget); err != nil {
			t.Fatal(err)
		}
	}
	if err := place(c, o); err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(); err != nil {
		t.Fatal(err)
	}
	return c
}

// temps is the part of the arena that Temp buffers share.
func temps(p *Program) int {
	n := p.Arena
	for i := range p.Buffers {
		if p.Buffers[i].Role != Temp {
			n -= aligned(p.Buffers[i].Bytes())
		}
	}
	return n
}

// alone is a plan without any sharing: every buffer has a place of its own, steps are in the given order.
var alone = Options{Disable: []string{"reuse", "in-place", "schedule"}}

func TestPlanRandomPrograms(t *testing.T) {
	overs, finite := 0, 0
	for seed := range uint64(60) {
		p := randomProgram(seed, 5+int(seed)*2)
		want := results(planned(t, p, alone))
		for _, x := range want {
			if !math.IsNaN(x[0]) {
				finite++
			}
		}
		for _, o := range []Options{
			{Disable: []string{"in-place", "schedule"}}, {Disable: []string{"schedule"}}, {Disable: []string{"reuse"}}, {},
		} {
			c := planned(t, p, o)
			equalBits(t, fmt.Sprintf("seed %d, without %v", seed, o.Disable), results(c), want)
			for i := range c.Buffers {
				if c.Buffers[i].Over >= 0 {
					overs++
				}
			}
		}
	}
	if overs < 100 || finite < 100 {
		t.Errorf("%d buffers in-place and %d outputs that are numbers: the programs test little", overs, finite)
	}
}

// TestPackOverlaps: whatever the lifetimes and sizes, blocks needed at once do not overlap, by pairwise comparison.
func TestPackOverlaps(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 120 {
		blocks := randomBlocks(rng, n, 40)
		for _, how := range []func([]block) int{
			func(b []block) int { return pack(b, 40) },
			func(b []block) int { return fit(b, false) },
			func(b []block) int { return fit(b, true) },
			func(b []block) int { return greedy(b, packOrders[0]) },
			func(b []block) int { return greedy(b, packOrders[1]) },
			stack,
		} {
			most := how(blocks)
			if most < demanded(blocks, 40) {
				t.Fatalf("%d bytes, less than are needed at once", most)
			}
			for i, a := range blocks {
				if a.off < 0 || a.off+a.size > most {
					t.Fatalf("block %d at %d to %d of %d", i, a.off, a.off+a.size, most)
				}
				for j, b := range blocks[:i] {
					if a.first <= b.last && b.first <= a.last && a.off < b.off+b.size && b.off < a.off+a.size {
						t.Fatalf("blocks %+v and %+v (%d, %d)", a, b, i, j)
					}
				}
			}
		}
	}
}

func randomBlocks(rng *rand.Rand, n, steps int) []block {
	blocks := make([]block, n)
	for i := range blocks {
		b := &blocks[i]
		b.size = Align * (1 + rng.IntN(9))
		if rng.IntN(5) == 0 {
			b.size *= 16
		}
		b.first = int32(rng.IntN(steps))
		b.last = min(int32(steps-1), b.first+int32(rng.ExpFloat64()*3))
		if rng.IntN(8) == 0 {
			b.last = b.first + int32(rng.IntN(steps-int(b.first)))
		}
	}
	return blocks
}

// TestPackQuality: the packing of random blocks comes near what is needed at once.
func TestPackQuality(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	have, want := 0, 0
	for range 20 {
		blocks := randomBlocks(rng, 400, 150)
		have += pack(blocks, 150)
		want += demanded(blocks, 150)
	}
	// The orders lose 3% together, each alone up to 12%.
	if !(float64(have) <= 1.06*float64(want)) {
		t.Errorf("%d bytes, %.3f of what is needed at once", have, float64(have)/float64(want))
	}
	p := unrolled(6, 3, 64, 8, false)
	c := planned(t, p, Options{})
	if n := temps(c); n > c.Peak+Align*len(c.Buffers) {
		t.Errorf("an unrolled optimiser takes %d bytes, needs %d at once", n, c.Peak)
	}
}

func benchmarkPlace(b *testing.B, n int) {
	p := randomProgram(1, n)
	b.ReportAllocs()
	for b.Loop() {
		if err := place(p, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(p.Buffers)), "buffers")
	b.ReportMetric(float64(temps(p))/float64(p.Peak), "arena/peak")
}

func BenchmarkPlace1k(b *testing.B)  { benchmarkPlace(b, 650) }
func BenchmarkPlace10k(b *testing.B) { benchmarkPlace(b, 6500) }
func BenchmarkPlace30k(b *testing.B) { benchmarkPlace(b, 20000) }
