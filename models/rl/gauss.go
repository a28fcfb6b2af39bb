package rl

import (
	"math"

	G "gorgonia.org/gorgonia"
)

// logProb is the logarithm of the density of x (B,D) under a Gaussian of that mean (B,D) and the logarithm of its
// standard deviations, (B,D): -1/2 sum ((x - mean)/sigma)^2 - sum log sigma - D/2 log 2 pi, (B).
func (b *builder) logProb(x, mean, logStd *G.Node) *G.Node {
	z := b.mul(b.sub(x, mean), b.exp(b.times(logStd, -1)))
	each := b.add(b.times(b.square(z), 0.5), logStd)
	if b.err != nil {
		return nil
	}
	return b.minus(-0.5*float64(x.Shape()[1])*math.Log(2*math.Pi), b.sum(each, 1))
}

// entropy is that of a Gaussian with standard deviations e^logStd, (D): sum log sigma + D/2 (1 + log 2 pi), a scalar.
func (b *builder) entropy(logStd *G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	return b.plus(b.sum(logStd), 0.5*float64(logStd.Shape()[0])*(1+math.Log(2*math.Pi)))
}

// divergence is the Kullback-Leibler divergence of Gaussians, KL(q || p) with means and standard deviations (B,D):
//
//	sum log(sp/sq) + (sq^2 + (mq - mp)^2) / (2 sp^2) - 1/2,  (B)
func (b *builder) divergence(mq, sq, mp, sp *G.Node) *G.Node {
	ratio := b.div(sq, sp)
	off := b.div(b.sub(mq, mp), sp)
	each := b.sub(b.times(b.add(b.square(ratio), b.square(off)), 0.5), b.log(ratio))
	return b.sum(b.plus(each, -0.5), 1)
}
