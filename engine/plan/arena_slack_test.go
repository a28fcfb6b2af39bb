package plan

import (
	"slices"
	"testing"
)

// TestSlack: with slack the programs mean the same, and what does not lie in the place of another on purpose keeps its
// place to itself for that many steps more; a budget still holds.
func TestSlack(t *testing.T) {
	for seed := range uint64(60) {
		p := randomProgram(seed, 5+int(seed)*2)
		plain := planned(t, p, Options{})
		slack := 1 + int(seed%9)
		c := planned(t, p, Options{Slack: slack})
		equalBits(t, "with slack", results(c), results(plain))
		root := func(i int) int {
			for c.Buffers[i].Over >= 0 {
				i = int(c.Buffers[i].Over)
			}
			return i
		}
		for i := range c.Buffers {
			for j := range i {
				a, b := &c.Buffers[i], &c.Buffers[j]
				if a.Role != Temp || b.Role != Temp || root(i) == root(j) || a.First > a.Last || b.First > b.Last ||
					a.Offset+a.Bytes() <= b.Offset || b.Offset+b.Bytes() <= a.Offset {
					continue
				}
				if gap := max(a.First-b.Last, b.First-a.Last); gap <= slack {
					t.Fatalf("seed %d, slack %d: buffers %d and %d share memory, %d steps apart", seed, slack, i, j, gap)
				}
			}
			// In place: nobody else reads the old value shortly before.
			if over := c.Buffers[i].Over; over >= 0 && writes(c, BufID(i)) {
				at := c.Buffers[i].First
				for s := max(0, at-slack); s < at; s++ {
					if slices.Contains(c.Steps[s].Reads, over) {
						t.Fatalf("seed %d: buffer %d lies over %d at step %d, which step %d reads", seed, i, over, at, s)
					}
				}
			}
		}
		tight := clipped(t, p, int64(temps(plain)), slack)
		if have, most := temps(tight), temps(plain); have > most {
			t.Fatalf("seed %d: %d bytes of temporary values, the budget is %d", seed, have, most)
		}
	}
	if _, err := New(nil, Options{Slack: -1}); err == nil {
		t.Error("a negative slack passes")
	}
}

func writes(p *Program, b BufID) bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return slices.Contains(s.Writes, b) })
}

// clipped places a copy in plain's order with a budget that it just meets without slack.
func clipped(t *testing.T, p *Program, budget int64, slack int) *Program {
	t.Helper()
	c := p.clone()
	schedule(c, Options{})
	if err := place(c, Options{Slack: slack, Budget: max(budget, 1)}); err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(); err != nil {
		t.Fatal(err)
	}
	return c
}
