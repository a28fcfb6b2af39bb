package kernels

import (
	"math"

	"github.com/godcem/godcem/internal/vec"
)

// updateJob is one tensor's update: elementwise, so any range of it may run anywhere. Products are converted to T,
// which keeps a compiler from fusing them into the sums: the same bits on every architecture.
type updateJob[T Float] struct {
	method                 Method
	p, g, m, v, buf        []T
	factor, rate, decay    T // of clipping, of learning, of the weights
	meanWeight             T // Adam: 1 - beta1
	keep, add              T // of the squares: beta2 or alpha, and 1 minus that
	correction, eps, speed T // Adam: sqrt(1-beta2^t); Epsilon; Momentum
}

var updateJobs poolPair

func (j *updateJob[T]) configure(o Optimizer, step uint64, factor float64) {
	*j = updateJob[T]{method: o.Method, factor: T(factor), rate: T(o.Rate), decay: T(o.WeightDecay),
		eps: T(o.Epsilon), speed: T(o.Momentum), keep: T(o.Decay), add: T(1 - o.Decay)}
	if o.Method == Adam {
		t := float64(step)
		j.rate = T(o.Rate / (1 - math.Pow(o.Beta1, t)))
		j.correction = T(math.Sqrt(1 - math.Pow(o.Beta2, t)))
		j.meanWeight = T(1 - o.Beta1)
		j.keep, j.add = T(o.Beta2), T(1-o.Beta2)
	}
}

func (j *updateJob[T]) Run(lo, hi int) {
	switch j.method {
	case Adam:
		j.adam(lo, hi)
	case RMSProp:
		j.rmsprop(lo, hi)
	case Momentum:
		j.momentum(lo, hi)
	}
}

// decayed returns the clipped gradient with weight decay added.
func decayed[T Float](g, p, factor, decay T) T {
	g = T(g * factor)
	if decay != 0 {
		g += T(decay * p)
	}
	return g
}

// updateTile is the number of elements that adam takes from operation to operation while they are in the near cache.
const updateTile = 512

// updateRoom is a thread's room for a tile.
type updateRoom[T Float] struct{ g, u [updateTile]T }

var updateRooms poolPair

// adam is, for every element,
//
//	g = factor*g + decay*p
//	m += weight*(g-m)                    // torch.lerp: from the nearer end
//	v = keep*v + add*g*g
//	p -= rate*m / (sqrt(v)/correction + eps)
//
// an operation at a time over a tile.
func (j *updateJob[T]) adam(lo, hi int) {
	room := fromPool[T, updateRoom[T]](&updateRooms)
	for ; lo < hi; lo += updateTile {
		n := min(updateTile, hi-lo)
		p, m, v, g, u := j.p[lo:lo+n], j.m[lo:lo+n], j.v[lo:lo+n], room.g[:n], room.u[:n]
		vec.MulS(g, j.g[lo:lo+n], j.factor)
		if j.decay != 0 {
			vec.MulS(u, p, j.decay)
			vec.Add(g, g, u)
		}
		vec.Sub(u, g, m)
		if j.meanWeight < 0.5 {
			vec.MulS(u, u, j.meanWeight)
			vec.Add(m, m, u)
		} else {
			vec.MulS(u, u, 1-j.meanWeight)
			vec.Sub(m, g, u)
		}
		vec.MulS(u, g, j.add)
		vec.Mul(u, u, g)
		vec.MulS(v, v, j.keep)
		vec.Add(v, v, u)
		vec.Sqrt(u, v)
		vec.DivS(u, u, j.correction)
		vec.AddS(u, u, j.eps)
		vec.MulS(g, m, j.rate)
		vec.Div(g, g, u)
		vec.Sub(p, p, g)
	}
	poolOf[T](&updateRooms).Put(room)
}

// The loops below copy the coefficients, which stores to p could change for all the compiler knows.

