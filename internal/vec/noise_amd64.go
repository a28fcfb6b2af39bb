//go:build !noasm

package vec

// What follows calls by name and not by table, so that buffers on the stack stay there.

// philoxGroups is Philox of n blocks, n*4 a multiple of noiseGroup.
func philoxGroups(words *uint32, keys *[20]uint32, run, block uint64, n int) {
	if current == isaAVX512 {
		philoxAVX512(words, keys, run, block, n)
	} else {
		philoxAVX2(words, keys, run, block, n)
	}
}

// groups32 and groups64 make n numbers of whole groups of words.
func groups32(dst *float32, words *uint32, n int, normal bool) {
	switch wide := current == isaAVX512; {
	case normal && wide:
		normals32AVX512(dst, words, n)
	case normal:
		normals32AVX2(dst, words, n)
	case wide:
		uniforms32AVX512(dst, words, n)
	default:
		uniforms32AVX2(dst, words, n)
	}
}

func groups64(dst *float64, words *uint32, n int, normal bool) {
	switch wide := current == isaAVX512; {
	case normal && wide:
		normals64AVX512(dst, words, n)
	case normal:
		normals64AVX2(dst, words, n)
	case wide:
		uniforms64AVX512(dst, words, n)
	default:
		uniforms64AVX2(dst, words, n)
	}
}
