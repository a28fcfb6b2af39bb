package vec

import "fmt"

// Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): two
// multipliers, and the Weyl constants by which the key advances from round to round.
const (
	philoxM0 = 0xD2511F53
	philoxM1 = 0xCD9E8D57
	philoxW0 = 0x9E3779B9
	philoxW1 = 0xBB67AE85
)

// noiseGroup is the number of words that every instruction set's code makes, or takes, at a time.
const noiseGroup = 32

// Philox writes the random words of consecutive blocks: words[4i:4i+4] is Philox4x32-10 of the counter {run low, run
// high, block+i low, block+i high} and the key. What is left of words after whole blocks is not written.
func Philox(words []uint32, key [2]uint32, run, block uint64) {
	words = words[:len(words)/4*4]
	var keys [20]uint32 // of the ten rounds
	keys[0], keys[1] = key[0], key[1]
	for i := 2; i < len(keys); i += 2 {
		keys[i], keys[i+1] = keys[i-2]+philoxW0, keys[i-1]+philoxW1
	}
	if current == isaGo {
		philoxGo(words, &keys, run, block)
		return
	}
	if whole := len(words) / noiseGroup * noiseGroup; whole > 0 {
		philoxGroups(&words[0], &keys, run, block, whole/4)
		words, block = words[whole:], block+uint64(whole/4)
	}
	if len(words) > 0 {
		var buf [noiseGroup]uint32
		philoxGroups(&buf[0], &keys, run, block, noiseGroup/4)
		copy(words, buf[:])
	}
}

// Normals makes standard normals of random words by the Box-Muller transform: two of each two words, in float64 of each
// four. They are the same bits with every instruction set: noise_go.go states the operations. len(dst) is even.
func Normals[T Float](dst []T, words []uint32) { ofWords("Normals", dst, words, true) }

// Uniforms makes numbers in [0, 1) of random words: in float32 (w >> 8) 2^-24 of each, in float64 (W >> 11) 2^-53 of
// each pair W, the low word first. They are exact, and so the same bits everywhere. len(dst) is even.
func Uniforms[T Float](dst []T, words []uint32) { ofWords("Uniforms", dst, words, false) }

func ofWords[T Float](name string, dst []T, words []uint32, normal bool) {
	per := of[T](1, 2).(int)
	if len(dst)%2 != 0 || len(words) != per*len(dst) {
		panic(fmt.Sprintf("vec: %s: len(dst) = %d and len(words) = %d, want an even number and %d words for each",
			name, len(dst), len(words), per))
	}
	switch dst := any(dst).(type) {
	case []float32:
		ofWords32(dst, words, normal)
	case []float64:
		ofWords64(dst, words, normal)
	}
}

func ofWords32(dst []float32, words []uint32, normal bool) {
	if current == isaGo {
		if normal {
			normals32(dst, words)
		} else {
			uniforms32(dst, words)
		}
		return
	}
	const group = noiseGroup
	if whole := len(dst) / group * group; whole > 0 {
		groups32(&dst[0], &words[0], whole, normal)
		dst, words = dst[whole:], words[whole:]
	}
	if len(dst) > 0 {
		var buf [group]float32
		var in [noiseGroup]uint32
		copy(in[:], words)
		groups32(&buf[0], &in[0], group, normal)
		copy(dst, buf[:])
	}
}

func ofWords64(dst []float64, words []uint32, normal bool) {
	if current == isaGo {
		if normal {
			normals64(dst, words)
		} else {
			uniforms64(dst, words)
		}
		return
	}
	const group = noiseGroup / 2
	if whole := len(dst) / group * group; whole > 0 {
		groups64(&dst[0], &words[0], whole, normal)
		dst, words = dst[whole:], words[2*whole:]
	}
	if len(dst) > 0 {
		var buf [group]float64
		var in [noiseGroup]uint32
		copy(in[:], words)
		groups64(&buf[0], &in[0], group, normal)
		copy(dst, buf[:])
	}
}
