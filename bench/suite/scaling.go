package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/godcem/godcem/bench/step"
	"gorgonia.org/tensor"
)

// An axis is a size that scales.
type axis struct {
	model, letter string
	sizes         []int
	usual         int  // the size of the other axes' cases
	linear        bool // it is claimed that the step's time is linear in it
}

func axes() []axis {
	return []axis{
		{"regression", "B", []int{16, 32, 64, 100, 128}, 16, true},
		{"regression", "N", []int{50, 100, 200, 400}, 100, true},
		{"regression", "T", []int{5, 10, 20}, 10, true},
		{"cartpole", "B", []int{16, 32, 64, 100, 128}, 16, true},
		{"cartpole", "N", []int{50, 100, 200, 400}, 100, true},
		{"cartpole", "T", []int{5, 10, 20}, 10, true},
		{"cartpole", "H", []int{10, 20, 40}, 20, false},
		{"cartpole", "D", []int{2, 8, 32}, 2, false},
	}
}

// of is the case with that size.
func (a axis) of(size int) step.Case {
	c := step.Case{Model: a.model, Batch: 16, Dtype: tensor.Float32}
	switch a.letter {
	case "B":
		c.Batch = size
	case "N":
		c.Samples = size
	case "T":
		c.Iterations = size
	case "H":
		c.Horizon = size
	case "D":
		c.Dim = size
	}
	return c
}

// title is the case's with that size.
func (a axis) title(size int) string {
	c := a.of(size)
	return result{Case: c.Name(), Batch: c.Batch}.title()
}

// linearWithin is how far the time for a unit of a size may be from that at the usual size.
const linearWithin = 0.15

// scaling compares the time for each unit of a size with that at the usual size.
func (p *page) scaling() string {
	var b, verdicts strings.Builder
	isa := p.isas[0]
	fmt.Fprintf(&b, "| step, float32, %s | size | godcem, ms | torch | jax | over the usual size's | for a unit |\n"+
		"|---|--:|--:|--:|--:|--:|--:|\n", isa)
	verdicts.WriteString("| step | over | furthest from linear | asked | |\n|---|---|--:|--:|---|\n")
	measured := false
	for _, a := range axes() {
		usual := p.find(a.title(a.usual), "float32", isa, "godcem")
		off, missing := 0.0, usual == nil
		for _, size := range a.sizes {
			own := p.find(a.title(size), "float32", isa, "godcem")
			if own == nil || usual == nil {
				missing = true
				continue
			}
			measured = true
			fmt.Fprintf(&b, "| %s | %s=%d | %s |", a.model, a.letter, size, ms(own.Median))
			for _, w := range []string{"torch", "jax"} {
				if r := p.find(a.title(size), "float32", isa, w); r != nil {
					fmt.Fprintf(&b, " %s |", ms(r.Median))
				} else {
					b.WriteString(" |")
				}
			}
			times := own.Median / usual.Median
			fmt.Fprintf(&b, " %.2f |", times)
			if !a.linear {
				b.WriteString(" |\n")
				continue
			}
			unit := times * float64(a.usual) / float64(size)
			fmt.Fprintf(&b, " %.2f |\n", unit)
			off = math.Max(off, math.Abs(unit-1))
		}
		if !a.linear {
			continue
		}
		verdict := "met"
		if !(off <= linearWithin) {
			verdict = "**missed**"
		}
		far := fmt.Sprintf("%.0f%%", 100*off)
		if missing {
			far, verdict = "not all measured", ""
		}
		fmt.Fprintf(&verdicts, "| %s | %s | %s | %.0f%% | %s |\n", a.model, a.letter, far, 100*linearWithin, verdict)
	}
	if !measured {
		return "Not measured.\n"
	}
	return verdicts.String() + "\n" + b.String()
}
