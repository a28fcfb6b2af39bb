package nn

import (
	"fmt"
	"hash/fnv"
	"math"

	"github.com/godcem/godcem/kernels"
)

// An Init fills dst with the start values of a parameter of a layer with in inputs and out outputs: the weights, (in,
// out) row-major, or the out biases. Random ones are a function of seed and draw alone, see [kernels.Uniform]. Values
// are made in float64 and rounded for float32, so that nets of both types start alike.
type Init func(dst []float64, in, out int, seed, draw uint64)

// TorchLinear is U(-a, a) with a = 1/sqrt(in), for weights and biases: the default of PyTorch's Linear, and of this
// package.
func TorchLinear(dst []float64, in, _ int, seed, draw uint64) {
	uniform(dst, 1/math.Sqrt(float64(in)), seed, draw)
}

// GlorotUniform is U(-a, a) with a = sqrt(6/(in+out)) (Glorot and Bengio 2010, eq. 16).
func GlorotUniform(dst []float64, in, out int, seed, draw uint64) {
	uniform(dst, math.Sqrt(6/float64(in+out)), seed, draw)
}

// GlorotNormal is normal with mean 0 and variance 2/(in+out).
func GlorotNormal(dst []float64, in, out int, seed, draw uint64) {
	normal(dst, math.Sqrt(2/float64(in+out)), seed, draw)
}

// HeUniform is U(-a, a) with a = sqrt(6/in) (He et al. 2015, for ReLU).
func HeUniform(dst []float64, in, _ int, seed, draw uint64) {
	uniform(dst, math.Sqrt(6/float64(in)), seed, draw)
}

// HeNormal is normal with mean 0 and variance 2/in (He et al. 2015, eq. 10).
func HeNormal(dst []float64, in, _ int, seed, draw uint64) {
	normal(dst, math.Sqrt(2/float64(in)), seed, draw)
}

// Zeros is 0.
func Zeros(dst []float64, _, _ int, _, _ uint64) { clear(dst) }

// Constant returns the Init that gives every element the value c.
func Constant(c float64) Init {
	return func(dst []float64, _, _ int, _, _ uint64) {
		for i := range dst {
			dst[i] = c
		}
	}
}

// Func returns the Init that gives the weight from input i to output j the value f(i, j), and the bias of output j the
// value f(0, j).
func Func(f func(i, j int) float64) Init {
	return func(dst []float64, _, out int, _, _ uint64) {
		for e := range dst {
			dst[e] = f(e/out, e%out)
		}
	}
}

func uniform(dst []float64, a float64, seed, draw uint64) {
	kernels.Uniform(dst, seed, draw, 0, 0)
	for i, u := range dst {
		dst[i] = a * (2*u - 1)
	}
}

func normal(dst []float64, sigma float64, seed, draw uint64) {
	kernels.Normal(dst, seed, draw, 0, 0)
	for i, z := range dst {
		dst[i] = sigma * z
	}
}

// drawOf is the draw number of a parameter: a hash of its name, so that layers that are added or reordered leave the
// others as they are, and that the small numbers stay for the solvers' noise.
func drawOf(name string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "godcem/nn/%s", name)
	return h.Sum64()
}
