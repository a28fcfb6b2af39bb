package emit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/godcem/godcem/engine/plan"
)

// A part is what one step, or a stage of one, has to do: code for blocks of threads. A kernel is made of one part or
// of several, in sequence (over the same rows) or side by side (independent of each other).
type part struct {
	name   string // of the kernel, readable: "dot+add+softplus"
	step   int
	host   bool // the host runs it
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
		if g.parts[0].host {
			p.Launches = append(p.Launches, Launch{Name: g.name(), Kernel: -1, Steps: g.steps()})
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
		for i := range g.parts {
			l.Flops += g.parts[i].flops
			l.Bytes += g.parts[i].bytes
		}
		p.Launches = append(p.Launches, l)
	}
	return p, nil
}

// A group is the parts of one kernel.
type group struct {
	parts []part
	// beside: the parts share the grid, each on blocks of its own; else they follow each other on the same blocks.
	beside bool
}

func (g *group) name() string {
	var names []string
	for i := range g.parts {
		names = append(names, g.parts[i].name)
	}
	s := strings.Join(names, ", ")
	if r := []rune(s); len(r) > 60 {
		s = string(r[:59]) + "…"
	}
	return s
}

func (g *group) steps() (steps []int) {
	for i := range g.parts {
		steps = append(steps, g.parts[i].step)
	}
	return slices.Compact(steps)
}

func (g *group) blocks() int {
	if !g.beside {
		return g.parts[0].blocks
	}
	n := 0
	for i := range g.parts {
		n += g.parts[i].blocks
	}
	return n
}

// threads is the size of the group's blocks.
func (g *group) threads() int {
	width := 0
	for i := range g.parts {
		if t := g.parts[i].threads; t > 0 {
			return t
		}
		width = max(width, g.parts[i].width)
	}
	t := 32
	for t < width && t < 256 {
		t *= 2
	}
	return t
}

// kernel writes the group as a function.
func (g *group) kernel() (Kernel, []Arg) {
	k := Kernel{Threads: g.threads()}
	var args []Arg
	var params []string
	var code strings.Builder
	at := map[param]int{}
	for i := range g.parts {
		q := &g.parts[i]
		k.Shared = max(k.Shared, q.shared)
		k.Files = append(k.Files, q.files...)
		body := expand(q.body, func(n int) string {
			j, ok := at[q.params[n]]
			if !ok {
				j = len(args)
				at[q.params[n]] = j
				args = append(args, q.params[n].arg)
				params = append(params, fmt.Sprintf("%s p%d", q.params[n].ctype, j))
			}
			return fmt.Sprintf("p%d", j)
		})
		switch {
		case !g.beside:
			if i > 0 {
				code.WriteString("  __syncthreads();\n")
			}
			fmt.Fprintf(&code, "  {\n    const unsigned block = blockIdx.x;\n%s  }\n", body)
		default:
			first := 0
			for _, before := range g.parts[:i] {
				first += before.blocks
			}
			if i > 0 {
				code.WriteString("  else ")
			} else {
				code.WriteString("  ")
			}
			fmt.Fprintf(&code, "if (blockIdx.x < %du) {\n    const unsigned block = blockIdx.x - %du;\n%s  }\n", first+q.blocks, first, body)
		}
	}
	slices.Sort(k.Files)
	k.Files = slices.Compact(k.Files)
	head := fmt.Sprintf("(%s) {\n  constexpr unsigned THREADS = %d;\n", strings.Join(params, ", "), k.Threads)
	if k.Shared > 0 {
		head += fmt.Sprintf("  __shared__ __align__(16) unsigned char shared[%d];\n", k.Shared)
	}
	text := head + code.String() + "}\n"
	sum := sha256.Sum256([]byte(strings.Join(k.Files, " ") + text))
	k.Name = identifier(g.parts[0].name) + "_" + hex.EncodeToString(sum[:8])
	k.Source = fmt.Sprintf("extern \"C\" __global__ void __launch_bounds__(%d) %s%s", k.Threads, k.Name, text)
	return k, args
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
