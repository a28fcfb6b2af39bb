//go:build !amd64 || noasm

package vec

var (
	reduceSets32 = [...]reduceKernels[float32]{isaGo: reduceGo32}
	reduceSets64 = [...]reduceKernels[float64]{isaGo: reduceGo64}
	wideSets     = [...]wideKernels{isaGo: wideGo}
)
