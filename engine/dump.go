package engine

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/godcem/godcem/engine/ir"
	G "gorgonia.org/gorgonia"
)

// DumpStages lists the stages that Dump can write: the Gorgonia graph, the engine's representation of it, that after
// every pass that changed it, the plan's steps as a table, and the whole program.
var DumpStages = []string{"graph", "ir", "passes", "plan", "program"}

// Dump writes what NewVM(g, opts...) makes of the graph at a stage of [DumpStages].
func Dump(w io.Writer, g *G.ExprGraph, stage string, opts ...Option) (err error) {
	defer guard("Dump", &err)
	if !slices.Contains(DumpStages, stage) {
		return fmt.Errorf("engine: Dump: no stage %q, want one of %s", stage, strings.Join(DumpStages, ", "))
	}
	c, err := configure(g, opts)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	vm := &VM{g: g, config: c, owner: ownerOf(g)}
	if err := vm.prepare(); err != nil {
		return err
	}
	if stage == "graph" {
		dumpGraph(out, g)
		return out.Flush()
	}
	p, err := vm.lower(nil)
	if err != nil {
		return err
	}
	if stage == "ir" {
		fmt.Fprint(out, p.module.Graph)
		return out.Flush()
	}
	var watch func(string, *ir.Graph)
	if stage == "passes" {
		last := p.module.Graph
		watch = func(name string, g *ir.Graph) {
			if g != last {
				fmt.Fprintf(out, "# after %s: %d nodes\n%v\n", name, len(g.Nodes), g)
			}
			last = g
		}
		fmt.Fprintf(out, "# imported: %d nodes\n%v\n", len(last.Nodes), last)
	}
	graph, reports, err := p.passes(watch)
	if err != nil {
		return err
	}
	if stage == "passes" {
		return out.Flush()
	}
	prog, err := p.plan(graph, c.device)
	if err != nil {
		return err
	}
	if stage == "program" {
		fmt.Fprint(out, prog)
		return out.Flush()
	}
	vm.device = c.device
	if vm.device == nil {
		if vm.device, err = defaultDevice(); err != nil {
			return err
		}
	}
	vm.compiled = &compiled{module: p.module, program: prog, reports: reports, stages: p.stages}
	fmt.Fprint(out, vm.explain())
	return out.Flush()
}

// dumpGraph writes a line per node: its number, op, operands, type, shape and name.
func dumpGraph(w io.Writer, g *G.ExprGraph) {
	for _, n := range g.AllNodes() {
		var kids []string
		if it := g.From(n.ID()); it != nil {
			for it.Next() {
				kids = append(kids, fmt.Sprintf("%%%d", it.Node().ID()))
			}
		}
		op, typ := "input", fmt.Sprintf("%v %v", n.Type(), n.Shape())
		if n.Op() != nil {
			op = strings.Join(strings.Fields(n.Op().String()), " ")
		}
		if isStatement(n) {
			typ = "statement"
		}
		fmt.Fprintf(w, "%%%d = %s(%s)  %s  %q\n", n.ID(), op, strings.Join(kids, ", "), typ, describe(n))
	}
}
