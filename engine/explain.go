package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/frontend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// An Explanation says what became of a graph. Its String is a table for people; it encodes as JSON.
type Explanation struct {
	Device Info `json:"device"`
	// Nodes of the source graph, of the representation, and of it after the passes.
	SourceNodes   int           `json:"source_nodes"`
	ImportedNodes int           `json:"imported_nodes"`
	FinalNodes    int           `json:"final_nodes"`
	Stages        []Stage       `json:"stages"`
	Passes        []PassSummary `json:"passes"`
	Steps         []StepSummary `json:"steps"`
	// Fallbacks are the ops that run on the host, between compiled parts.
	Fallbacks []Fallback `json:"fallbacks"`
	Memory    Memory     `json:"memory"`
	// Launches, of a device that is driven by them.
	Launches *Launches `json:"launches,omitempty"`
	Flops    int64     `json:"flops"`       // of a RunAll
	Bytes    int64     `json:"bytes_moved"` // of a RunAll, read and written by steps
	Traced   int       `json:"traced"`      // runs that Trace measured
}

// A Stage of compiling.
type Stage struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// A PassSummary is a pass over all its rounds.
type PassSummary struct {
	Name    string  `json:"name"`
	Rounds  int     `json:"rounds"`
	Before  int     `json:"before"`  // nodes before its first round
	After   int     `json:"after"`   // nodes after its last
	Changed int     `json:"changed"` // nodes replaced or removed
	Seconds float64 `json:"seconds"`
}

