//go:build !noasm

package vec

var momentSets32 = [...]momentKernels[float32]{
	isaGo:     momentGo32,
	isaAVX2:   {weightedSums32AVX2, weightedSquares32AVX2, lineSums32AVX2, lineSquares32AVX2},
	isaAVX512: {weightedSums32AVX512, weightedSquares32AVX512, lineSums32AVX512, lineSquares32AVX512},
}

var momentSets64 = [...]momentKernels[float64]{
	isaGo:     momentGo64,
	isaAVX2:   {weightedSums64AVX2, weightedSquares64AVX2, lineSums64AVX2, lineSquares64AVX2},
	isaAVX512: {weightedSums64AVX512, weightedSquares64AVX512, lineSums64AVX512, lineSquares64AVX512},
}
