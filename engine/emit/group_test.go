package emit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// rowSum is a kernel with CUDA C: each row of its result is a function of the same row of its operands, or of all of
// them.
type rowSum struct {
	name        string
	rows, width int
	whole       bool
}

func (k rowSum) String() string     { return fmt.Sprintf("rowSum{%s}", k.name) }
func (rowSum) Run(any, []any) error { return nil }
func (k rowSum) text(i int) string  { return fmt.Sprintf("$%d[row * %d]", i, k.width) }
func (k rowSum) Source(int, []int) *ir.Source {
	s := &ir.Source{Rows: k.rows, Width: k.width, Call: "$0[row * " + fmt.Sprint(k.width) + "] = " + k.text(1) + ";"}
	if k.whole {
		s.Whole = []int{0}
	}
	return s
}

// tangle is a random program of loops, sums, products and kernels on rows, in few places.
func tangle(t *testing.T, seed uint64, slack int) *plan.Program {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 3))
	b := ir.NewBuilder()
	rows, width := 1+r.IntN(6), 2+r.IntN(7)
	shape := []int{rows, width}
	var have, columns []ir.ID
	for i := range 3 {
		have = append(have, b.Input(ir.F32, shape, ir.InputAttr{Name: fmt.Sprint("x", i)}))
	}
	columns = append(columns, b.Input(ir.F32, []int{rows, 1}, ir.InputAttr{Name: "c"}))
	pick := func() ir.ID { return have[r.IntN(len(have))] }
	for i := range 25 {
		x := pick()
		switch r.IntN(8) {
		case 0, 1:
			x = b.Binary(ir.Add, x, b.Unary(ir.Tanh, pick()))
		case 2, 3:
			x = b.Custom(rowSum{fmt.Sprint(i), rows, width, false}, ir.F32, shape, x, pick())
		case 4:
			x = b.Custom(rowSum{fmt.Sprint(i), rows, width, true}, ir.F32, shape, x, pick())
		case 5:
			columns = append(columns, b.Reshape(b.Reduce(ir.ReduceSum, x, 1), []int{rows, 1}))
			continue
		case 6:
			x = b.Binary(ir.Mul, x, b.BroadcastTo(columns[r.IntN(len(columns))], shape))
		case 7:
			square := b.Dot(x, pick(), ir.Trans{B: true})
			x = b.Dot(square, pick(), ir.Trans{})
		}
		have = append(have, x)
	}
	b.Output(have[len(have)-1], have[len(have)-2], columns[len(columns)-1])
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	p, err := plan.New(b.G, plan.Options{Slack: slack})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// partsOf are the parts of a program, in order.
func partsOf(t *testing.T, p *plan.Program, o Options) *emitter {
	t.Helper()
	o.SMs, o.Shared = 132, 48<<10
	e := &emitter{p: p, o: o}
	for i := range p.Steps {
		stages, err := e.step(i)
		if err != nil {
			t.Fatal(err)
		}
		e.stages = append(e.stages, stages...)
	}
	return e
}

// A seat says where a part has got to.
type seat struct {
	group, lane, at int
	q               *part
}

