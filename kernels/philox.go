package kernels

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/godcem/godcem/internal/vec"
)

// Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): two
// multipliers, and the Weyl constants by which the key advances from round to round.
const (
	philoxM0 = 0xD2511F53
	philoxM1 = 0xCD9E8D57
	philoxW0 = 0x9E3779B9
	philoxW1 = 0xBB67AE85
)

// Philox4x32 returns the four random words that Philox4x32-10 assigns to a counter and a key, in the word order of
// Random123. It is the meaning of every random number here: Uniform and Normal are functions of these words,
// doc/equations.md (11).
func Philox4x32(ctr [4]uint32, key [2]uint32) [4]uint32 {
	for range 10 {
		p, q := uint64(ctr[0])*philoxM0, uint64(ctr[2])*philoxM1
		ctr = [4]uint32{uint32(q>>32) ^ ctr[1] ^ key[0], uint32(q), uint32(p>>32) ^ ctr[3] ^ key[1], uint32(p)}
		key[0] += philoxW0
		key[1] += philoxW1
	}
	return ctr
}

// Key returns the Philox key of a draw, doc/equations.md (11): mix(mix(seed + 0x9E3779B97F4A7C15) + draw), low word
// first, where mix is the finaliser of splitmix64. Each place of a program that draws numbers has its own draw id, so
// no two share a stream.
func Key(seed, draw uint64) [2]uint32 {
	k := mix64(mix64(seed+0x9E3779B97F4A7C15) + draw)
	return [2]uint32{uint32(k), uint32(k >> 32)}
}

func mix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// Uniform fills dst with uniform numbers in [0, 1), doc/equations.md (11): dst[i] is element first+i of the draw.
//
// Element e of a draw is a function of (seed, draw, run, e) alone. The counter {run low, run high, block low, block
// high} gives four words w. A float32 takes one of them, block e/4 and w = w[e%4], and is (w >> 8) * 2^-24. A float64
// takes two, block e/2 and W = w[2(e%2)+1]<<32 | w[2(e%2)], and is (W >> 11) * 2^-53. Both are exact, and the same
// bits everywhere.
//
// run counts the runs of a program (a training step, a control step), and first splits one draw over several calls.
// first must not be negative.
func Uniform[T Float](dst []T, seed, draw, run uint64, first int) {
	fillDraw("Uniform", dst, seed, draw, run, first, false)
}

// drawTile is the number of words made at a time: they stay in the first-level cache until they have become numbers.
const drawTile = 256

// drawJob fills dst with elements of a draw; its items are blocks.
type drawJob[T Float] struct {
	dst    []T
	key    [2]uint32
	run    uint64
	block  uint64 // the block of dst[0]
	skip   int    // elements of that block before dst[0]
	normal bool
}

var drawJobs poolPair

// drawLanes returns the number of elements in a block: a block is 16 bytes in either type.
func drawLanes[T Float]() int {
	var one T
	return 16 / int(unsafe.Sizeof(one))
}

func fillDraw[T Float](name string, dst []T, seed, draw, run uint64, first int, normal bool) {
	if first < 0 || first > math.MaxInt-len(dst)-drawTile {
		panic(fmt.Sprintf("kernels: %s: first = %d, want 0 <= first, and first+len(dst) an int (len(dst) = %d)", name, first, len(dst)))
	}
	per := drawLanes[T]()
	job := drawJob[T]{dst: dst, key: Key(seed, draw), run: run, block: uint64(first / per), skip: first % per, normal: normal}
	runPooled[T](&drawJobs, job, (job.skip+len(dst)+per-1)/per, 1024)
}

// Run implements vec.Job. The tiles that dst covers whole are written in place, those at its ends through a buffer.
func (j *drawJob[T]) Run(lo, hi int) {
	var words [drawTile]uint32
	var edge [drawTile]T
	per := drawLanes[T]()
	for ; lo < hi; lo += drawTile / 4 {
		blocks := min(hi-lo, drawTile/4)
		w := words[:4*blocks]
		vec.Philox(w, j.key, j.run, j.block+uint64(lo))
		from := lo*per - j.skip
		to := from + blocks*per
		if from >= 0 && to <= len(j.dst) {
			j.numbers(j.dst[from:to], w)
			continue
		}
		e := edge[:blocks*per]
		j.numbers(e, w)
		copy(j.dst[max(from, 0):min(to, len(j.dst))], e[max(-from, 0):])
	}
}

func (j *drawJob[T]) numbers(dst []T, words []uint32) {
	if j.normal {
		vec.Normals(dst, words)
	} else {
		vec.Uniforms(dst, words)
	}
}
