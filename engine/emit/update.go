package emit

import (
	"fmt"
	"strings"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/kernels"
)

const (
	updateThreads = 256
	mostArgs      = 480     // of a kernel, of 8 bytes: 4 KB are allowed
	manyElements  = 1 << 20 // from which on blocks do more
)

// update is two parts, more only for hundreds of parameters: the norm of the gradients, whose last block decides the
// step, and the update itself.
func (e *emitter) update(i int, u *plan.Update) ([]part, error) {
	w, err := e.newUpdate(i, u)
	if err != nil {
		return nil, err
	}
	norms, blocks := w.pieces(1)
	var parts []part
	room, ticket := e.reserve(16*max(1, blocks)), e.reserve(4)
	step := param{"Coefficients*", Arg{Kind: Scratch, Offset: e.reserve(32)}}
	done := 0
	for k, tensors := range norms {
		q := w.part("norm", tensors)
		w.choose(&q, tensors, false)
		parts = append(parts, w.norm(q, room, done, blocks, ticket, step, k == len(norms)-1))
		done += q.blocks
	}
	moved, _ := w.pieces(w.arrays())
	for _, tensors := range moved {
		if len(tensors) == 0 {
			break
		}
		q := w.part(strings.ToLower(u.Optimizer.Method.String()), tensors)
		w.choose(&q, tensors, true)
		parts = append(parts, w.move(q, step))
	}
	return parts, nil
}

// An updateWriter writes the code of an update.
type updateWriter struct {
	e     *emitter
	step  int
	u     *plan.Update
	o     kernels.Optimizer // with its defaults
	t     ir.DType
	each  int // elements of a block
	pack  int
	turns int
	mean  []plan.BufID // first and second moments, as far as the rule has them
	sq    []plan.BufID
}

func (e *emitter) newUpdate(i int, u *plan.Update) (*updateWriter, error) {
	if err := u.Optimizer.Validate(); err != nil {
		return nil, err
	}
	w := &updateWriter{e: e, step: i, u: u, o: u.Optimizer.WithDefaults(), t: ir.F64}
	if len(u.Params) > 0 {
		w.t = e.p.Buffers[u.Params[0]].Type
	}
	if !w.t.Float() {
		return nil, fmt.Errorf("parameters of %v, want f32 or f64", w.t)
	}
	switch {
	case w.o.Method == kernels.Adam:
		w.mean, w.sq = u.M, u.V
	case w.o.Method == kernels.RMSProp:
		w.sq = u.V
		fallthrough
	default:
		if w.o.Momentum != 0 {
			w.mean = u.Velocity
		}
	}
	all, needs := 0, map[string][]plan.BufID{"gradients": u.Grads}
	if w.o.Method == kernels.Adam || w.o.Momentum != 0 {
		needs["first moments or velocities"] = w.mean
	}
	if w.o.Method != kernels.Momentum {
		needs["second moments"] = w.sq
	}
	for k, p := range u.Params {
		all += e.p.Buffers[p].Count()
		for what, have := range needs {
			if len(have) != len(u.Params) {
				return nil, fmt.Errorf("%d %s for %d parameters", len(have), what, len(u.Params))
			}
			if a, b := &e.p.Buffers[have[k]], &e.p.Buffers[p]; a.Type != w.t || b.Type != w.t || a.Count() != b.Count() {
				return nil, fmt.Errorf("parameter %d of %v %v with %s of %v %v", k, b.Type, b.Shape, what, a.Type, a.Shape)
			}
		}
	}
	w.pack = 16 / w.t.Size()
	w.turns = 4 / w.pack
	if all >= manyElements {
		w.turns *= 4
	}
	w.each = updateThreads * w.pack * w.turns
	return w, nil
}

// arrays is how many of its buffers the update of a parameter needs.
func (w *updateWriter) arrays() int {
	n := 2
	if w.mean != nil {
		n++
	}
	if w.sq != nil {
		n++
	}
	return n
}

// pieces shares the parameters that have elements among as few parts as the number of arguments allows, but at least
// one. It returns their numbers, and how many blocks there are in all.
func (w *updateWriter) pieces(arrays int) (pieces [][]int, blocks int) {
	pieces = [][]int{nil}
	for k, p := range w.u.Params {
		n := w.e.p.Buffers[p].Count()
		if n == 0 {
			continue
		}
		last := &pieces[len(pieces)-1]
		if (len(*last)+1)*arrays > mostArgs {
			pieces = append(pieces, nil)
			last = &pieces[len(pieces)-1]
		}
		*last = append(*last, k)
		blocks += ceilDiv(n, w.each)
	}
	return pieces, blocks
}

func (w *updateWriter) part(name string, tensors []int) part {
	s := &w.e.p.Steps[w.step]
	q := part{name: name, step: w.step, reads: s.Reads, writes: s.Writes, threads: updateThreads,
		shared: 16 * updateThreads / 32, files: []string{"update.cu"}, blocks: 1}
	if len(tensors) > 0 {
		q.blocks = 0
	}
	for _, k := range tensors {
		n := w.e.p.Buffers[w.u.Params[k]].Count()
		q.blocks += ceilDiv(n, w.each)
		q.flops += int64(2 * n)
		q.bytes += int64(n * w.t.Size())
	}
	return q
}

