//go:build !amd64 || noasm

package vec

var (
	momentSets32 = [...]momentKernels[float32]{isaGo: momentGo32}
	momentSets64 = [...]momentKernels[float64]{isaGo: momentGo64}
)
