// Package emit turns a plan.Program into CUDA C and a list of launches. It knows nothing of drivers: what it makes is
// text and numbers, so that it can be tested where there is no GPU.
package emit

import (
	"fmt"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// Options say what the device is like. The zero value is an H200.
type Options struct {
	SMs    int // multiprocessors; 0: 132
	Shared int // bytes of static shared memory that a block may have; 0: 48 KiB
	// Library is from how many flops on plain products are launches of a library (Launch.Product), for devices that have
	// one; 0: never.
	Library int64
	// Disable names what to leave out: see Switches.
	Disable []string
}

// Switches are the names that Options.Disable may hold.
var Switches = []string{"rows", "side-by-side"}

// A Program is what a device runs.
type Program struct {
	Kernels  []Kernel // distinct
	Launches []Launch // in order: each sees all that the ones before it have written
	// Scratch is the bytes of device memory needed beside the arena. They are zero at first; kernels leave what
	// must be zero so.
	Scratch int
	// Counters are device memory too: one long long each, zero at first, ever growing. Element i belongs to
	// Counts[i].
	Counts []Count
}

// A Count is a counter of a kernel that counts.
type Count struct {
	Step  int
	Index int // into the Counts of its ir.Source
}

// A Kernel is a function of CUDA C. Its name is made of its text, so that equal kernels have equal names.
type Kernel struct {
	Name    string   // as in the source: "loop_add_1f3a…"
	Files   []string // of kernels.CUDA that it needs, without what those include themselves
	Source  string   // one extern "C" __global__ function
	Threads int      // of a block
	Shared  int      // bytes of static shared memory
}

// A Launch is a kernel with its arguments, or a step that the host does.
type Launch struct {
	Name   string // readable; unique in the program
	Kernel int    // -1: Product, if not nil; else the host runs the Custom of Steps[0]
	Blocks int    // of a one-dimensional grid
	Args   []Arg
	Steps  []int // of the plan's, that are done or begun here
	Flops  int64
	Bytes  int64
	// Product is what a library does, only with Options.Library.
	Product *Product
}

// An Arg is an argument of a kernel, 8 bytes.
type Arg struct {
	Kind   ArgKind
	Buf    plan.BufID // of Buffer
	Offset int        // in bytes from there, of Buffer, Scratch and Counter
	Value  uint64     // of Value
}

// An ArgKind says what an Arg is.
type ArgKind uint8

// The kinds.
const (
	Buffer  ArgKind = iota // address of the buffer + Offset
	Scratch                // address of the scratch memory + Offset
	Counter                // address of the counters + Offset
	Value                  // the number itself
)

// New emits a program. An error names the step that cannot be.
func New(p *plan.Program, o Options) (*Program, error) {
	if o.SMs == 0 {
		o.SMs = 132
	}
	if o.Shared == 0 {
		o.Shared = 48 << 10
	}
	e := &emitter{p: p, o: o}
	for i := range p.Steps {
		stages, err := e.step(i)
		if err != nil {
			return nil, fmt.Errorf("emit: step %s: %w", p.Steps[i].Name, err)
		}
		e.stages = append(e.stages, stages...)
	}
	return e.assemble()
}

// An emitter makes one program.
type emitter struct {
	p       *plan.Program
	o       Options
	scratch int
	counts  []Count
	stages  []part
	tilings map[string]tiling // of dots
	wide    bool              // loops count in 64 bits whatever their size, for tests
}

// reserve returns the offset of n bytes of scratch memory of its own, aligned to plan.Align. It is zero at first.
func (e *emitter) reserve(n int) int {
	at := e.scratch
	e.scratch += (n + plan.Align - 1) / plan.Align * plan.Align
	return at
}

// step gives a step's parts, in the order in which they must run.
func (e *emitter) step(i int) ([]part, error) {
	s := &e.p.Steps[i]
	switch {
	case s.Loop != nil:
		return e.loop(i, s.Loop)
	case s.Dot != nil:
		return e.dot(i, s.Dot)
	case s.Custom != nil:
		return e.custom(i, s.Custom)
	case s.Update != nil:
		return e.update(i, s.Update)
	}
	return nil, fmt.Errorf("none of Loop, Dot, Custom and Update")
}

// ctype is the type of an element in CUDA C.
func ctype(t ir.DType) string {
	switch t {
	case ir.F32:
		return "float"
	case ir.F64:
		return "double"
	case ir.Int64, ir.Int:
		return "long long"
	case ir.Int32:
		return "int"
	case ir.Uint8, ir.Bool:
		return "unsigned char"
	}
	panic(fmt.Sprintf("emit: element type %v", t))
}
