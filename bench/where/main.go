// Command where says where a training step's time goes: its steps by kind and shape, how often each comes, its share
// of the time, and the rate at which it computes beside that of products in the near caches. Shares and rates are by
// the fastest of each step's runs: the first touches new memory, and a mean has what else the machine did. With
// -cpuprofile it also writes a profile of whole runs.
//
//	go run ./bench/where [-case regression|cartpole] [-batch 100] [-dtype float32] [-seconds 3] [-cpuprofile FILE]
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/godcem/godcem/bench/step"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/vec"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

type settings struct {
	name    string
	batch   int
	dtype   string
	seconds float64
	profile string
	brief   bool
}

func main() {
	var s settings
	flag.StringVar(&s.name, "case", "regression", "training step: regression or cartpole")
	flag.IntVar(&s.batch, "batch", 100, "problems B")
	flag.StringVar(&s.dtype, "dtype", "float32", "float32 or float64")
	flag.Float64Var(&s.seconds, "seconds", 3, "time to run whole steps, and again as long to time their parts")
	flag.StringVar(&s.profile, "cpuprofile", "", "file for a profile of the whole steps")
	flag.BoolVar(&s.brief, "brief", false, "only the time of whole steps")
	flag.Parse()
	if err := s.run(os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "where: %v\n", err)
		os.Exit(1)
	}
}

// graph is a new graph of the case.
func (s *settings) graph() (loss *G.Node, params G.Nodes, o kernels.Optimizer, err error) {
	if s.dtype != "float32" && s.dtype != "float64" {
		return nil, nil, o, fmt.Errorf("-dtype %s, want float32 or float64", s.dtype)
	}
	if s.batch < 1 || !(s.seconds > 0) {
		return nil, nil, o, fmt.Errorf("-batch %d and -seconds %g, want at least 1 and more than 0", s.batch, s.seconds)
	}
	if s.name != step.Regression && s.name != step.Cartpole {
		return nil, nil, o, fmt.Errorf("-case %s, want %s or %s", s.name, step.Regression, step.Cartpole)
	}
	c := step.Case{Model: s.name, Batch: s.batch, Dtype: tensor.Float32}
	if s.dtype == "float64" {
		c.Dtype = tensor.Float64
	}
	g, err := c.Build(nil)
	if err != nil {
		return nil, nil, o, err
	}
	return g.Loss, g.Params.Nodes(), c.Adam(), nil
}

// vm compiles the case.
func (s *settings) vm(opts ...engine.Option) (*engine.VM, error) {
	loss, params, o, err := s.graph()
	if err != nil {
		return nil, err
	}
	return engine.NewVM(loss.Graph(), append(opts, engine.WithUpdate(o, loss, params...))...)
}

func (s *settings) run(w io.Writer) error {
	whole, err := s.whole()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s B=%d %s, %s, %d threads: %.4g ms a step\n", s.name, s.batch, s.dtype, vec.ISA(),
		vec.Threads(), whole*1e3)
	if s.brief {
		return nil
	}
	return s.parts(w, whole)
}

// whole is the median time of a step.
func (s *settings) whole() (float64, error) {
	vm, err := s.vm()
	if err != nil {
		return 0, err
	}
	defer vm.Close()
	for range 2 {
		if err := vm.RunAll(); err != nil {
			return 0, err
		}
	}
	if s.profile != "" {
		f, err := os.Create(s.profile)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return 0, err
		}
		defer pprof.StopCPUProfile()
	}
	var times []float64
	for began := time.Now(); time.Since(began).Seconds() < s.seconds || len(times) < 3; {
		t := time.Now()
		if err := vm.RunAll(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(t).Seconds())
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// A part is all steps of a kind and shape.
type part struct {
	name    string
	count   int
	seconds float64 // of a run
	least   float64 // the same, of the fastest
	flops   int64
	bytes   int64
}

// parts times the steps one by one.
func (s *settings) parts(w io.Writer, whole float64) error {
	vm, err := s.vm(engine.Trace(io.Discard))
	if err != nil {
		return err
	}
	defer vm.Close()
	for began := time.Now(); time.Since(began).Seconds() < s.seconds; {
		if err := vm.RunAll(); err != nil {
			return err
		}
	}
	e := vm.Explain()
	byName := map[string]*part{}
	var all []*part
	sum := 0.0
	for i := range e.Steps {
		x := &e.Steps[i]
		name := x.Name[strings.IndexByte(x.Name, ' ')+1:]
		if at := strings.IndexByte(name, '{'); at >= 0 {
			name = name[:at]
		}
		key := name + " " + x.Shape
		p := byName[key]
		if p == nil {
			p = &part{name: key}
			byName[key] = p
			all = append(all, p)
		}
		p.count++
		p.seconds += x.Measured.Mean()
		p.least += x.Measured.Least
		p.flops += x.Flops
		p.bytes += x.Bytes
		sum += x.Measured.Least
	}
	slices.SortStableFunc(all, func(a, b *part) int {
		if a.least > b.least {
			return -1
		}
		return 1
	})
	top := peak[float32]
	if s.dtype == "float64" {
		top = peak[float64]
	}
	rate := top()
	fmt.Fprintf(w, "the products' kernel in the near caches: %.4g Gflop/s, of which the column is\n", rate/1e9)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "steps\ttimes\tmean ms\tleast ms\tshare\tGflop/s\tof caches'\tGB/s\t")
	for _, p := range all {
		fmt.Fprintf(t, "%s\t%d\t%.4g\t%.4g\t%.1f%%\t%.4g\t%.1f%%\t%.4g\t\n", p.name, p.count, p.seconds*1e3,
			p.least*1e3, 100*p.least/sum,
			float64(p.flops)/p.least/1e9, 100*float64(p.flops)/p.least/rate, float64(p.bytes)/p.least/1e9)
	}
	fmt.Fprintf(t, "sum\t%d\t\t%.4g\t100%%\t\t\t\t\n", len(e.Steps), sum*1e3)
	return t.Flush()
}

// products is a job of many small products, each of a thread's own.
type products[T kernels.Float] struct {
	a, c []T
	b    vec.Packed[T]
}

const peakRows, peakSize, peakItems = 56, 256, 64

func (p *products[T]) Run(lo, hi int) {
	const n = peakRows * peakSize
	for i := lo; i < hi; i++ {
		vec.GemmPacked(peakRows, 1, p.a[i*n:], peakSize, &p.b, 0, p.c[i*n:], peakSize)
	}
}

// peak is the best rate of godcem's own products on all threads, in flops per second. It is not the machine's: that
// of multiply-adds alone is BenchmarkFMAPeak's in internal/vec.
func peak[T kernels.Float]() float64 {
	p := &products[T]{a: make([]T, peakItems*peakRows*peakSize), c: make([]T, peakItems*peakRows*peakSize)}
	p.b.Pack(false, peakSize, peakSize, make([]T, peakSize*peakSize), peakSize)
	best := 0.0
	for range 100 {
		t := time.Now()
		vec.Parallel(peakItems, 1, p)
		best = max(best, 2*peakItems*peakRows*peakSize*peakSize/time.Since(t).Seconds())
	}
	return best
}
