package dcem

import (
	"fmt"

	"github.com/godcem/godcem/kernels"
	"gorgonia.org/tensor"
)

// planValues are the values of a planIterate's nodes.
type planValues[T kernels.Float] struct{ f, w, mu, sigma, stopped []T }

// diagnosePlan finds the diagnosis of problem b from the values of the iterations that were done; sigma0 and mu0 are
// those at the start. p is room to work in.
func diagnosePlan[T kernels.Float](p *problem[T], c *PlanConfig, limits *bounds[T], b int,
	mu0, sigma0 []T, its []planValues[T], cause Status,
) Diagnosis {
	d := c.Dim
	lo, hi := b*d, (b+1)*d
	*p = problem[T]{
		mu: mu0[lo:hi], prevMu: mu0[lo:hi], sigma: sigma0[lo:hi], sigma0: sigma0[lo:hi],
		lower: limits.lower, upper: limits.upper, k: c.Elites, hard: c.Hard, cause: cause,
	}
	iterations, excluded := 0, 0
	for i := range its {
		it := &its[i]
		n := len(it.f) / c.Batch
		p.prevMu = p.mu
		p.f, p.w, p.mu, p.sigma = it.f[b*n:(b+1)*n], it.w[b*n:(b+1)*n], it.mu[lo:hi], it.sigma[lo:hi]
		iterations++
		for _, v := range p.f {
			if !finite(v) {
				excluded++
			}
		}
		if it.stopped != nil && it.stopped[b] != 0 {
			p.cause = Converged
			break
		}
	}
	diagnosis := diagnose(p)
	diagnosis.Iterations, diagnosis.ExcludedTotal = iterations, excluded
	return diagnosis
}

// Keep makes what Diagnose looks at readable after a run, whatever the machine (see the function [Keep]). Call it
// before the graph is compiled.
func (p *Planned) Keep() error {
	if p.kept {
		return nil
	}
	for i := range p.iters {
		it := &p.iters[i]
		for _, n := range it.nodes() {
			if *n == nil {
				continue
			}
			var err error
			if *n, err = Keep(*n); err != nil {
				return err
			}
		}
	}
	p.kept = true
	return nil
}

// Diagnose reads the values that the nodes have after a run, and returns a [Diagnosis] of each problem, as Unrolled's
// does. It needs Keep.
func (p *Planned) Diagnose() ([]Diagnosis, error) {
	if !p.kept {
		return nil, fmt.Errorf("dcem: Planned.Diagnose: call Keep before the graph is compiled")
	}
	var ds []Diagnosis
	var err error
	if p.Config.Dtype == tensor.Float64 {
		ds, err = diagnosePlanned[float64](p)
	} else {
		ds, err = diagnosePlanned[float32](p)
	}
	if err != nil {
		return nil, fmt.Errorf("dcem: Planned.Diagnose: %w", err)
	}
	return ds, nil
}

func diagnosePlanned[T kernels.Float](p *Planned) ([]Diagnosis, error) {
	c := &p.Config
	mu0, err := nodeValues[T](p.Mu0, "Mu0")
	if err != nil {
		return nil, err
	}
	sigma0, err := nodeValues[T](p.Sigma0, "Sigma0")
	if err != nil {
		return nil, err
	}
	its := make([]planValues[T], len(p.iters))
	for t := range its {
		if its[t], err = valuesOfIterate[T](&p.iters[t], t); err != nil {
			return nil, err
		}
	}
	limits := boundsOf[T](c.Lower, c.Upper)
	ds := make([]Diagnosis, c.Batch)
	var room problem[T]
	for b := range ds {
		ds[b] = diagnosePlan(&room, c, &limits, b, mu0, sigma0, its, IterationLimit)
	}
	return ds, nil
}

func valuesOfIterate[T kernels.Float](it *planIterate, t int) (v planValues[T], err error) {
	to := [...]*[]T{&v.f, &v.w, &v.mu, &v.sigma, &v.stopped}
	for i, n := range it.nodes() {
		if *n == nil {
			continue
		}
		if *to[i], err = nodeValues[T](*n, fmt.Sprintf("iteration %d", t)); err != nil {
			return v, err
		}
	}
	return v, nil
}
