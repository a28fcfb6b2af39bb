//go:build !noasm

package vec

var lmlSets = [...]lmlKernels{
	isaGo:     lmlGo,
	isaAVX2:   {lmlMoments32AVX2, lmlPowers32AVX2, lmlCounted32AVX2, lmlQuick32AVX2, lmlWeights32AVX2, lmlSlopes32AVX2, lmlGrad32AVX2, lmlStart64AVX2, lmlSteps64AVX2},
	isaAVX512: {lmlMoments32AVX512, lmlPowers32AVX512, lmlCounted32AVX512, lmlQuick32AVX512, lmlWeights32AVX512, lmlSlopes32AVX512, lmlGrad32AVX512, lmlStart64AVX2, lmlSteps64AVX2},
}
