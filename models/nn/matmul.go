package nn

import (
	"fmt"

	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/internal/vec"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// MatMul adds the matrix product a b to the graph: (m, k), (k, n) -> (m, n).
//
// It is Gorgonia's Mul on this module's own product (vec.Gemm), several times as fast (BenchmarkMatMul), with the same
// bits for any number of threads. Operands are only read, so that machines that share them may run at the same time.
func MatMul(a, b *G.Node) (*G.Node, error) {
	for i, n := range []*G.Node{a, b} {
		if err := checkTensor("MatMul", string("ab"[i]), n); err != nil {
			return nil, err
		}
	}
	if a.Dims() != 2 || b.Dims() != 2 || a.Shape()[1] != b.Shape()[0] {
		return nil, fmt.Errorf("nn: MatMul: shapes %v and %v, want (m, k) and (k, n)", a.Shape(), b.Shape())
	}
	if a.Dtype() != b.Dtype() {
		return nil, fmt.Errorf("nn: MatMul: types %v and %v, want one type", a.Dtype(), b.Dtype())
	}
	m, k, n := a.Shape()[0], a.Shape()[1], b.Shape()[1]
	return graphop.Apply(matMul{m: m, n: n, k: k}, a.Dtype(), tensor.Shape{m, n}, a, b)
}

// matMul is c = a b, a^T b or a b^T, (m, n) by an inner dimension k. The three are one another's gradients.
type matMul struct {
	transA, transB bool // not both
	m, n, k        int
}

// String implements graphop.Kernel.
func (o matMul) String() string {
	return fmt.Sprintf("nn.MatMul{transA=%v, transB=%v, m=%d, n=%d, k=%d}", o.transA, o.transB, o.m, o.n, o.k)
}

// Rules implements graphop.Kernel, with g for the gradient:
//
//	a b:    da = g b^T,  db = a^T g
//	a b^T:  da = g b,    db = g^T a
//	a^T b:  da = b g^T,  db = a g
func (o matMul) Rules() []*graphop.Rule {
	switch {
	case o.transB:
		return []*graphop.Rule{
			graphop.By(matMul{m: o.m, n: o.k, k: o.n}, graphop.Gradient, 1),
			graphop.By(matMul{transA: true, m: o.n, n: o.k, k: o.m}, graphop.Gradient, 0),
		}
	case o.transA:
		return []*graphop.Rule{
			graphop.By(matMul{transB: true, m: o.k, n: o.m, k: o.n}, 1, graphop.Gradient),
			graphop.By(matMul{m: o.k, n: o.n, k: o.m}, 0, graphop.Gradient),
		}
	}
	return []*graphop.Rule{
		graphop.By(matMul{transB: true, m: o.m, n: o.k, k: o.n}, graphop.Gradient, 1),
		graphop.By(matMul{transA: true, m: o.k, n: o.n, k: o.m}, 0, graphop.Gradient),
	}
}

// Run implements graphop.Kernel.
func (o matMul) Run(out any, in []any) {
	switch out := out.(type) {
	case []float32:
		runMatMul(o, out, in[0].([]float32), in[1].([]float32))
	case []float64:
		runMatMul(o, out, in[0].([]float64), in[1].([]float64))
	}
}

func runMatMul[T vec.Float](o matMul, c, a, b []T) {
	lda, ldb := o.k, o.n
	if o.transA {
		lda = o.m
	}
	if o.transB {
		ldb = o.k
	}
	vec.Gemm(o.transA, o.transB, o.m, o.n, o.k, 1, a, lda, b, ldb, 0, c, o.n)
}
