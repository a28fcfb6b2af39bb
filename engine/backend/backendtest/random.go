package backendtest

import (
	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/ir"
)

// Random is graphs.Random: a random well-conditioned graph, for the tests of passes, planners and backends. Tests
// inside of package pass or plan, which this package imports, take it from package graphs.
func Random(seed uint64) *ir.Graph { return graphs.Random(seed) }
