package emit

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/godcem/godcem/engine/plan"
)

// A part is what one step, or a stage of one, has to do: code for blocks of threads. A kernel is made of one part or
// of several, in sequence (over the same rows) or side by side (independent of each other).
type part struct {
	name   string // of the kernel, readable: "dot+add+softplus"
	step   int
	host   bool // the host runs it, or a library
	blocks int
	// threads is the number of threads that the code wants; 0: any, and width is the number of its items per block.
	threads int
	width   int
	shared  int      // bytes
	files   []string // of kernels.CUDA
	params  []param
	// body is statements of CUDA C that all threads of a block execute. In them
	//
	//	block   is the number of the block among the part's blocks, an unsigned int
	//	THREADS is the number of threads in the block, a constant, a multiple of 32
	//	shared  is a pointer to shared bytes of shared memory, aligned to 16, with unknown content
	//	$0, $1… are params
	//
	// No thread may return. Threads of a warp may diverge, but must come together before a barrier or a shuffle.
	body string
	// rows, if not 0, is the number of rows that the part works on, one block each: blocks == rows. Of the buffers in
	// local a block reads and writes only its row, the block-th of rows equal pieces.
	rows  int
	local []plan.BufID
	// reads and writes are all buffers that the part touches.
	reads, writes []plan.BufID
	flops, bytes  int64
	product       *Product // of a library
}

// A param is a parameter of a kernel.
type param struct {
	ctype string // "const float*"
	arg   Arg
}

// pointer is a parameter for a buffer, from element offset on.
func (e *emitter) pointer(b plan.BufID, offset int, write bool) param {
	t := e.p.Buffers[b].Type
	c := ctype(t) + "*"
	if !write {
		c = "const " + c
	}
	return param{c, Arg{Kind: Buffer, Buf: b, Offset: offset * t.Size()}}
}

// expand writes s with $0, $1, … replaced by what name gives for the number; a $ before anything else stays.
func expand(s string, name func(i int) string) string {
	var out strings.Builder
	for {
		before, after, ok := strings.Cut(s, "$")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		n, digits := 0, 0
		for digits < len(after) && after[digits] >= '0' && after[digits] <= '9' {
			n, digits = 10*n+int(after[digits]-'0'), digits+1
		}
		if digits == 0 {
			out.WriteString("$")
		} else {
			out.WriteString(name(n))
		}
		s = after[digits:]
	}
}

// assemble makes kernels of the parts.
func (e *emitter) assemble() (*Program, error) {
	p := &Program{Scratch: e.scratch, Counts: e.counts}
	known := map[string]int{}
	for _, g := range e.group() {
		if g.lanes[0].parts[0].host {
			l := Launch{Name: g.name(), Kernel: -1, Steps: g.steps()}
			if q := &g.lanes[0].parts[0]; q.product != nil {
				l.Name, l.Product, l.Flops, l.Bytes = fmt.Sprintf("#%d %s", len(p.Launches), g.name()), q.product, q.flops, q.bytes
			}
			p.Launches = append(p.Launches, l)
			continue
		}
		k, args := g.kernel()
		at, ok := known[k.Name]
		if !ok {
			at = len(p.Kernels)
			known[k.Name] = at
			p.Kernels = append(p.Kernels, k)
		}
		l := Launch{Name: fmt.Sprintf("#%d %s", len(p.Launches), g.name()), Kernel: at, Blocks: g.blocks(), Args: args, Steps: g.steps()}
		for q := range g.all() {
			l.Flops += q.flops
			l.Bytes += q.bytes
		}
		p.Launches = append(p.Launches, l)
	}
	return p, nil
}

// identifier makes a name of C of a readable one.
func identifier(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '_'
	}, s)
	return "k_" + s[:min(len(s), 40)]
}
