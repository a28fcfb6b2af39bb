//go:build !noasm

package vec

var funcSets32 = [...]funcKernels[float32]{
	isaGo: funcGo32,
	isaAVX2: {
		exp:      exp32AVX2,
		expm1:    expm132AVX2,
		log:      log32AVX2,
		log1p:    log1p32AVX2,
		tanh:     tanh32AVX2,
		sigmoid:  sigmoid32AVX2,
		softplus: softplus32AVX2,
		log2:     log232AVX2,
		elu:      elu32AVX2,
		sin:      sin32AVX2,
		cos:      cos32AVX2,
	},
	isaAVX512: {
		exp:      exp32AVX512,
		expm1:    expm132AVX512,
		log:      log32AVX512,
		log1p:    log1p32AVX512,
		tanh:     tanh32AVX512,
		sigmoid:  sigmoid32AVX512,
		softplus: softplus32AVX512,
		log2:     log232AVX512,
		elu:      elu32AVX512,
		sin:      sin32AVX512,
		cos:      cos32AVX512,
	},
}

var funcSets64 = [...]funcKernels[float64]{
	isaGo: funcGo64,
	isaAVX2: {
		exp:      exp64AVX2,
		expm1:    expm164AVX2,
		log:      log64AVX2,
		log1p:    log1p64AVX2,
		tanh:     tanh64AVX2,
		sigmoid:  sigmoid64AVX2,
		softplus: softplus64AVX2,
		log2:     log264AVX2,
		elu:      elu64AVX2,
		sin:      sin64AVX2,
		cos:      cos64AVX2,
	},
	isaAVX512: {
		exp:      exp64AVX512,
		expm1:    expm164AVX512,
		log:      log64AVX512,
		log1p:    log1p64AVX512,
		tanh:     tanh64AVX512,
		sigmoid:  sigmoid64AVX512,
		softplus: softplus64AVX512,
		log2:     log264AVX512,
		elu:      elu64AVX512,
		sin:      sin64AVX512,
		cos:      cos64AVX512,
	},
}
