package emit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// A group is the parts of one kernel: lanes beside each other, independent ones, each on blocks of its own.
type group struct {
	lanes []lane
	few   bool // blocks on a multiprocessor are enough: registers may be had in plenty
}

// A lane is parts that follow each other on the same blocks, with a barrier in between: one part, or several over the
// same rows.
type lane struct {
	parts []part
}

// all are the group's parts.
func (g *group) all() iter.Seq[*part] {
	return func(yield func(*part) bool) {
		for i := range g.lanes {
			for j := range g.lanes[i].parts {
				if !yield(&g.lanes[i].parts[j]) {
					return
				}
			}
		}
	}
}

// name is what people read: the parts that follow each other joined by arrows, lanes by bars.
func (g *group) name() string {
	var lanes []string
	for _, l := range g.lanes {
		var names []string
		for i := range l.parts {
			names = append(names, plain(l.parts[i].name))
		}
		lanes = append(lanes, strings.Join(names, " > "))
	}
	s := strings.Join(lanes, " | ")
	if r := []rune(s); len(r) > 120 {
		s = string(r[:119]) + "…"
	}
	return s
}

// plain is a name without the attributes in braces: they may be numbers that tell equal kernels apart.
func plain(name string) string {
	before, rest, ok := strings.Cut(name, "{")
	if !ok {
		return name
	}
	_, after, _ := strings.Cut(rest, "}")
	return before + after
}

// steps are the plan's, ascending.
func (g *group) steps() (steps []int) {
	for q := range g.all() {
		steps = append(steps, q.step)
	}
	slices.Sort(steps)
	return slices.Compact(steps)
}

// blocks is the size of the grid.
func (g *group) blocks() (n int) {
	for i := range g.lanes {
		n += g.lanes[i].parts[0].blocks
	}
	return n
}

// maxThreads is the largest block where the parts leave the choice: what the row functions of package kernels take.
const maxThreads = 256

// threads is the size of the group's blocks.
func (g *group) threads() int {
	width := 0
	for q := range g.all() {
		if q.threads > 0 {
			return q.threads
		}
		width = max(width, q.width)
	}
	t := 32
	for t < width && t < maxThreads {
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
	first := 0
	for i := range g.lanes {
		parts := g.lanes[i].parts
		indent := "  "
		if len(g.lanes) > 1 {
			end := first + parts[0].blocks
			switch {
			case i == 0:
				fmt.Fprintf(&code, "  if (blockIdx.x < %du) {\n", end)
			case i+1 < len(g.lanes):
				fmt.Fprintf(&code, "  } else if (blockIdx.x < %du) {\n", end)
			default:
				code.WriteString("  } else {\n")
			}
			indent = "    "
		}
		for j := range parts {
			q := &parts[j]
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
			if j > 0 {
				code.WriteString(indent + "__syncthreads();\n")
			}
			index := "blockIdx.x"
			if first > 0 {
				index = fmt.Sprintf("blockIdx.x - %du", first)
			}
			fmt.Fprintf(&code, "%s{\n%s  const unsigned block = %s;\n%s%s}\n", indent, indent, index, body, indent)
		}
		first += parts[0].blocks
	}
	if len(g.lanes) > 1 {
		code.WriteString("  }\n")
	}
	slices.Sort(k.Files)
	k.Files = slices.Compact(k.Files)
	head := fmt.Sprintf("(%s) {\n  constexpr unsigned THREADS = %d;\n", strings.Join(params, ", "), k.Threads)
	if k.Shared > 0 {
		head += fmt.Sprintf("  __shared__ __align__(16) unsigned char shared[%d];\n", k.Shared)
	}
	text := head + code.String() + "}\n"
	sum := sha256.Sum256(fmt.Append(nil, k.Files, g.few, text))
	k.Name = identifier(plain(g.lanes[0].parts[0].name)) + "_" + hex.EncodeToString(sum[:8])
	bounds := fmt.Sprint(k.Threads)
	if g.few {
		bounds += ", 1"
	}
	k.Source = fmt.Sprintf("extern \"C\" __global__ void __launch_bounds__(%s) %s%s", bounds, k.Name, text)
	return k, args
}
