//go:build !amd64 || noasm

package vec

var (
	arithSets32 = [...]arithKernels[float32]{isaGo: arithGo32}
	arithSets64 = [...]arithKernels[float64]{isaGo: arithGo64}
)
