package engine

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// The model of the time on an H200. The first four are what it does at best: bytes a second, operations of float32 a
// second (of float64 half as many), multiprocessors, of which a block has one, and seconds that a node of a graph of
// launches, or a copy between host and device, takes whatever it does. The last is a guess, which nobody has measured:
// seconds that threads of a block take to wait for each other and for what the others wrote.
const (
	modelBytes  = 4.3e12
	modelFlops  = 60e12
	modelBlocks = 132
	modelLaunch = 2e-6
	modelStage  = 0.5e-6

	modelSmall = 16 << 10 // bytes of an input up to which it is copied together with others
)

// Launches is what a device that is driven by launches does in a RunAll.
type Launches struct {
	// Graphs is the number of graphs of launches that the host starts: 1 unless it runs steps itself in between.
	Graphs  int `json:"graphs"`
	Kernels int `json:"kernels"` // distinct ones
	// HostSteps run on the host, with copies to it and back. Else values cross only as inputs and as outputs that are
	// wanted on the host, and so does the report of an update.
	HostSteps   int   `json:"host_steps"`
	Inputs      int   `json:"inputs"`
	InputBytes  int64 `json:"input_bytes"`
	Outputs     int   `json:"outputs"`
	OutputBytes int64 `json:"output_bytes"`
	// Copies is how many copies that makes in a run: small inputs are copied together, all others one by one.
	Copies int  `json:"copies"`
	Report bool `json:"report"` // an update's is among them
	// Least is the least that an H200 could need: for each launch 2 us, and the longer of its arithmetic at
	// 60 TFLOP/s (float64: 30) and its traffic at 4.3 TB/s; and for each copy 2 us.
	Least float64 `json:"least_seconds"`
	// Seconds is more of a guess: Least, but blocks have a 132nd of the arithmetic each, and what must wait within a
	// launch takes 0.5 us each time. It is a model too, not a measurement.
	Seconds float64         `json:"modelled_seconds"`
	List    []LaunchSummary `json:"launches"`
	// Repeats are sequences of launches of the same kernels, as the iterations of an unrolled solve are, forward and
	// backward.
	Repeats []Repeat `json:"repeats"`
}

// A LaunchSummary is one launch of a kernel, or a step of the host.
type LaunchSummary struct {
	Name    string  `json:"name"`
	Kernel  string  `json:"kernel,omitempty"` // "": the host; "library": a product of one
	Blocks  int     `json:"blocks"`
	Threads int     `json:"threads"` // of a block
	Shared  int     `json:"shared"`  // bytes of static shared memory
	Steps   int     `json:"steps"`   // that it does, or a part of
	Flops   int64   `json:"flops"`
	Bytes   int64   `json:"bytes"`
	Stages  int     `json:"stages"` // how often its threads wait for each other, one after the other
	Least   float64 `json:"least_seconds"`
	Seconds float64 `json:"modelled_seconds"`
}

// A Repeat is a sequence of launches that occurs several times in a row.
type Repeat struct {
	First   int     `json:"first"`  // of the launches
	Length  int     `json:"length"` // of the sequence, in launches
	Times   int     `json:"times"`
	Least   float64 `json:"least_seconds"`    // of one
	Seconds float64 `json:"modelled_seconds"` // of one
}

// launches summarises what a Launcher runs.
func launches(vm *VM, l emit.Launcher) *Launches {
	p := vm.program
	prog, graphs := l.Launches()
	s := &Launches{Graphs: graphs, Kernels: len(prog.Kernels)}
	vm.cross(s)
	s.Least = float64(s.Copies) * modelLaunch
	s.Seconds = s.Least
	ids := make([]int, len(prog.Launches))
	for i := range prog.Launches {
		x := &prog.Launches[i]
		sum := LaunchSummary{Name: x.Name, Blocks: x.Blocks, Steps: len(x.Steps), Flops: x.Flops, Bytes: x.Bytes}
		ids[i] = x.Kernel
		if x.Kernel < 0 {
			ids[i] = -1 - i // never alike
		}
		if x.Kernel < 0 && x.Product == nil {
			s.HostSteps++
		} else {
			sum.Kernel = "library"
			blocks := modelBlocks
			if x.Kernel >= 0 {
				k := &prog.Kernels[x.Kernel]
				sum.Kernel, sum.Threads, sum.Shared = k.Name, k.Threads, k.Shared
				blocks = min(max(x.Blocks, 1), modelBlocks)
				sum.Stages = stages(p, x.Steps)
			}
			flops := float64(x.Flops+min(doubles(p, x.Steps), x.Flops)) / modelFlops
			bytes := float64(x.Bytes) / modelBytes
			sum.Least = modelLaunch + max(flops, bytes)
			sum.Seconds = modelLaunch + max(flops*modelBlocks/float64(blocks), bytes) + float64(sum.Stages)*modelStage
		}
		s.Least += sum.Least
		s.Seconds += sum.Seconds
		s.List = append(s.List, sum)
	}
	s.Repeats = repeats(ids)
	for i := range s.Repeats {
		r := &s.Repeats[i]
		for _, x := range s.List[r.First : r.First+r.Length] {
			r.Least += x.Least
			r.Seconds += x.Seconds
		}
	}
	return s
}