// A StepSummary is a kernel.
type StepSummary struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`  // loop, dot, custom, update
	Shape    string   `json:"shape"` // of the iteration space
	Type     string   `json:"type"`
	Flops    int64    `json:"flops"`
	Bytes    int64    `json:"bytes"`
	Fused    int      `json:"fused"`            // nodes computed here
	Kinds    string   `json:"kinds"`            // and how many of each kind
	Source   []string `json:"source,omitempty"` // the source graph's nodes that they come from
	Reads    []string `json:"reads,omitempty"`  // buffers
	Writes   []string `json:"writes,omitempty"`
	Again    bool     `json:"again,omitempty"` // computed again to save memory
	Host     bool     `json:"host,omitempty"`
	Measured *Cost    `json:"measured,omitempty"` // with Trace
}

// A Fallback is an op that the host runs.
type Fallback struct {
	Op       string `json:"op"`
	Step     string `json:"step"`
	Node     string `json:"node"`
	Why      string `json:"why"` // it is not compiled
	Bytes    int64  `json:"bytes"`
	Measured *Cost  `json:"measured,omitempty"` // with Trace
}

// Memory is in bytes.
type Memory struct {
	Arena      int `json:"arena"` // all
	Inputs     int `json:"inputs"`
	Params     int `json:"params"`
	Constants  int `json:"constants"`
	Outputs    int `json:"outputs"`
	State      int `json:"state"`
	Peak       int `json:"peak"`       // of temporary values at once
	Temporary  int `json:"temporary"`  // of all temporary values, if none shared its place
	Recomputed int `json:"recomputed"` // steps that save memory by computing again
	Scratch    int `json:"scratch"`    // the device's own, beside the arena; 0 if it does not tell
}

// Explain says what the VM compiled the graph to, closed or not. It waits while another goroutine uses the VM.
func (vm *VM) Explain() *Explanation {
	defer vm.wait()()
	return vm.explain()
}

func (vm *VM) explain() *Explanation {
	p := vm.program
	e := &Explanation{
		Device:        vm.device.Info(),
		SourceNodes:   len(vm.module.Nodes),
		ImportedNodes: len(vm.module.Graph.Nodes),
		FinalNodes:    len(p.Graph.Nodes),
		Stages:        slices.Clone(vm.stages),
		Fallbacks:     []Fallback{}, // an array in JSON, however long
	}
	at := map[string]int{}
	for _, r := range vm.reports {
		i, ok := at[r.Name]
		if !ok {
			i = len(e.Passes)
			at[r.Name] = i
			e.Passes = append(e.Passes, PassSummary{Name: r.Name, Before: r.Before})
		}
		s := &e.Passes[i]
		s.Rounds, s.After = s.Rounds+1, r.After
		s.Changed, s.Seconds = s.Changed+r.Changed, s.Seconds+r.Took.Seconds()
	}
	e.steps(vm)
	e.memory(p)
	if s, ok := vm.exec.(backend.Scratcher); ok {
		e.Memory.Scratch = int(s.Scratch())
	}
	if l, ok := vm.exec.(emit.Launcher); ok {
		e.Launches = launches(vm, l)
	}
	return e
}

func (e *Explanation) steps(vm *VM) {
	p := vm.program
	if vm.tracer != nil {
		e.Traced = vm.tracer.runs
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		sum := StepSummary{
			Name: s.Name, Kind: kindOf(s), Flops: s.Flops, Bytes: s.Bytes, Fused: len(s.Nodes), Again: s.Again,
			Kinds: kindsOf(p.Graph, s.Nodes), Source: sources(p.Graph, s.Nodes),
			Reads: bufferNames(p, s.Reads), Writes: bufferNames(p, s.Writes),
		}
		sum.Shape, sum.Type = shapeOf(p, s)
		if vm.tracer != nil {
			c := vm.tracer.steps[i]
			sum.Measured = &c
		}
		if s.Custom != nil {
			sum.Kinds = s.Custom.Kernel.String()
		}
		if s.Custom != nil && ir.IsHost(s.Custom.Kernel) {
			sum.Host = true
			f := Fallback{Op: s.Custom.Kernel.String(), Step: s.Name, Bytes: s.Bytes, Measured: sum.Measured}
			f.Why = frontend.Why(s.Custom.Kernel)
			if len(sum.Source) > 0 {
				f.Node = sum.Source[0]
			}
			e.Fallbacks = append(e.Fallbacks, f)
		}
		e.Flops += s.Flops
		e.Bytes += s.Bytes
		e.Steps = append(e.Steps, sum)
	}
}

func (e *Explanation) memory(p *plan.Program) {
	m := &e.Memory
	m.Arena, m.Peak, m.Recomputed = p.Arena, p.Peak, p.Recomputed
	for i := range p.Buffers {
		b := &p.Buffers[i]
		switch b.Role {
		case plan.Temp:
			m.Temporary += b.Bytes()
		case plan.Input:
			m.Inputs += b.Bytes()
		case plan.Param:
			m.Params += b.Bytes()
		case plan.Const:
			m.Constants += b.Bytes()
		case plan.Output:
			m.Outputs += b.Bytes()
		case plan.State:
			m.State += b.Bytes()
		}
	}
}

// kindsOf counts the kinds of nodes, in the order in which they first appear: "mul*3 add*2 tanh".
func kindsOf(g *ir.Graph, nodes []ir.ID) string {
	var order []ir.Op
	counts := map[ir.Op]int{}
	for _, id := range nodes {
		op := g.Nodes[id].Op
		if counts[op]++; counts[op] == 1 {
			order = append(order, op)
		}
	}
	var s []string
	for _, op := range order {
		if n := counts[op]; n > 1 {
			s = append(s, fmt.Sprintf("%v*%d", op, n))
		} else {
			s = append(s, op.String())
		}
	}
	return strings.Join(s, " ")
}

// sources names the source nodes of nodes, each once.
func sources(g *ir.Graph, nodes []ir.ID) []string {
	var names []string
	seen := map[int32]bool{}
	for _, id := range nodes {
		src := g.Nodes[id].Src
		if src < 0 || seen[src] || g.Name == nil {
			continue
		}
		seen[src] = true
		names = append(names, g.Name(src))
	}
	return names
}

func bufferNames(p *plan.Program, bufs []plan.BufID) []string {
	var names []string
	for _, id := range bufs {
		if id < 0 {
			continue
		}
		b := &p.Buffers[id]
		names = append(names, fmt.Sprintf("b%d %v%v", id, b.Type, b.Shape))
	}
	return names
}

func shapeOf(p *plan.Program, s *plan.Step) (shape, typ string) {
	switch {
	case s.Loop != nil:
		return fmt.Sprint(s.Loop.Dims), s.Loop.Type.String()
	case s.Dot != nil:
		d := s.Dot
		shape = fmt.Sprintf("(%d,%d)x(%d,%d)", d.M, d.K, d.K, d.N)
		if d.Batch != 1 {
			shape = fmt.Sprintf("%d*%s", d.Batch, shape)
		}
		return shape, d.Type.String()
	case s.Custom != nil && s.Custom.Out >= 0:
		b := &p.Buffers[s.Custom.Out]
		return fmt.Sprint(b.Shape), b.Type.String()
	case s.Update != nil && len(s.Update.Params) > 0:
		n := 0
		for _, b := range s.Update.Params {
			n += p.Buffers[b].Count()
		}
		return fmt.Sprintf("%d params, %d elements", len(s.Update.Params), n), p.Buffers[s.Update.Params[0]].Type.String()
	}
	return "", ""
}

// JSON is the explanation as indented JSON.
func (e *Explanation) JSON() ([]byte, error) { return json.MarshalIndent(e, "", "  ") }

// String is the explanation as a table.
func (e *Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "device    %s", e.Device.Name)
	if e.Device.Model != "" {
		fmt.Fprintf(&b, " (%s)", e.Device.Model)
	}
	fmt.Fprintf(&b, "\nnodes     %d in the graph, %d imported, %d after the passes\n",
		e.SourceNodes, e.ImportedNodes, e.FinalNodes)
	total := 0.0
	b.WriteString("compile  ")
	for _, s := range e.Stages {
		fmt.Fprintf(&b, " %s %.1f ms,", s.Name, s.Seconds*1e3)
		total += s.Seconds
	}
	fmt.Fprintf(&b, " in all %.1f ms\n", total*1e3)
	m := e.Memory
	fmt.Fprintf(&b, "memory    arena %s: inputs %s, params %s, constants %s, outputs %s, optimiser %s, ",
		size(m.Arena), size(m.Inputs), size(m.Params), size(m.Constants), size(m.Outputs), size(m.State))
	fmt.Fprintf(&b, "temporary %s at most (of %s); scratch %s\n", size(m.Peak), size(m.Temporary), size(m.Scratch))
	fmt.Fprintf(&b, "run       %d steps, %.4g Mflop, %s moved, %d steps again to save memory, %d on the host\n",
		len(e.Steps), float64(e.Flops)/1e6, size(int(e.Bytes)), m.Recomputed, len(e.Fallbacks))
	if e.Launches != nil {
		e.Launches.write(&b)
	}
	b.WriteString("\n")

	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "step\tkind\tshape\ttype\tflops\tbytes\tnodes\tleast us\tmean us\t\n")
	for _, s := range e.Steps {
		least, mean := "-", "-"
		if s.Measured != nil {
			least, mean = fmt.Sprintf("%.1f", s.Measured.Least*1e6), fmt.Sprintf("%.1f", s.Measured.Mean()*1e6)
		}
		kind := s.Kind
		if s.Host {
			kind = "host"
		}
		if s.Again {
			kind += " again"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%d\t%s\t%s\t  %s\n",
			s.Name, kind, s.Shape, s.Type, s.Flops, size(int(s.Bytes)), s.Fused, least, mean, s.Kinds)
	}
	w.Flush()
	if e.Launches != nil {
		b.WriteString("\nlaunches:\n")
		e.Launches.table(&b)
	}
	if len(e.Fallbacks) > 0 {
		b.WriteString("\non the host:\n")
		for _, f := range e.Fallbacks {
			fmt.Fprintf(&b, "  %s, step %s, node %s", f.Op, f.Step, f.Node)
			if f.Measured != nil && f.Measured.Count > 0 {
				fmt.Fprintf(&b, ", %.1f us at least, %.1f on average", f.Measured.Least*1e6, f.Measured.Mean()*1e6)
			}
			if f.Why != "" {
				fmt.Fprintf(&b, ": %s", f.Why)
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\npasses:\n")
	w = tabwriter.NewWriter(&b, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "pass\trounds\tbefore\tafter\tchanged\tms\t\n")
	for _, s := range e.Passes {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%.2f\t\n", s.Name, s.Rounds, s.Before, s.After, s.Changed, s.Seconds*1e3)
	}
	w.Flush()
	return b.String()
}

// size is a number of bytes for people.
func size(bytes int) string {
	switch v := float64(bytes); {
	case bytes < 10_000:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 10_000_000:
		return fmt.Sprintf("%.1f kB", v/1e3)
	default:
		return fmt.Sprintf("%.1f MB", v/1e6)
	}
}
