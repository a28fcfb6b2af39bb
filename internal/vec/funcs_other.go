//go:build !amd64 || noasm

package vec

var (
	funcSets32 = [...]funcKernels[float32]{isaGo: funcGo32}
	funcSets64 = [...]funcKernels[float64]{isaGo: funcGo64}
)
