//go:build !amd64 || noasm

package vec

var (
	pairSets32 = [...]pairKernels[float32]{isaGo: pairsGo32}
	pairSets64 = [...]pairKernels[float64]{isaGo: pairsGo64}
)