func (j *updateJob[T]) rmsprop(lo, hi int) {
	p, g, v, buf := j.p[lo:hi], j.g[lo:hi], j.v[lo:hi], j.buf
	factor, decay, keep, add := j.factor, j.decay, j.keep, j.add
	rate, eps, speed := j.rate, j.eps, j.speed
	if speed != 0 {
		buf = buf[lo:hi]
	}
	for i, pi := range p {
		gi := decayed(g[i], pi, factor, decay)
		vi := T(v[i]*keep) + T(add*gi*gi)
		v[i] = vi
		if speed == 0 {
			p[i] = pi - T(rate*gi)/(root(vi)+eps)
			continue
		}
		u := T(buf[i]*speed) + gi/(root(vi)+eps)
		buf[i] = u
		p[i] = pi - T(rate*u)
	}
}

func (j *updateJob[T]) momentum(lo, hi int) {
	p, g, buf := j.p[lo:hi], j.g[lo:hi], j.buf
	factor, decay, rate, speed := j.factor, j.decay, j.rate, j.speed
	if speed != 0 {
		buf = buf[lo:hi]
	}
	for i, pi := range p {
		u := decayed(g[i], pi, factor, decay)
		if speed != 0 {
			u = T(buf[i]*speed) + u // buf is 0 before the first step
			buf[i] = u
		}
		p[i] = pi - T(rate*u)
	}
}

// root is correctly rounded in T: float64 has more than twice float32's digits.
func root[T Float](v T) T { return T(math.Sqrt(float64(v))) }

// normBlock is the number of elements whose squares are summed at a time: fixed, so that the norm does not depend on
// the number of threads.
const normBlock = 4096

type normJob[T Float] struct {
	g        []T
	scale    float64
	partials []float64
}

var normJobs poolPair

// gradNorm returns sqrt(sum g^2) over all tensors, in float64 whatever T.
func gradNorm[T Float](grads [][]T) float64 {
	j := fromPool[T, normJob[T]](&normJobs)
	scale := 1.0
	sum := j.squares(grads, scale)
	// Squares of float64 may overflow or vanish where the norm does neither.
	if math.IsInf(sum, 1) || sum < 0x1p-900 {
		largest := 0.0
		for _, g := range grads {
			for _, v := range g {
				largest = max(largest, math.Abs(float64(v)))
			}
		}
		if largest > 0 && largest <= math.MaxFloat64 {
			_, e := math.Frexp(largest)
			scale = math.Ldexp(1, min(-e, 1000))
			sum = j.squares(grads, scale)
		}
	}
	j.g = nil
	poolOf[T](&normJobs).Put(j)
	return math.Sqrt(sum) / scale
}

// squares returns the sum of (scale g)^2.
func (j *normJob[T]) squares(grads [][]T, scale float64) float64 {
	j.scale = scale
	sum := 0.0
	for _, g := range grads {
		blocks := (len(g) + normBlock - 1) / normBlock
		if cap(j.partials) < blocks {
			j.partials = make([]float64, blocks)
		}
		j.g, j.partials = g, j.partials[:blocks]
		vec.Parallel(blocks, 4, j)
		for _, v := range j.partials {
			sum += v
		}
	}
	return sum
}

func (j *normJob[T]) Run(lo, hi int) {
	for b := lo; b < hi; b++ {
		g := j.g[b*normBlock : min((b+1)*normBlock, len(j.g))]
		var s0, s1, s2, s3 float64 // four sums, so that an addition need not wait for the one before
		for ; len(g) >= 4; g = g[4:] {
			v0, v1, v2, v3 := float64(g[0])*j.scale, float64(g[1])*j.scale, float64(g[2])*j.scale, float64(g[3])*j.scale
			s0 += float64(v0 * v0)
			s1 += float64(v1 * v1)
			s2 += float64(v2 * v2)
			s3 += float64(v3 * v3)
		}
		for _, x := range g {
			v := float64(x) * j.scale
			s0 += float64(v * v)
		}
		j.partials[b] = (s0 + s1) + (s2 + s3)
	}
}
