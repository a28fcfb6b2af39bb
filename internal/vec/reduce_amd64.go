//go:build !noasm

package vec

var reduceSets32 = [...]reduceKernels[float32]{
	isaGo:     reduceGo32,
	isaAVX2:   {total32AVX2, greatest32AVX2, least32AVX2, 8},
	isaAVX512: {total32AVX512, greatest32AVX512, least32AVX512, 16},
}

var reduceSets64 = [...]reduceKernels[float64]{
	isaGo:     reduceGo64,
	isaAVX2:   {total64AVX2, greatest64AVX2, least64AVX2, 4},
	isaAVX512: {total64AVX512, greatest64AVX512, least64AVX512, 8},
}

var wideSets = [...]wideKernels{
	isaGo:     wideGo,
	isaAVX2:   {totalWide64AVX2, widen64AVX2, narrow64AVX2},
	isaAVX512: {totalWide64AVX512, widen64AVX512, narrow64AVX512},
}
