package dcem

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
)

var _ = []ir.Sourcer{
	gateGradOp[float32]{}, costGateGradOp[float32]{}, gatherOp[float32]{}, scatterOp[float32]{},
	riskOp[float32]{}, riskGradOp[float32]{}, riskTangentOp[float32]{},
}

// cType is the element type in CUDA C.
func cType[T kernels.Float]() string {
	if _, ok := any(T(0)).(float32); ok {
		return "float"
	}
	return "double"
}

// template is a call of a function of CUDA C, "gate_row<float, 100, 2, THREADS>(a, b)": the type, numbers, the
// number of threads; then the arguments.
func template[T kernels.Float](name string, numbers []any, args ...string) string {
	parameters := []string{cType[T]()}
	for _, n := range numbers {
		parameters = append(parameters, fmt.Sprint(n))
	}
	return fmt.Sprintf("%s<%s, THREADS>(%s);", name, strings.Join(parameters, ", "), strings.Join(args, ", "))
}

// within is a source whose rows have so many elements at most, nil if 32-bit numbers do not count them: the host's.
func within(elements int, s *ir.Source) *ir.Source {
	if elements > cudaLargestOfRow {
		return nil
	}
	return s
}

// rowAt is the argument that points to row row of operand i, whose rows have n elements.
func rowAt(i, n int) string { return fmt.Sprintf("$%d + (size_t)row * %du", i, n) }

// Source implements ir.Sourcer.
func (k gateGradOp[T]) Source(int, []int) *ir.Source {
	return within(k.n*k.d, &ir.Source{
		Files: []string{"gate.cu"}, Rows: k.b, Width: k.n * k.d,
		Call: template[T]("gate_row", []any{k.n, k.d}, rowAt(0, k.n*k.d), rowAt(1, k.n), rowAt(2, k.n*k.d), "$c"),
		// The counters live as long as the graph.
		Counts: []*atomic.Int64{&k.state.count.lost},
	})
}

// Source implements ir.Sourcer.
func (k costGateGradOp[T]) Source(out int, _ []int) *ir.Source {
	rows := k.rows(out)
	n := out / rows
	return within(n, &ir.Source{
		Files: []string{"gate.cu"}, Rows: rows, Width: n,
		Call:   template[T]("cost_gate_row", []any{n}, rowAt(0, n), rowAt(1, n), rowAt(2, n), "$c"),
		Counts: []*atomic.Int64{&k.state.count.excluded},
	})
}

// rows is the number of problems, as far as it is known.
func (k costGateGradOp[T]) rows(out int) int {
	if c := k.state.costs; c != nil && len(c.Shape()) == 2 && out%c.Shape()[0] == 0 {
		return c.Shape()[0]
	}
	return 1
}

// Source implements ir.Sourcer.
func (k gatherOp[T]) Source(int, []int) *ir.Source {
	return within(k.n*k.d, &ir.Source{
		Files: []string{"gather.cu"}, Rows: k.b, Width: k.n,
		Call: template[T]("gather_row", []any{k.n, k.m, k.d}, rowAt(0, k.m*k.d), rowAt(1, k.n), rowAt(2, k.n*k.d)),
	})
}

// Source implements ir.Sourcer.
func (k scatterOp[T]) Source(int, []int) *ir.Source {
	return within(k.n*k.d, &ir.Source{
		Files: []string{"gather.cu"}, Rows: k.b, Width: k.n,
		Call: template[T]("scatter_row", []any{k.n, k.m, k.d}, rowAt(0, k.n*k.d), rowAt(1, k.n), rowAt(2, k.m*k.d)),
	})
}

// riskRows divides m candidates among blocks: as many as a block has threads at most.
func riskRows(m int) (rows, each int) {
	for each = min(m, 256); m%each != 0; each-- {
	}
	return m / each, each
}

// riskSource is a call on rows of candidates: weights alike need no ranks.
func riskSource[T kernels.Float](k riskOp[T], m int, name string, flags []any, width int,
	args func(each int) []string) *ir.Source {
	rows, each := riskRows(m)
	first, last := k.w[0], k.w[len(k.w)-1]
	numbers := append([]any{each, k.p, len(k.w), len(k.w) == k.p && first == last}, flags...)
	call := append(args(each), exact(first), exact(last))
	return within(each*k.p, &ir.Source{Files: []string{"risk.cu"}, Rows: rows, Width: each * width,
		Call: template[T](name, numbers, call...)})
}

// exact is a constant of CUDA C, every digit of it.
func exact(v float64) string { return fmt.Sprintf("%.17e", v) }

// Source implements ir.Sourcer.
func (k riskOp[T]) Source(out int, _ []int) *ir.Source {
	return riskSource(k, out, "risk_rows", []any{true}, 1, func(each int) []string {
		return []string{rowAt(0, each), rowAt(1, each*k.p), rowAt(1, each*k.p)}
	})
}

// Source implements ir.Sourcer.
func (k riskTangentOp[T]) Source(out int, _ []int) *ir.Source {
	return riskSource(riskOp[T](k), out, "risk_rows", []any{false}, 1, func(each int) []string {
		return []string{rowAt(0, each), rowAt(1, each*k.p), rowAt(2, each*k.p)}
	})
}

// Source implements ir.Sourcer.
func (k riskGradOp[T]) Source(out int, _ []int) *ir.Source {
	return riskSource(riskOp[T](k), out/k.p, "risk_gradient_rows", nil, k.p, func(each int) []string {
		return []string{rowAt(0, each*k.p), rowAt(1, each*k.p), rowAt(2, each)}
	})
}