// TestGroups: every part is in one place; of two that touch the same memory, one of them writing, the first is in an
// earlier kernel, or before the other on the same blocks, and then each row has its memory to itself.
func TestGroups(t *testing.T) {
	launches, parts, followed, beside := 0, 0, 0, 0
	for seed := range uint64(300) {
		slack := int(seed%3) * 8
		p := tangle(t, seed, slack)
		e := partsOf(t, p, Options{})
		groups := e.group()
		at := map[[2]int]seat{} // by step and stage
		for i := range groups {
			g := &groups[i]
			launches++
			beside += len(g.lanes) - 1
			for l := range g.lanes {
				lane := g.lanes[l].parts
				followed += len(lane) - 1
				for j := range lane {
					q := &lane[j]
					if len(lane) > 1 && (q.rows == 0 || q.rows != lane[0].rows || q.blocks != q.rows) {
						t.Fatalf("seed %d: %s follows or is followed, with %d rows and %d blocks", seed, q.name, q.rows, q.blocks)
					}
					key := [2]int{q.step, 0}
					for ; at[key].q != nil; key[1]++ {
					}
					at[key] = seat{i, l, j, q}
				}
			}
		}
		if len(at) != len(e.stages) {
			t.Fatalf("seed %d: %d parts in groups, %d to begin with", seed, len(at), len(e.stages))
		}
		parts += len(at)
		var order []seat
		for i := range p.Steps {
			for k := 0; at[[2]int{i, k}].q != nil; k++ {
				order = append(order, at[[2]int{i, k}])
			}
		}
		for j := range order {
			for i := range j {
				checkPair(t, seed, p, order[i], order[j])
			}
		}
	}
	t.Logf("%d parts in %d launches: %d follow, %d beside", parts, launches, followed, beside)
	if followed < 500 || beside < 200 {
		t.Error("little is grouped: this test tests little")
	}
}

// checkPair looks at two parts, the first before the second in the plan, byte by byte.
func checkPair(t *testing.T, seed uint64, p *plan.Program, a, b seat) {
	t.Helper()
	if a.group < b.group {
		return
	}
	var rowwise = a.group == b.group && a.lane == b.lane && a.at < b.at
	touch := func(x, y []plan.BufID) {
		for _, u := range x {
			for _, v := range y {
				s, d := &p.Buffers[u], &p.Buffers[v]
				if s.Offset+s.Bytes() <= d.Offset || d.Offset+d.Bytes() <= s.Offset {
					continue
				}
				if !rowwise {
					t.Fatalf("seed %d: %s (buffer %d) must come before %s (buffer %d): groups %d and %d, lanes %d and %d",
						seed, a.q.name, u, b.q.name, v, a.group, b.group, a.lane, b.lane)
				}
				if s.Offset != d.Offset || s.Bytes() != d.Bytes() || s.Bytes()%a.q.rows != 0 ||
					!slices.Contains(a.q.local, u) || !slices.Contains(b.q.local, v) {
					t.Fatalf("seed %d: %s and %s follow each other, but rows of buffers %d and %d mix",
						seed, a.q.name, b.q.name, u, v)
				}
			}
		}
	}
	touch(a.q.writes, b.q.reads)
	touch(a.q.writes, b.q.writes)
	touch(a.q.reads, b.q.writes)
	if a.group > b.group {
		return
	}
	if a.q.step == b.q.step && !rowwise {
		t.Fatalf("seed %d: two stages of %s share a launch", seed, a.q.name)
	}
	for _, x := range a.q.params {
		for _, y := range b.q.params {
			if x.arg.Kind == Scratch && y.arg.Kind == Scratch && x.arg.Offset == y.arg.Offset {
				t.Fatalf("seed %d: %s and %s share scratch memory in a launch", seed, a.q.name, b.q.name)
			}
		}
	}
}

// TestSwitches: without both abilities a launch is a part of a step; each does something.
func TestSwitches(t *testing.T) {
	count := func(off ...string) (n int) {
		for seed := range uint64(20) {
			p := tangle(t, seed, 16)
			out, err := New(p, Options{Disable: off})
			if err != nil {
				t.Fatal(err)
			}
			n += len(out.Launches)
			if len(off) == 2 {
				for _, l := range out.Launches {
					if len(l.Steps) != 1 {
						t.Fatalf("%s does %d steps", l.Name, len(l.Steps))
					}
				}
			}
		}
		return n
	}
	all, rows, side, none := count(), count("side-by-side"), count("rows"), count(Switches...)
	if !(all < rows && all < side && rows < none && side < none) {
		t.Errorf("%d launches, %d with rows alone, %d with lanes alone, %d with neither", all, rows, side, none)
	}
}
