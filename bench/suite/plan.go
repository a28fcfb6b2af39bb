package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/godcem/godcem/bench/step"
	"gorgonia.org/tensor"
)

// measure measures all cases. What fails is told at the end, after the others: a record of half an hour is not lost
// to one contestant.
func (b *bench) measure() error {
	jobs, err := b.plan()
	if err != nil {
		return err
	}
	old, err := load(b.json)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s := newSchedule(jobs, old, b.rounds, b.budget, os.Stderr)
	if least := seconds(s.least()); b.budget > 0 && least > b.budget {
		fmt.Fprintf(os.Stderr, "%s: %d rounds of everything take some %s by the record, the budget is %s\n",
			b.isas[0], fewest, clock(least), clock(b.budget))
	}
	most, failed, kept := b.patience, []error{}, 0
	for i, j := range jobs {
		began, n := time.Now(), s.rounds(i)
		b.rounds, b.patience = n, s.patience(i, most)
		at := len(b.log.fresh)
		err := j.run()
		what := ""
		switch {
		case err != nil:
			err = fmt.Errorf("%s %s %s: %w", b.isas[0], j.about.title(), j.about.Dtype, err)
			failed, what = append(failed, err), "FAILED: "+err.Error()
			if err := b.restart(); err != nil {
				return errors.Join(append(failed, err)...)
			}
		case at == len(b.log.fresh):
			what = "the record has it"
			kept++
		default:
			printTable(os.Stdout, b.log.fresh[at:])
		}
		s.done(i, n, b.isas[0], began, what)
	}
	fmt.Fprintf(os.Stderr, "%s: %d cases measured, %d left as the record has them, %d failed, in %s\n", b.isas[0],
		len(jobs)-kept-len(failed), kept, len(failed), clock(time.Since(s.began)))
	return errors.Join(append(failed, b.lost...)...)
}

// restart starts the peers anew: after an error nobody knows what they are at.
func (b *bench) restart() (err error) {
	closeAll(b.peers)
	b.peers, err = startPeers(b.settings, b.dir)
	return err
}

var dtypes = map[string]tensor.Dtype{"float32": tensor.Float32, "float64": tensor.Float64}

// plan lists the cases of all wanted kinds, each once; those of claims first, for which the budget is there first.
func (b *bench) plan() (all []job, err error) {
	for _, kind := range b.cases {
		jobs, err := b.jobs(kind)
		if err != nil {
			return nil, err
		}
		all = append(all, jobs...)
	}
	claims := map[string]bool{}
	for _, c := range claimsOf() {
		claims[c.title+c.dtype] = true
	}
	all = distinct(all)
	for i, j := range all {
		all[i].claim = claims[j.about.title()+j.about.Dtype]
	}
	slices.SortStableFunc(all, func(x, y job) int {
		switch {
		case x.claim == y.claim:
			return 0
		case x.claim:
			return -1
		}
		return 1
	})
	return all, nil
}

// jobs lists a kind's cases.
func (b *bench) jobs(kind string) (all []job, err error) {
	single := func(name string, batch int, run func(about result) error) {
		about := b.about(name, batch, "float32")
		all = append(all, job{about: about, run: func() error { return run(about) }})
	}
	steps := func(scaling bool, list ...step.Case) {
		for _, c := range list {
			about := b.about(c.Name(), c.Batch, c.Dtype.String())
			all = append(all, job{about: about, run: func() error { return b.step(about, stepCase{Case: c, scaling: scaling}) },
				half: scaling})
		}
	}
	kernel := func(name string, build func() *kernelCase) {
		single(name, 0, func(about result) error { return b.kernel(about, build()) })
	}
	switch kind {
	case step.Regression, step.Cartpole:
		for _, dtype := range b.dtypes {
			for _, batch := range b.batch {
				// In float64 it is the regression with the greatest batch alone, unless nothing else is asked for.
				if dtype == "float64" && len(b.dtypes) > 1 && (kind == step.Cartpole || batch != slices.Max(b.batch)) {
					continue
				}
				steps(false, step.Case{Model: kind, Batch: batch, Dtype: dtypes[dtype]})
			}
		}
	case "scaling":
		for _, a := range axes() {
			for _, size := range a.sizes {
				steps(true, a.of(size))
			}
		}
	case "sgemm":
		for _, size := range [][3]int{{10000, 128, 128}, {1000, 256, 256}, {10000, 2, 128}, {100, 128, 128},
			{1000, 256, 20}} {
			kernel(fmt.Sprintf("sgemm %dx%dx%d", size[0], size[1], size[2]),
				func() *kernelCase { return sgemm(size[0], size[1], size[2]) })
		}
	case "functions":
		for _, f := range functions {
			kernel(f.name, f.kernel)
		}
		kernel("atan2", atan2)
	case "sampling":
		for _, n := range []int{10_048, 1_000_000} {
			kernel(fmt.Sprintf("normal %d", n), func() *kernelCase { return normals(n) })
		}
	case "lml":
		for _, size := range [][3]int{{100, 100, 10}, {1000, 10, 2}, {100, 1000, 100}, {10, 10_000, 1000},
			{1, 100_000, 10_000}} {
			kernel(fmt.Sprintf("lml %dx%d k=%d", size[0], size[1], size[2]),
				func() *kernelCase { return lml(size[0], size[1], size[2]) })
		}
	case "topk":
		for _, size := range [][3]int{{100, 100, 10}, {100, 1000, 100}} {
			kernel(fmt.Sprintf("topk %dx%d k=%d", size[0], size[1], size[2]),
				func() *kernelCase { return topk(size[0], size[1], size[2]) })
		}
	case "refit":
		for _, size := range [][4]int{{100, 100, 1, 10}, {100, 1000, 20, 100}} {
			kernel(fmt.Sprintf("refit %dx%dx%d k=%d", size[0], size[1], size[2], size[3]),
				func() *kernelCase { return refit(size[0], size[1], size[2], size[3]) })
		}
	case "limits":
		kernel(limitMatmul, matmulLimit)
		single(limitMemory, 0, b.memoryLimit)
	case "nets":
		const rows = 10_000
		single(fmt.Sprintf("net %d rows", rows), 0, func(about result) error {
			c, close, err := netCase(rows)
			if err != nil {
				return err
			}
			return errors.Join(b.kernel(about, c), close())
		})
	case "planner":
		single("plan N=1000 H=20", 1, b.planner)
	case "cold":
		single(coldStart, 1, func(about result) error { return b.cold(about, false) })
		if !b.full || b.isas[0] != "avx2" {
			single(coldKept, 1, func(about result) error { return b.cold(about, true) })
		}
	default:
		return nil, fmt.Errorf("want one of %s", strings.Join(kinds, ","))
	}
	return all, nil
}
