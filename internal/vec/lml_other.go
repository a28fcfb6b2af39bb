//go:build !amd64 || noasm

package vec

var lmlSets = [...]lmlKernels{isaGo: lmlGo}