// cross counts what crosses between host and device in a run, whatever the device of this VM is.
func (vm *VM) cross(s *Launches) {
	p := vm.program
	small := 0
	for _, in := range p.Inputs {
		if b := &p.Buffers[max(in.Buf, 0)]; in.Buf >= 0 && b.Role == plan.Input {
			s.Inputs++
			s.InputBytes += int64(b.Bytes())
			if b.Bytes() <= modelSmall {
				small++
			} else {
				s.Copies++
			}
		}
	}
	s.Copies += min(small, 1)
	seen := make(map[plan.BufID]bool)
	for i, stays := range vm.stay() {
		if b := vm.outputs[i].buf; !stays && !seen[b] {
			seen[b] = true
			s.Outputs++
			s.OutputBytes += int64(p.Buffers[b].Bytes())
		}
	}
	s.Copies += s.Outputs
	if vm.update != nil {
		s.Report = true
		s.Copies++
	}
}

// stay says for each output whether a device with memory of its own would keep it until it is asked for; see keep.
func (vm *VM) stay() []bool {
	c := *vm.compiled
	c.near, c.blind, c.outputs = false, false, slices.Clone(c.outputs)
	c.keep(vm.config)
	late := make([]bool, len(c.outputs))
	for i := range c.outputs {
		late[i] = c.outputs[i].late
	}
	return late
}

// doubles is how many of the steps' operations are in float64: kernels compute in it whatever their operands are.
func doubles(p *plan.Program, steps []int) (flops int64) {
	for _, i := range steps {
		s := &p.Steps[i]
		if s.Loop != nil && s.Loop.Type == ir.F64 || s.Dot != nil && s.Dot.Type == ir.F64 || s.Custom != nil {
			flops += s.Flops
		}
	}
	return flops
}

// stages is how often threads of a launch wait for each other, along the longest chain of its steps: once between two
// steps of which one reads what the other wrote, and as often as a kernel says within it. The launch itself is one.
func stages(p *plan.Program, steps []int) (most int) {
	until := make([]int, len(steps))
	for j, id := range steps {
		s := &p.Steps[id]
		for i, before := range steps[:j] {
			if slices.ContainsFunc(p.Steps[before].Writes, func(b plan.BufID) bool { return slices.Contains(s.Reads, b) }) {
				until[j] = max(until[j], until[i]+1)
			}
		}
		if s.Custom != nil {
			if k, ok := s.Custom.Kernel.(ir.Stager); ok {
				until[j] += k.Stages()
			}
		}
		most = max(most, until[j])
	}
	return most
}

// repeats finds sequences that occur at least three times in a row, the longest stretches first taken, and of a
// stretch the shortest sequence. They come in order.
func repeats(ids []int) (found []Repeat) {
	var cover func(lo, hi int)
	cover = func(lo, hi int) {
		best := Repeat{}
		for d := 1; 3*d <= hi-lo; d++ {
			for i := lo; i+d < hi; {
				if ids[i] != ids[i+d] {
					i++
					continue
				}
				from := i
				for i+d < hi && ids[i] == ids[i+d] {
					i++
				}
				if times := (i-from)/d + 1; times >= 3 && times*d > best.Times*best.Length {
					best = Repeat{First: from, Length: d, Times: times}
				}
			}
		}
		if best.Times == 0 {
			return
		}
		cover(lo, best.First)
		found = append(found, best)
		cover(best.First+best.Times*best.Length, hi)
	}
	cover(0, len(ids))
	return found
}

// write prints the launches for people.
func (s *Launches) write(w io.Writer) {
	fmt.Fprintf(w, "launches  %d of %d kernels in %s; host copies: %s\n", len(s.List)-s.HostSteps, s.Kernels,
		counted(s.Graphs, "graph launch", "graph launches"), s.copies())
	fmt.Fprintf(w, "          %.3g us at least on an H200 by its peaks, %.3g us by a model with guesses in it\n",
		s.Least*1e6, s.Seconds*1e6)
	for _, r := range s.Repeats {
		fmt.Fprintf(w, "          %d times %s from #%d on, %.3g us at least each, %.3g us by the model\n",
			r.Times, counted(r.Length, "launch", "launches"), r.First, r.Least*1e6, r.Seconds*1e6)
	}
}

// copies says what crosses between host and device in a run.
func (s *Launches) copies() string {
	text := fmt.Sprintf("%d a run, of %s (%s)", s.Copies, counted(s.Inputs, "input", "inputs"), size(int(s.InputBytes)))
	if s.Outputs > 0 {
		text += fmt.Sprintf(", %s (%s)", counted(s.Outputs, "output", "outputs"), size(int(s.OutputBytes)))
	}
	if s.Report {
		text += ", the update's report"
	}
	if s.HostSteps > 0 {
		text += fmt.Sprintf("; and those of %s", counted(s.HostSteps, "step on the host", "steps on the host"))
	}
	return text
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// table prints one line per launch.
func (s *Launches) table(b io.Writer) {
	w := tabwriter.NewWriter(b, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "blocks\tthreads\tshared\tsteps\tflops\tbytes\twaits\tleast us\tmodel us\t\n")
	for _, x := range s.List {
		fmt.Fprintf(w, "%d\t%d\t%s\t%d\t%d\t%s\t%d\t%.1f\t%.1f\t  %s\n", x.Blocks, x.Threads, size(x.Shared), x.Steps,
			x.Flops, size(int(x.Bytes)), x.Stages, x.Least*1e6, x.Seconds*1e6, x.Name)
	}
	w.Flush()
}
