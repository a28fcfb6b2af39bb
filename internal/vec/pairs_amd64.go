//go:build !noasm

package vec

var (
	pairSets32 = [...]pairKernels[float32]{
		isaGo:     pairsGo32,
		isaAVX2:   {atan2: atan232AVX2},
		isaAVX512: {atan2: atan232AVX512},
	}
	pairSets64 = [...]pairKernels[float64]{
		isaGo:     pairsGo64,
		isaAVX2:   {atan2: atan264AVX2, pow: pow64AVX2},
		isaAVX512: {atan2: atan264AVX512, pow: pow64AVX512},
	}
)
