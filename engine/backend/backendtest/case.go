// Package backendtest is the one table of cases that every backend passes, and what runs it: Run as a test, Bench as
// a benchmark. A case's program goes through the whole pipeline below the frontend (passes, planning, verification,
// the device), with poisoned outputs, and its results are compared with package ref's of the graph as it was built.
//
// To add a case, write a Case in the file of its group; nothing else knows the table.
package backendtest

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/ir"
)

// A Case is a program with a known meaning.
type Case struct {
	Name string
	// Build appends the program in float type t. Its outputs are what is compared.
	Build func(b *ir.Builder, t ir.DType)
	// Types are what Build is called with; nil: both float types.
	Types []ir.DType
	// Tol is how far results may be from package ref's exact ones, in units of the type's last place (of F64 where no
	// output is F32), and Why says what they come from. 0: the bits of the reference that rounds every node; below
	// 0.01: its numbers, but for the sign of zeros.
	Tol float64
	Why string
	// Each: Tol is relative to each element (and not below the smallest subnormal); otherwise to max(1, max|want|) of
	// the output.
	Each bool
	// Feed gives the inputs' values; nil: graphs.Values. The seed differs from run to run.
	Feed func(n *ir.Node, seed uint64) any
	// Seeds are those of the runs' values; nil: 1, 1, 2, 1. Inputs are written when the seed changes. Where nothing
	// is updated, runs of one seed must agree in every bit.
	Seeds []uint64
	// Variants: also with every single pass and every planner's feature switched off, one at a time.
	Variants bool
	// Budgets: also with fractions of the memory that it takes otherwise.
	Budgets []float64
	// Fails: runs of seed 1 must fail with an error that contains this and the name of a step, and the others work.
	Fails string
	// Check, if not nil, looks at more than values: it is called once before the first run, with -1, and after each.
	Check func(run int) error
	// Bench: Bench runs it too.
	Bench bool
}

// Cases returns the table. Names are unique.
func Cases() []Case {
	return slices.Concat(elementwiseCases(), movementCases(), reductionCases(), dotCases(), noiseCases(), customCases(),
		structureCases(), modelCases(), updateCases(), randomCases())
}

var both = []ir.DType{ir.F32, ir.F64}

// graph builds the case in a type.
func (c *Case) graph(t ir.DType) (*ir.Graph, error) {
	b := ir.NewBuilder()
	c.Build(b, t)
	if err := b.Err(); err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	if len(b.G.Outputs)+len(b.G.Updates) == 0 {
		return nil, fmt.Errorf("build: nothing is wanted")
	}
	return b.G, b.G.Verify()
}

func (c *Case) values(n *ir.Node, seed uint64) any {
	if c.Feed != nil {
		return c.Feed(n, seed)
	}
	return graphs.Values(n, seed)
}

func input(b *ir.Builder, t ir.DType, name string, shape ...int) ir.ID {
	return b.Input(t, shape, ir.InputAttr{Name: name})
}

func resident(b *ir.Builder, t ir.DType, name string, shape ...int) ir.ID {
	return b.Input(t, shape, ir.InputAttr{Name: name, Resident: true})
}

func runNumber(b *ir.Builder) ir.ID {
	return b.Input(ir.Int64, nil, ir.InputAttr{Name: "run", RunNumber: true})
}

const (
	randomWhy = "what graphs.Tol32 says"
	zerosWhy  = "no rounding, but -0 + 0 may become -0 where a sum becomes a concatenation"
)

// rounded reports whether the case is compared with the reference that rounds every node.
func (c *Case) rounded() bool { return c.Tol < 0.01 }

// randomCases are random graphs, seeds of which have a name each.
func randomCases() []Case {
	var cases []Case
	add := func(kind string, seed uint64, g *ir.Graph, tol float64, why string) {
		cases = append(cases, Case{
			Name:     fmt.Sprintf("%s/%d", kind, seed),
			Build:    func(b *ir.Builder, _ ir.DType) { b.G = g.Clone() },
			Types:    []ir.DType{ir.F32}, // the seed decides
			Tol:      tol,
			Why:      why,
			Variants: seed%4 == 0,
			Budgets:  []float64{0.5},
		})
	}
	for seed := range uint64(60) {
		add("random", seed, graphs.Random(seed), 128, randomWhy)
	}
	for seed := range uint64(12) {
		add("random large", seed, graphs.Large(seed), 128, randomWhy)
	}
	for seed := range uint64(40) {
		add("random exact", seed, graphs.Exact(seed), 1e-9, zerosWhy)
	}
	return cases
}
