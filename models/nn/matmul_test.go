package nn

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/vec"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// naiveMatMul is the meaning of matMul.
func naiveMatMul(o matMul, a, b []float64) []float64 {
	c := make([]float64, o.m*o.n)
	for i := range o.m {
		for j := range o.n {
			for l := range o.k {
				x, y := a[i*o.k+l:], b[l*o.n+j:]
				if o.transA {
					x = a[l*o.m+i:]
				}
				if o.transB {
					y = b[j*o.k+l:]
				}
				c[i*o.n+j] += x[0] * y[0]
			}
		}
	}
	return c
}

// kinds are the three ops at sizes on both sides of every block, threshold and thread.
func kinds() (all []matMul) {
	for _, s := range [][3]int{
		{1, 1, 1}, {1, 5, 40}, {40, 1, 1}, {1, 1, 40}, {3, 2, 15}, {15, 17, 16}, {16, 17, 16}, {17, 64, 17}, {33, 65, 5},
		{100, 128, 2}, {64, 130, 33}, {130, 3, 129},
	} {
		o := matMul{m: s[0], n: s[1], k: s[2]}
		all = append(all, o, matMul{transA: true, m: o.m, n: o.n, k: o.k}, matMul{transB: true, m: o.m, n: o.n, k: o.k})
	}
	return all
}

func TestMatMulValues(t *testing.T) {
	// Sums of up to 129 products of up to 4: each adds at most half a unit in the last place of a partial sum of a few.
	t.Run("float32", func(t *testing.T) { testMatMulValues[float32](t, 6e-5) })
	t.Run("float64", func(t *testing.T) { testMatMulValues[float64](t, 1e-13) })
}

func testMatMulValues[T vec.Float](t *testing.T, tol float64) {
	defer vec.SetThreads(vec.Threads())
	for _, o := range kinds() {
		a, b := check.Copy[T](points(o.m*o.k)), check.Copy[T](points(o.k*o.n + 1)[1:])
		a0, b0 := slices.Clone(a), slices.Clone(b)
		want := check.Copy[T](naiveMatMul(o, check.Copy[float64](a), check.Copy[float64](b)))
		var first []T
		for _, threads := range []int{1, 2, 8} {
			vec.SetThreads(threads)
			c, verify := check.Guarded[T](t, o.String(), o.m*o.n)
			o.Run(c, []any{a, b})
			verify()
			check.Close(t, o.String(), c, want, tol)
			if first == nil {
				first = c
			}
			if !slices.Equal(c, first) {
				t.Errorf("%v: other bits with %d threads", o, threads)
			}
		}
		if !slices.Equal(a, a0) || !slices.Equal(b, b0) {
			t.Errorf("%v: an operand was written to", o)
		}
	}
}

func TestMatMulAllocations(t *testing.T) {
	o := matMul{transA: true, m: 20, n: 33, k: 17}
	var a, b, c any = make([]float32, o.m*o.k), make([]float32, o.k*o.n), make([]float32, o.m*o.n)
	in := []any{a, b}
	check.NoAllocs(t, o.String(), func() { o.Run(c, in) })
}

