package main

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/engine"
	G "gorgonia.org/gorgonia"
)

// compileResult is how long a machine takes to be made from a graph, without the building of the graph.
type compileResult struct {
	Nodes  int           `json:"nodes"`
	Engine record.Spread `json:"engine_ms"`
	Least  float64       `json:"engine_least_ms"`
	Tape   float64       `json:"tape_ms"` // once
}

func measureCompile(r *report, rounds int) error {
	for _, nodes := range []int{1000, 3000, 10000, 30000} {
		g, err := newChain(nodes)
		if err != nil {
			return err
		}
		c := compileResult{Nodes: len(g.AllNodes())}
		var times []float64
		for range max(rounds, 5) {
			runtime.GC() // the last one's garbage is not this one's
			began := time.Now()
			vm, err := engine.NewVM(g, engine.Outputs())
			if err != nil {
				return err
			}
			times = append(times, time.Since(began).Seconds()*1e3)
			if err := vm.Close(); err != nil {
				return err
			}
		}
		c.Engine, c.Least = record.SpreadOf(times), slices.Min(times)
		began := time.Now()
		vm := G.NewTapeMachine(g)
		c.Tape = time.Since(began).Seconds() * 1e3
		if err := vm.Close(); err != nil {
			return err
		}
		fmt.Printf("compile %d nodes: engine %.4g ms, tape %.4g ms\n", c.Nodes, c.Engine.Median, c.Tape)
		r.Compile = append(r.Compile, c)
	}
	first, last := r.Compile[0], r.Compile[len(r.Compile)-1]
	// Of the least times: the short ones suffer most from what else the machine does. n log n over this range has an
	// exponent of 1.12; the rest is memory that no longer fits the caches.
	growth := math.Log(last.Least/first.Least) / math.Log(float64(last.Nodes)/float64(first.Nodes))
	r.Claims = append(r.Claims,
		record.AtMost(fmt.Sprintf("NewVM of %d nodes, seconds", last.Nodes), last.Engine.Median/1e3, 1),
		record.AtMost("NewVM from 1,000 to 30,000 nodes: exponent of the growth", growth, 1.25))
	return nil
}