// choose writes the variables that say which elements are the block's: g and n, p, m and v, and at.
func (w *updateWriter) choose(q *part, tensors []int, move bool) {
	var text strings.Builder
	c := ctype(w.t)
	fmt.Fprintf(&text, "    const %s* g = 0;\n    size_t n = 0, at = 0;\n", c)
	if move {
		fmt.Fprintf(&text, "    %s *p = 0, *m = 0, *v = 0;\n", c)
	}
	pointer := func(b plan.BufID, write bool) string {
		q.params = append(q.params, w.e.pointer(b, 0, write))
		return fmt.Sprintf("$%d", len(q.params)-1)
	}
	first := 0
	for j, k := range tensors {
		n := w.e.p.Buffers[w.u.Params[k]].Count()
		end := first + ceilDiv(n, w.each)
		text.WriteString("    ")
		if j > 0 {
			text.WriteString("else ")
		}
		if j < len(tensors)-1 {
			fmt.Fprintf(&text, "if (block < %du) ", end)
		}
		fmt.Fprintf(&text, "{ g = %s; n = %dull; at = (block - %du) * %dull;", pointer(w.u.Grads[k], false), n, first,
			w.each)
		if move {
			fmt.Fprintf(&text, " p = %s;", pointer(w.u.Params[k], true))
			if w.mean != nil {
				fmt.Fprintf(&text, " m = %s;", pointer(w.mean[k], true))
			}
			if w.sq != nil {
				fmt.Fprintf(&text, " v = %s;", pointer(w.sq[k], true))
			}
		}
		text.WriteString(" }\n")
		first = end
	}
	q.body = text.String()
}

// norm writes the norms of the blocks to room from done on; of the last part the last block decides the step.
func (w *updateWriter) norm(q part, room, done, blocks, ticket int, step param, last bool) part {
	c := ctype(w.t)
	add := func(p param) string {
		q.params = append(q.params, p)
		return fmt.Sprintf("$%d", len(q.params)-1)
	}
	all := add(param{"Norm*", Arg{Kind: Scratch, Offset: room}})
	if blocks > 0 {
		q.body += fmt.Sprintf("    const Norm mine = norm_of<%s, THREADS, %d, %d>(g, at, n, shared);\n", c, w.pack, w.turns)
		q.body += fmt.Sprintf("    if (threadIdx.x == 0) %s[%d + block] = mine;\n", all, done)
	}
	if !last {
		return q
	}
	u, o := w.u, &w.o
	loss := "0.0"
	if u.Loss >= 0 {
		loss = fmt.Sprintf("(double)%s[0]", add(w.e.pointer(u.Loss, 0, false)))
	}
	f := func(x float64) string { return literal(x, ir.F64) }
	q.body += fmt.Sprintf("    if (last_block(%s, %du, shared)) {\n",
		add(param{"unsigned*", Arg{Kind: Scratch, Offset: ticket}}), q.blocks)
	q.body += fmt.Sprintf("      const Norm sum = norm_all<THREADS>(%s, %d, shared);\n", all, blocks)
	q.body += "      if (threadIdx.x == 0)\n"
	q.body += fmt.Sprintf("        begin_step(sum, %s, %s[0], %s, %s, %v, %s, %s, %s, %s, %s);\n    }\n", loss,
		add(w.e.pointer(u.Rate, 0, false)), f(o.Rate), f(o.ClipNorm), o.Method == kernels.Adam, f(o.Beta1), f(o.Beta2),
		add(w.e.pointer(u.Steps, 0, true)), add(w.e.pointer(u.Info, 0, true)), add(step))
	return q
}

// move writes the update of the chosen elements.
func (w *updateWriter) move(q part, step param) part {
	rule := map[kernels.Method]string{kernels.Adam: "AdamRule", kernels.RMSProp: "RMSPropRule",
		kernels.Momentum: "MomentumRule"}[w.o.Method]
	o := &w.o
	keep := o.Decay
	if o.Method == kernels.Adam {
		keep = o.Beta2
	}
	var numbers []string
	for _, x := range []float64{o.WeightDecay, 1 - o.Beta1, keep, 1 - keep, o.Epsilon, o.Momentum} {
		numbers = append(numbers, literal(x, w.t))
	}
	c := ctype(w.t)
	q.params = append(q.params, step)
	q.body += fmt.Sprintf("    const Rule<%s> rule = {%s};\n", c, strings.Join(numbers, ", "))
	q.body += fmt.Sprintf("    update<%s, %s, THREADS, %d, %d>(p, g, m, v, at, n, rule, $%d);\n", rule, c, w.pack,
		w.turns, len(q.params)-1)
	q.flops, q.bytes = 10*q.flops/2, q.bytes*int64(2*w.arrays()-1)
	return q
}