// Values, gradients and the gradients of those, against finite differences.
func TestMatMulGradients(t *testing.T) {
	for _, o := range []matMul{{m: 3, n: 2, k: 4}, {m: 17, n: 3, k: 18}} {
		values := points(o.m*o.k + o.k*o.n)
		f := func(v []float64) float64 { // sum of sin(c)
			sum := 0.0
			for _, c := range naiveMatMul(o, v[:o.m*o.k], v[o.m*o.k:]) {
				sum += math.Sin(c)
			}
			return sum
		}
		g := G.NewGraph()
		a := input(g, tensor.Float64, "a", tensor.Shape{o.m, o.k}, values[:o.m*o.k])
		b := input(g, tensor.Float64, "b", tensor.Shape{o.k, o.n}, values[o.m*o.k:])
		c, err := MatMul(a, b)
		if err != nil {
			t.Fatal(err)
		}
		loss := G.Must(G.Sum(G.Must(G.Sin(c))))
		first, err := autodiff.Gradients(loss, a, b)
		if err != nil {
			t.Fatal(err)
		}
		// |gradient|^2 / 2 has gradient (Hessian gradient): all three kinds take part.
		square := func(n *G.Node) *G.Node { return G.Must(G.Sum(G.Must(G.Square(n)))) }
		norm := G.Must(G.Mul(G.NewConstant(0.5), G.Must(G.Add(square(first[0]), square(first[1])))))
		second, err := autodiff.Gradients(norm, a, b)
		if err != nil {
			t.Fatal(err)
		}
		got := runAll(t, g, append(first, second...))
		want := check.Gradient(f, slices.Clone(values), 1e-3)
		check.Close(t, "first", slices.Concat(got[0], got[1]), want, 1e-9) // the four-point rule's error
		// Hessian times gradient by differences of gradients along it, both from the graph's own first order, checked
		// above.
		normOf := func(v []float64) float64 {
			sum := 0.0
			for _, d := range check.Gradient(f, slices.Clone(v), 1e-3) {
				sum += d * d / 2
			}
			return sum
		}
		if o.m > 3 {
			continue // differences of differences take too long
		}
		check.Close(t, "second", slices.Concat(got[2], got[3]), check.Gradient(normOf, slices.Clone(values), 1e-2), 1e-6)
	}
}

func TestMatMulErrors(t *testing.T) {
	g := G.NewGraph()
	m := func(name string, dt tensor.Dtype, shape ...int) *G.Node {
		return input(g, dt, name, shape, points(tensor.Shape(shape).TotalSize()))
	}
	a, v := m("a", tensor.Float64, 2, 3), m("v", tensor.Float64, 3)
	for want, operands := range map[string][2]*G.Node{
		"(2, 3) and (2, 3), want (m, k) and (k, n)": {a, a},
		"(2, 3) and (3), want":                      {a, v},
		"types float64 and float32":                 {a, m("c", tensor.Float32, 3, 2)},
		"b is nil":                                  {a, nil},
	} {
		_, err := MatMul(operands[0], operands[1])
		says(t, want, err, "nn: MatMul: ", want)
	}
}

// BenchmarkMatMul is the products of a hidden layer, forward and both backward, against Gorgonia's own on the same
// numbers.
func BenchmarkMatMul(b *testing.B) {
	for _, rows := range []int{100, 1000} {
		for _, o := range []matMul{
			{m: rows, n: 128, k: 128}, {transA: true, m: 128, n: 128, k: rows}, {transB: true, m: rows, n: 128, k: 128},
		} {
			x, y, z := make([]float32, o.m*o.k), make([]float32, o.k*o.n), make([]float32, o.m*o.n)
			for i := range x {
				x[i] = float32(math.Sin(float64(i)))
			}
			for i := range y {
				y[i] = float32(math.Cos(float64(i)))
			}
			ta := tensor.New(tensor.WithShape(o.m, o.k), tensor.WithBacking(x))
			tb := tensor.New(tensor.WithShape(o.k, o.n), tensor.WithBacking(y))
			if o.transA {
				ta = tensor.New(tensor.WithShape(o.k, o.m), tensor.WithBacking(x))
				if err := ta.T(); err != nil {
					b.Fatal(err)
				}
			}
			if o.transB {
				tb = tensor.New(tensor.WithShape(o.n, o.k), tensor.WithBacking(y))
				if err := tb.T(); err != nil {
					b.Fatal(err)
				}
			}
			tc := tensor.New(tensor.WithShape(o.m, o.n), tensor.WithBacking(z))
			in := []any{x, y}
			for name, f := range map[string]func() error{
				"own":   func() error { o.Run(z, in); return nil },
				"stock": func() error { _, err := ta.MatMul(tb, tensor.WithReuse(tc)); return err },
			} {
				b.Run(fmt.Sprintf("transA=%v,transB=%v,rows=%d/%s", o.transA, o.transB, rows, name), func(b *testing.B) {
					least := time.Hour
					for b.Loop() {
						start := time.Now()
						if err := f(); err != nil {
							b.Fatal(err)
						}
						least = min(least, time.Since(start))
					}
					b.ReportMetric(2*float64(o.m*o.n*o.k)/least.Seconds()/1e9, "GFLOP/s-at-best")
				})
			}
		}
	}
}
