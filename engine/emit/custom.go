package emit

import (
	"fmt"
	"strings"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// custom calls a kernel that exists as CUDA C, row by row; any other is the host's.
func (e *emitter) custom(i int, c *plan.Custom) ([]part, error) {
	s := &e.p.Steps[i]
	q := part{name: c.Kernel.String(), step: i, reads: s.Reads, writes: s.Writes, flops: s.Flops, bytes: s.Bytes}
	src := e.source(c)
	if src == nil {
		q.host = true
		return []part{q}, nil
	}
	counts := make([]int, 0, len(c.In)+1)
	for _, b := range append([]plan.BufID{c.Out}, c.In...) {
		counts = append(counts, e.p.Buffers[b].Count())
		q.params = append(q.params, e.pointer(b, 0, len(q.params) == 0))
	}
	if src.Rows < 1 || counts[0]%src.Rows != 0 {
		return nil, fmt.Errorf("%v: %d rows for a result of %d elements", c.Kernel, src.Rows, counts[0])
	}
	q.rows, q.blocks, q.width, q.shared, q.files = src.Rows, src.Rows, src.Width, src.Shared, src.Files
	q.local = append(q.local, c.Out)
	whole := map[int]bool{}
	for _, w := range src.Whole {
		whole[w] = true
	}
	for j, b := range c.In {
		if !whole[j] && counts[j+1]%src.Rows == 0 {
			q.local = append(q.local, b)
		}
	}
	call := src.Call
	if len(src.Counts) > 0 {
		q.params = append(q.params, param{"long long*", Arg{Kind: Counter, Offset: 8 * len(e.counts)}})
		call = strings.ReplaceAll(call, "$c", fmt.Sprintf("$%d", len(q.params)-1))
		for j := range src.Counts {
			e.counts = append(e.counts, Count{i, j})
		}
	}
	q.body = "    const unsigned row = block;\n    " + call + "\n"
	return []part{q}, nil
}

// source is the CUDA C of a kernel; nil: it has none.
func (e *emitter) source(c *plan.Custom) *ir.Source {
	k, ok := c.Kernel.(ir.Sourcer)
	if !ok || ir.IsHost(c.Kernel) || e.p.Buffers[c.Out].Count() == 0 {
		return nil
	}
	in := make([]int, len(c.In))
	for i, b := range c.In {
		in[i] = e.p.Buffers[b].Count()
	}
	return k.Source(e.p.Buffers[c.Out].Count(), in)
}
