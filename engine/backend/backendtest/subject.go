package backendtest

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/ref"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/pass"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

// A subject is a case in one type with what its runs must give.
type subject struct {
	*Case
	g      *ir.Graph
	coarse bool // there is float32 in it
	wants  []want
	used   int64 // by the values that do not last, without a budget, bytes
	binder bool  // the device's executables are backend.Binders
	bound  map[plan.BufID]any
}

// A want is what one run must give. Nothing if it must fail.
type want struct {
	seed     uint64
	fails    bool
	outputs  []any
	resident map[string]any // by name, after the run
	infos    []ref.UpdateInfo
}

func (c *Case) reference(t ir.DType) (*subject, error) {
	g, err := c.graph(t)
	if err != nil {
		return nil, err
	}
	s := &subject{Case: c, g: g}
	for i := range g.Nodes {
		s.coarse = s.coarse || g.Nodes[i].Type == ir.F32
	}
	m, err := ref.NewMachine(g, c.rounded())
	if err != nil {
		return nil, err
	}
	seeds := c.Seeds
	if seeds == nil {
		seeds = []uint64{1, 1, 2, 1}
	}
	for k, seed := range seeds {
		if k > 0 && seed != seeds[k-1] && len(g.Updates) == 0 {
			// Residents that nothing updates are written anew with the inputs.
			if m, err = ref.NewMachine(g, c.rounded()); err != nil {
				return nil, err
			}
		}
		w := want{seed: seed, fails: c.Fails != "" && seed == 1, resident: map[string]any{}}
		w.outputs, err = m.Run(func(id ir.ID) any { return c.values(&g.Nodes[id], seed) })
		if w.fails != (err != nil) {
			return nil, fmt.Errorf("reference: seed %d: error %v, want one: %v", seed, err, w.fails)
		}
		for i := range g.Nodes {
			if a, ok := g.Nodes[i].Attr.(ir.InputAttr); ok && a.Resident && m.Resident(ir.ID(i)) != nil {
				w.resident[a.Name] = clone(m.Resident(ir.ID(i)))
			}
		}
		for i := range g.Updates {
			w.infos = append(w.infos, m.Info(i))
		}
		s.wants = append(s.wants, w)
	}
	return s, nil
}

// compile takes the graph through the pipeline.
func (s *subject) compile(d backend.Device, v variant) (*plan.Program, backend.Executable, error) {
	g, _, err := pass.Run(s.g, pass.Options{Disable: v.passes, Verify: true})
	if err != nil {
		return nil, nil, err
	}
	o := plan.Options{Disable: v.plan, Budget: int64(v.budget * float64(s.used))}
	if t, ok := d.(backend.Tuner); ok {
		t.Tune(&o)
	}
	p, err := plan.New(g, o)
	if o.Budget > 0 && err != nil {
		// The program cannot be so small; it must be possible with what the error says.
		if _, say, ok := strings.Cut(err.Error(), "the least found for this graph is "); ok {
			if o.Budget, err = strconv.ParseInt(say, 10, 64); err == nil {
				p, err = plan.New(g, o)
			}
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if used := temporaries(p); o.Budget > 0 && used > o.Budget {
		return nil, nil, fmt.Errorf("%d bytes for values that do not last, with a budget of %d", used, o.Budget)
	}
	if err := p.Verify(); err != nil {
		return nil, nil, err
	}
	if v.name == "" {
		s.used = temporaries(p)
	}
	if len(p.Outputs) != len(s.g.Outputs) {
		return nil, nil, fmt.Errorf("the program has %d outputs, the graph %d", len(p.Outputs), len(s.g.Outputs))
	}
	e, err := d.Compile(p)
	if err != nil {
		return nil, nil, fmt.Errorf("compile: %w", err)
	}
	return p, e, nil
}

// temporaries is the number of bytes of the arena in which a Temp buffer lies.
func temporaries(p *plan.Program) (bytes int64) {
	var spans [][2]int
	for i := range p.Buffers {
		if b := &p.Buffers[i]; b.Role == plan.Temp {
			spans = append(spans, [2]int{b.Offset, b.Offset + b.Bytes()})
		}
	}
	slices.SortFunc(spans, func(a, b [2]int) int { return cmp.Compare(a[0], b[0]) })
	end := 0
	for _, s := range spans {
		bytes += int64(max(0, s[1]-max(s[0], end)))
		end = max(end, s[1])
	}
	return bytes
}

// run compiles a variant and does all its runs; where something is updated, twice, since no two of its runs are
// alike: the same bits must come of it.
func (s *subject) run(d backend.Device, v variant) error {
	first, err := s.runAll(d, v, 0)
	if err != nil || len(s.g.Updates) == 0 || s.Fails != "" {
		return err
	}
	again, err := s.runAll(d, v, 1)
	if err != nil {
		return fmt.Errorf("compiled again: %w", err)
	}
	for k := range first {
		if err := first[k].same(again[k]); err != nil {
			return fmt.Errorf("compiled again: run %d: other bits: %w", k, err)
		}
	}
	return nil
}

// runAll compiles a variant and does all its runs, run k with threads[k+shift].
func (s *subject) runAll(d backend.Device, v variant, shift int) (before []result, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v at %s", r, where())
		}
	}()
	p, e, err := s.compile(d, v)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if _, s.binder = e.(backend.Binder); s.binder && v.bind {
		s.bound = map[plan.BufID]any{}
		defer func() { s.bound = nil }()
	}
	if s.Check != nil {
		if err := s.Check(-1); err != nil {
			return nil, err
		}
	}
	defer vec.SetThreads(vec.Threads())
	for k, w := range s.wants {
		vec.SetThreads(threads[(k+shift)%len(threads)])
		got, err := s.runOnce(p, e, k)
		if err != nil {
			return nil, fmt.Errorf("run %d, seed %d: %w", k, w.seed, err)
		}
		if w.fails {
			continue
		}
		for _, b := range before {
			if b.seed != w.seed || len(s.g.Updates) > 0 {
				continue
			}
			if err := b.same(got); err != nil {
				return nil, fmt.Errorf("run %d, seed %d: other bits than the run before: %w", k, w.seed, err)
			}
		}
		before = append(before, got)
	}
	return before, nil
}

