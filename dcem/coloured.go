package dcem

import (
	"fmt"
	"math"
)

// Colouring returns the matrix C, k*k values by rows, that makes coloured noise of k independent standard normals: x
// = C z is stationary over the k times with the power spectrum 1/f^beta (Timmer and König, On generating power law
// noise, 1995; for planning Pinneri et al., Sample-efficient cross-entropy method for real-time planning, 2020), and
// every x_t is standard normal, so that sigma keeps its meaning. With lambda_j = max(j, 1)^-beta for the frequencies
// j = 0 to k/2, and q_i the orthonormal cosines and sines of frequency j(i),
//
//	C = Q diag(sqrt(lambda_j(i) / mean lambda)),    C C' has ones on its diagonal
//
// As in Timmer and König's method time is a circle: the last moment neighbours the first.
// beta = 0 is white noise. The same C serves every candidate, so that it says nothing to the gradients but eps =
// C z.
func Colouring(k int, beta float64) ([]float64, error) {
	if k < 1 {
		return nil, fmt.Errorf("dcem: Colouring: k = %d, want at least 1", k)
	}
	if !finite(beta) || beta < 0 {
		return nil, fmt.Errorf("dcem: Colouring: beta = %v, want a finite number of at least 0", beta)
	}
	c := make([]float64, k*k)
	if beta == 0 || k == 1 {
		for i := range k {
			c[i*k+i] = 1
		}
		return c, nil
	}
	lambda := func(i int) float64 { return math.Pow(max(float64((i+1)/2), 1), -beta) }
	mean := 0.0
	for i := range k {
		mean += lambda(i) / float64(k)
	}
	for i := range k { // column: 1, cos, sin, cos, sin, ..., and for even k the alternating one
		j := (i + 1) / 2
		norm := math.Sqrt(2 / float64(k))
		if i == 0 || 2*j == k {
			norm = math.Sqrt(1 / float64(k))
		}
		scale := norm * math.Sqrt(lambda(i)/mean)
		for t := range k {
			angle := 2 * math.Pi * float64(j*t%k) / float64(k)
			if i%2 == 1 || i == 0 {
				c[t*k+i] = scale * math.Cos(angle)
			} else {
				c[t*k+i] = scale * math.Sin(angle)
			}
		}
	}
	return c, nil
}

// colouring is the matrix that colours the noise of k controls of u elements, (D, D) to multiply rows by from the
// right.
func colouring(k int, beta []float64) ([]float64, error) {
	u := len(beta)
	d := k * u
	full := make([]float64, d*d)
	for j, b := range beta {
		c, err := Colouring(k, b)
		if err != nil {
			return nil, err
		}
		for t := range k {
			for i := range k {
				full[(i*u+j)*d+t*u+j] = c[t*k+i]
			}
		}
	}
	return full, nil
}
