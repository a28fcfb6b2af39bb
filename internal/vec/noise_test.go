package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

// Every instruction set gives the words of the definition, where the block number carries into its high word too, and
// writes no others.
func TestPhilox(t *testing.T) {
	const mark = 0xfeedface
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, first := range []uint64{0, 5, 1<<32 - 3, 1<<32 - 20, 1<<64 - 2} {
			for n := range 150 {
				key, run := [2]uint32{r.Uint32(), r.Uint32()}, r.Uint64()
				got, want := make([]uint32, n+2*noiseGroup), make([]uint32, n+2*noiseGroup)
				for i := range got {
					got[i], want[i] = mark, mark
				}
				Philox(got[noiseGroup:noiseGroup+n], key, run, first)
				for i := range n / 4 {
					block := first + uint64(i)
					words := philoxOf([4]uint32{uint32(run), uint32(run >> 32), uint32(block), uint32(block >> 32)}, key)
					copy(want[noiseGroup+4*i:], words[:])
				}
				for i, w := range want {
					if got[i] != w {
						t.Fatalf("%d words from block %d: word %d is %#x, want %#x", n, first, i-noiseGroup, got[i], w)
					}
				}
			}
		}
	})
}

// philoxOf is the definition.
func philoxOf(ctr [4]uint32, key [2]uint32) [4]uint32 {
	for range 10 {
		p, q := uint64(ctr[0])*philoxM0, uint64(ctr[2])*philoxM1
		ctr = [4]uint32{uint32(q>>32) ^ ctr[1] ^ key[0], uint32(q), uint32(p>>32) ^ ctr[3] ^ key[1], uint32(p)}
		key[0] += philoxW0
		key[1] += philoxW1
	}
	return ctr
}

// noiseWords are words of all kinds: any, small and large ones, for u near 0 and 1, and angles near the eighths of a turn.
func noiseWords[T Float](r *rand.Rand, words []uint32) {
	per := of[T](1, 2).(int)
	for i := 0; i+2*per <= len(words); i += 2 * per {
		u, a := r.Uint64(), r.Uint64()
		switch r.IntN(4) {
		case 0:
			u >>= r.IntN(65)
		case 1:
			u = ^(u >> r.IntN(65))
		case 2:
			a = r.Uint64N(8)<<61 + uint64(int64(a)>>r.IntN(64))
		}
		if per == 1 {
			words[i], words[i+1] = uint32(u>>32), uint32(a>>32)
			if r.IntN(8) == 0 {
				words[i] = uint32(u)
			}
			continue
		}
		words[i], words[i+1], words[i+2], words[i+3] = uint32(u), uint32(u>>32), uint32(a), uint32(a>>32)
	}
}

// Normals and uniforms are the bits of plain Go with every instruction set, in every lane and at every length.
func TestNoiseBits(t *testing.T) { both(t, testNoiseBits[float32], testNoiseBits[float64]) }

func testNoiseBits[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	per := of[T](1, 2).(int)
	for trial := range 2000 {
		n := 2 * (trial % 80)
		if trial%500 == 499 {
			n = 1 << 15
		}
		words := make([]uint32, n*per)
		noiseWords[T](r, words)
		for _, normal := range []bool{true, false} {
			want := make([]T, n)
			goNoise(want, words, normal)
			got, verify := check.Guarded[T](t, "noise", n)
			ofWords("noise", got, words, normal)
			verify()
			for i := range got {
				if !sameBits(got[i:i+1], want[i:i+1]) {
					t.Fatalf("normal = %v, %d numbers: number %d of words %#x is %v, want %v",
						normal, n, i, words[i/2*2*per:][:2*per], got[i], want[i])
				}
			}
		}
	}
}

// goNoise is plain Go's.
func goNoise[T Float](dst []T, words []uint32, normal bool) {
	switch dst := any(dst).(type) {
	case []float32:
		if normal {
			normals32(dst, words)
		} else {
			uniforms32(dst, words)
		}
	case []float64:
		if normal {
			normals64(dst, words)
		} else {
			uniforms64(dst, words)
		}
	}
}

// Every word that a radius of float32, an angle or a uniform number can be made of: a quarter of an hour.
func TestNoiseExhaustive(t *testing.T) {
	if os.Getenv("GODCEM_EXHAUSTIVE") == "" {
		t.Skip("takes minutes: set GODCEM_EXHAUSTIVE=all")
	}
	eachISA(t, func(t *testing.T) {
		if current == isaGo {
			t.Skip("plain Go is what the others are compared with")
		}
		const n = 1 << 16
		words := make([]uint32, n)
		got, want := make([]float32, n), make([]float32, n)
		for start := uint64(0); start < 1<<32; start += n / 2 {
			for i := 0; i < n; i += 2 {
				w := uint32(start) + uint32(i/2)
				words[i], words[i+1] = w, w*0x9E3779B1
			}
			for _, normal := range []bool{true, false} {
				goNoise(want, words, normal)
				ofWords("noise", got, words, normal)
				if !sameBits(got, want) {
					t.Fatalf("normal = %v: words from %#x differ", normal, start)
				}
			}
		}
	})
}

func TestNoiseAllocates(t *testing.T) {
	both(t, testNoiseAllocates[float32], testNoiseAllocates[float64])
}

func testNoiseAllocates[T Float](t *testing.T) {
	words, dst := make([]uint32, 1000), make([]T, of[T](1000, 500).(int))
	check.NoAllocs(t, "noise", func() {
		Philox(words, [2]uint32{1, 2}, 3, 4)
		Normals(dst, words)
		Uniforms(dst, words)
	})
}

func TestNoisePanics(t *testing.T) {
	for _, c := range []struct {
		want string
		f    func()
	}{
		{"vec: Normals: len(dst) = 3 and len(words) = 3, want an even number and 1 words for each", func() { Normals(make([]float32, 3), make([]uint32, 3)) }},
		{"vec: Uniforms: len(dst) = 4 and len(words) = 4, want an even number and 2 words for each", func() { Uniforms(make([]float64, 4), make([]uint32, 4)) }},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); got != c.want {
					t.Errorf("panic %q, want %q", got, c.want)
				}
			}()
			c.f()
		}()
	}
}

// BenchmarkNoise reports on tiles of 512 numbers.
func BenchmarkNoise(b *testing.B) {
	b.Run("float32", benchNoise[float32])
	b.Run("float64", benchNoise[float64])
}

func benchNoise[T Float](b *testing.B) {
	const n = 512
	words, dst := make([]uint32, n*of[T](1, 2).(int)), make([]T, n)
	benchTiles(b, "Philox", n, func() { Philox(words, [2]uint32{1, 2}, 3, 4) })
	benchTiles(b, "Normals", n, func() { Normals(dst, words) })
	benchTiles(b, "Uniforms", n, func() { Uniforms(dst, words) })
	if !(math.Abs(float64(dst[0])) < 10) {
		b.Errorf("a number is %v", dst[0])
	}
}