// where names the functions that led to a panic, innermost first, without those of this package.
func where() string {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc)])
	var names []string
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "/backendtest.") || len(names) > 5 {
			return strings.Join(names, " < ")
		}
		if !strings.HasPrefix(f.Function, "runtime.") {
			names = append(names, fmt.Sprintf("%s:%d", f.Function[strings.LastIndex(f.Function, "/")+1:], f.Line))
		}
		if !more {
			return strings.Join(names, " < ")
		}
	}
}

// threads are the numbers of threads of one run after the other: results must not depend on them.
var threads = [...]int{2, 1, 8, 3}

// A result is what a run gave.
type result struct {
	seed    uint64
	outputs []any
}

func (a result) same(b result) error {
	for i := range a.outputs {
		if err := identical(a.outputs[i], b.outputs[i]); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// runOnce poisons the outputs, writes the inputs where the seed changed, runs, and compares.
func (s *subject) runOnce(p *plan.Program, e backend.Executable, k int) (result, error) {
	w := &s.wants[k]
	got := result{seed: w.seed}
	for i := range p.Buffers {
		if b := &p.Buffers[i]; b.Role == plan.Output && !viewsInput(p, b) {
			if err := e.Write(plan.BufID(i), poison(b.Type, b.Count(), k%2 == 0)); err != nil {
				return got, err
			}
		}
	}
	if k == 0 || w.seed != s.wants[k-1].seed {
		if err := s.feed(p, e, k); err != nil {
			return got, err
		}
	}
	err := e.Run(nil)
	if err == nil {
		err = e.Sync()
	}
	if w.fails {
		return got, s.failed(p, err)
	}
	if err != nil {
		return got, err
	}
	for i, out := range p.Outputs {
		n := &p.Graph.Nodes[out.Node]
		data := blank(n.Type, n.Count())
		if out.Buf >= 0 {
			if err := e.Read(out.Buf, data); err != nil {
				return got, err
			}
		}
		got.outputs = append(got.outputs, data)
		if err := s.compare(data, w.outputs[i], s.coarse); err != nil {
			return got, fmt.Errorf("output %d, %s of the graph as built: %w", i, s.g.Label(s.g.Outputs[i]), err)
		}
	}
	after, err := s.inputsAfter(p, e, w)
	if err != nil {
		return got, err
	}
	got.outputs = append(got.outputs, after...)
	if err = s.updatesAfter(p, e, w); err != nil {
		return got, err
	}
	if s.Check != nil {
		return got, s.Check(k)
	}
	return got, nil
}

// feed gives the inputs run k's values: by Write or, in a variant that binds, by Bind to memory of a new place or by
// changing what lies in the place that was bound before.
func (s *subject) feed(p *plan.Program, e backend.Executable, k int) error {
	for _, in := range p.Inputs {
		n := &p.Graph.Nodes[in.Node]
		resident := n.Attr.(ir.InputAttr).Resident
		if in.Buf < 0 || k > 0 && len(s.g.Updates) > 0 && resident {
			continue
		}
		data := s.values(n, s.wants[k].seed)
		if s.bound != nil && !resident && n.Count() > 0 {
			if mem := s.bound[in.Buf]; mem != nil && k%2 == 0 {
				copyAny(mem, data)
				continue
			}
			mem, bytes := placed(data)
			if e.(backend.Binder).Bind(in.Buf, bytes) {
				s.bound[in.Buf] = mem
				continue
			}
			delete(s.bound, in.Buf)
		}
		if err := e.Write(in.Buf, data); err != nil {
			return err
		}
	}
	return nil
}

// placed copies a slice to where it has no more alignment than its elements ask for.
func placed(data any) (mem any, bytes []byte) {
	t, n := ir.DataType(data)
	v := reflect.ValueOf(blank(t, n+1)).Slice(1, n+1)
	reflect.Copy(v, reflect.ValueOf(data))
	return v.Interface(), unsafe.Slice((*byte)(v.UnsafePointer()), n*t.Size())
}

// viewsInput reports whether an output is a view of what the host or the plan wrote, which poison would destroy.
func viewsInput(p *plan.Program, b *plan.Buffer) bool {
	for b.Over >= 0 {
		b = &p.Buffers[b.Over]
	}
	return b.Role == plan.Input || b.Role == plan.Param || b.Role == plan.Const
}

// failed checks the error of a run that must have one.
func (s *subject) failed(p *plan.Program, err error) error {
	if err == nil {
		return fmt.Errorf("no error, want one with %q", s.Fails)
	}
	named := slices.ContainsFunc(p.Steps, func(st plan.Step) bool {
		return st.Name != "" && strings.Contains(err.Error(),
			st.Name)
	})
	if !strings.Contains(err.Error(), s.Fails) || !named {
		return fmt.Errorf("the error %q names no step or lacks %q", err, s.Fails)
	}
	return nil
}

// inputsAfter returns all inputs and checks that they are as they were written, and residents as the updates leave
// them.
func (s *subject) inputsAfter(p *plan.Program, e backend.Executable, w *want) (all []any, err error) {
	for _, in := range p.Inputs {
		n := &p.Graph.Nodes[in.Node]
		a := n.Attr.(ir.InputAttr)
		if in.Buf < 0 {
			continue
		}
		data := blank(n.Type, n.Count())
		if err := e.Read(in.Buf, data); err != nil {
			return nil, err
		}
		all = append(all, data)
		if mem := s.bound[in.Buf]; mem != nil {
			if err := identical(mem, s.values(n, w.seed)); err != nil {
				return nil, fmt.Errorf("memory bound to input %q after the run: %w", a.Name, err)
			}
		}
		if a.Resident && len(s.g.Updates) > 0 {
			err = s.compare(data, w.resident[a.Name], s.coarse)
		} else {
			err = identical(data, s.values(n, w.seed))
		}
		if err != nil {
			return nil, fmt.Errorf("input %q after the run: %w", a.Name, err)
		}
	}
	return all, nil
}

// updatesAfter checks what the updates report.
func (s *subject) updatesAfter(p *plan.Program, e backend.Executable, w *want) error {
	i := 0
	for k := range p.Steps {
		u := p.Steps[k].Update
		if u == nil {
			continue
		}
		if i >= len(w.infos) {
			return fmt.Errorf("%d update steps and more, the graph has %d", i, len(w.infos))
		}
		info := make([]float64, p.Buffers[u.Info].Count())
		if err := e.Read(u.Info, info); err != nil {
			return err
		}
		want := w.infos[i]
		if len(info) < 4 {
			return fmt.Errorf("%s: %d numbers of information, want 4", p.Steps[k].Name, len(info))
		}
		if err := s.compare(info[:4], []float64{want.GradNorm, number(want.Clipped), number(want.Skipped), want.Loss},
			s.coarse); err != nil {
			return fmt.Errorf("%s: norm, clipped, skipped, loss: %w", p.Steps[k].Name, err)
		}
		i++
	}
	if i != len(w.infos) {
		return fmt.Errorf("%d update steps, the graph has %d", i, len(w.infos))
	}
	return nil
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// clone copies a slice.
func clone(data any) any {
	t, n := ir.DataType(data)
	c := blank(t, n)
	copyAny(c, data)
	return c
}
