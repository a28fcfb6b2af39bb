package engine

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// What an H200 does at best, by which Launches are modelled: bytes and operations of float32 per second (of float64
// half as many), and seconds that a node of a graph of launches takes whatever it does.
const (
	modelBytes  = 4.3e12
	modelFlops  = 60e12
	modelLaunch = 2e-6
)

// Launches is what a device that is driven by launches does in a RunAll.
type Launches struct {
	// Graphs is the number of graphs of launches that the host starts: 1 unless it runs steps itself in between.
	Graphs  int `json:"graphs"`
	Kernels int `json:"kernels"` // distinct ones
	// HostSteps run on the host, with copies to it and back. Else values cross only as inputs that changed, at most
	// so many and so many bytes, and as outputs that are asked for.
	HostSteps  int   `json:"host_steps"`
	Inputs     int   `json:"inputs"`
	InputBytes int64 `json:"input_bytes"`
	// Seconds is the least that an H200 could need: for each launch 2 us, and the longer of its arithmetic at
	// 60 TFLOP/s (float64: 30) and its traffic at 4.3 TB/s. It is a model, not a measurement.
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
	Seconds float64 `json:"modelled_seconds"`
}

// A Repeat is a sequence of launches that occurs several times in a row.
type Repeat struct {
	First   int     `json:"first"`  // of the launches
	Length  int     `json:"length"` // of the sequence, in launches
	Times   int     `json:"times"`
	Seconds float64 `json:"modelled_seconds"` // of one
}

// launches summarises what a Launcher runs.
func launches(p *plan.Program, l emit.Launcher) *Launches {
	prog, graphs := l.Launches()
	s := &Launches{Graphs: graphs, Kernels: len(prog.Kernels)}
	for _, in := range p.Inputs {
		if b := &p.Buffers[max(in.Buf, 0)]; in.Buf >= 0 && b.Role == plan.Input {
			s.Inputs++
			s.InputBytes += int64(b.Bytes())
		}
	}
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
			if x.Kernel >= 0 {
				k := &prog.Kernels[x.Kernel]
				sum.Kernel, sum.Threads, sum.Shared = k.Name, k.Threads, k.Shared
			}
			flops := float64(x.Flops)
			if double(p, x.Steps) {
				flops *= 2
			}
			sum.Seconds = modelLaunch + max(flops/modelFlops, float64(x.Bytes)/modelBytes)
		}
		s.Seconds += sum.Seconds
		s.List = append(s.List, sum)
	}
	s.Repeats = repeats(ids)
	for i := range s.Repeats {
		r := &s.Repeats[i]
		for _, x := range s.List[r.First : r.First+r.Length] {
			r.Seconds += x.Seconds
		}
	}
	return s
}

// double reports whether the steps compute in float64.
func double(p *plan.Program, steps []int) bool {
	for _, i := range steps {
		switch s := &p.Steps[i]; {
		case s.Loop != nil && s.Loop.Type == ir.F64, s.Dot != nil && s.Dot.Type == ir.F64:
			return true
		}
	}
	return false
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
	fmt.Fprintf(w, "launches  %d of %d kernels in %s, %s; host copies: %s\n",
		len(s.List)-s.HostSteps, s.Kernels, counted(s.Graphs, "graph launch", "graph launches"),
		fmt.Sprintf("at least %.3g us on an H200 by its peaks", s.Seconds*1e6), s.copies())
	for _, r := range s.Repeats {
		fmt.Fprintf(w, "          %d times %s from #%d on, at least %.3g us each\n",
			r.Times, counted(r.Length, "launch", "launches"), r.First, r.Seconds*1e6)
	}
}

// copies says what crosses between host and device in a run.
func (s *Launches) copies() string {
	text := "none but the inputs"
	if s.HostSteps > 0 {
		text = fmt.Sprintf("those of %s, and the inputs", counted(s.HostSteps, "step on the host", "steps on the host"))
	}
	return fmt.Sprintf("%s (%d, %s)", text, s.Inputs, size(int(s.InputBytes)))
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
	fmt.Fprint(w, "blocks\tthreads\tshared\tsteps\tflops\tbytes\tleast us\t\n")
	for _, x := range s.List {
		fmt.Fprintf(w, "%d\t%d\t%s\t%d\t%d\t%s\t%.1f\t  %s\n",
			x.Blocks, x.Threads, size(x.Shared), x.Steps, x.Flops, size(int(x.Bytes)), x.Seconds*1e6, x.Name)
	}
	w.Flush()
}
