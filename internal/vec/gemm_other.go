//go:build !amd64 || noasm

package vec

var (
	gemmSets32 = [...]gemmKernels[float32]{isaGo: gemmGo32}
	gemmSets64 = [...]gemmKernels[float64]{isaGo: gemmGo64}
)
