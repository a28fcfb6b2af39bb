package dcem

import (
	"fmt"
	"strings"

	"github.com/godcem/godcem/engine/ir"
)

var _ ir.Sourcer = denseOp[float32]{}

// denseMost is the largest system that shared memory holds; larger ones are solved on the host.
const denseMost = 64

// Source implements ir.Sourcer.
func (k denseOp[T]) Source(int, []int) *ir.Source {
	if k.d > denseMost {
		return nil
	}
	rows := make([]string, k.d)
	for i := range rows {
		rows[i] = fmt.Sprintf("$%d", 5+i)
	}
	call := fmt.Sprintf("const %s* const rows[%d] = {%s};\n    ", cType[T](), k.d, strings.Join(rows, ", ")) +
		template[T]("dense_row", []any{k.d}, rowAt(0, k.d+3), rowAt(1, k.d), rowAt(2, k.d), rowAt(3, k.d), rowAt(4, k.d),
			"rows", "row", "shared")
	return &ir.Source{
		Files: []string{"dense.cu"}, Call: "{\n    " + call + "\n    }", Rows: k.b, Width: k.d,
		Shared: 8*(k.d*k.d+3*k.d+1+32) + 4*k.d,
	}
}
