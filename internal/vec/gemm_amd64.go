//go:build !noasm

package vec

var gemmSets32 = [...]gemmKernels[float32]{
	isaGo: gemmGo32,
	isaAVX2: {
		main:   strip[float32]{6, 16, gemm32AVX2, pack32AVX2},
		narrow: strip[float32]{12, 8, gemmNarrow32AVX2, packNarrow32AVX2},
		wide:   strip[float32]{2, 32, gemmWide32AVX2, nil},
		packT:  packT32AVX2, tile: 8,
		panels: strip[float32]{cols: 8, pack: packNarrow32AVX2},
		sum:    sum32AVX2,
		dot:    dot32AVX2, dots: 2,
	},
	isaAVX512: {
		main:   strip[float32]{14, 32, gemm32AVX512, pack32AVX512},
		narrow: strip[float32]{14, 16, gemmNarrow32AVX512, packNarrow32AVX512},
		wide:   strip[float32]{6, 64, gemmWide32AVX512, nil},
		packT:  packT32AVX2, tile: 8,
		panels: strip[float32]{cols: 16, pack: packNarrow32AVX512},
		sum:    sum32AVX512,
		dot:    dot32AVX512, dots: 4,
	},
}

var gemmSets64 = [...]gemmKernels[float64]{
	isaGo: gemmGo64,
	isaAVX2: {
		main:   strip[float64]{6, 8, gemm64AVX2, pack64AVX2},
		narrow: strip[float64]{12, 4, gemmNarrow64AVX2, packNarrow64AVX2},
		wide:   strip[float64]{2, 16, gemmWide64AVX2, nil},
		packT:  packT64AVX2, tile: 4,
		panels: strip[float64]{cols: 8, pack: pack64AVX2},
		sum:    sum64AVX2,
		dot:    dot64AVX2, dots: 2,
	},
	isaAVX512: {
		main:   strip[float64]{14, 16, gemm64AVX512, pack64AVX512},
		narrow: strip[float64]{14, 8, gemmNarrow64AVX512, packNarrow64AVX512},
		wide:   strip[float64]{6, 32, gemmWide64AVX512, nil},
		packT:  packT64AVX2, tile: 4,
		panels: strip[float64]{cols: 16, pack: pack64AVX512},
		sum:    sum64AVX512,
		dot:    dot64AVX512, dots: 4,
	},
}
