package emit

import (
	"fmt"
	"iter"
	"math/bits"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// A tiling is how kernels/gemm.cu computes a product: the parameters of its Gemm.
type tiling struct {
	bm, bn, bk int // a block's tile, and the terms of a step
	tm, tn     int // a thread's part
	sk         int // groups of threads that share a step's terms
	threads    int
	tilesM     int // of one matrix
	tilesN     int
	slices     int // blocks that share the terms of a tile
	depth      int // terms of a slice, a multiple of bk
	double     bool
	long       bool
}

const (
	chain      = 256 // CHAIN of gemm.cu
	mostSlices = 64  // gather adds up two levels of eights

	// mostRegisters leaves room for addresses and indices: ptxas takes 50 to 60 more, and has 255.
	mostRegisters = 176
)

// tilingFor remembers what tilingOf found.
func (e *emitter) tilingFor(d *plan.Dot, threads int) tiling {
	key := fmt.Sprint(threads, d.Type, d.Batch, d.M, d.N, d.K, d.A.Trans, d.B.Trans, len(d.Epilogue.Loads),
		len(d.Epilogue.Body))
	for i := range d.Epilogue.Stores {
		key += fmt.Sprint(" ", reachOf(&d.Epilogue.Stores[i], d.Epilogue.Dims))
	}
	t, ok := e.tilings[key]
	if !ok {
		if e.tilings == nil {
			e.tilings = map[string]tiling{}
		}
		t = e.tilingOf(d, threads)
		e.tilings[key] = t
	}
	return t
}

// tilingOf chooses by a model of a multiprocessor: what its arithmetic units, its shared memory and its share of the
// second-level cache need for the blocks that it gets, and how long a block waits for memory. The model is coarse; it
// is in whole numbers of clock cycles so that it chooses the same everywhere.
func (e *emitter) tilingOf(d *plan.Dot, threads int) tiling {
	var best tiling
	cost := -1
	for t := range e.tilingsOf(d, threads) {
		if c := e.cycles(d, &t); cost < 0 || c < cost {
			best, cost = t, c
		}
	}
	return best
}

// tilingsOf yields the tilings that there are for a product; there is one at least.
func (e *emitter) tilingsOf(d *plan.Dot, threads int) iter.Seq[tiling] {
	return func(yield func(tiling) bool) {
		for _, bm := range powers(1, min(128, max(1, ceilPower(d.M)))) {
			for _, bn := range powers(1, min(128, max(1, ceilPower(d.N)))) {
				for _, sk := range powers(1, threads) {
					for _, bk := range powers(8, 128) {
						t := tiling{bm: bm, bn: bn, bk: bk, sk: sk, threads: threads}
						if !e.shape(d, &t) || bk > 8 && bk > sk && bk >= 2*max(1, d.K) {
							continue
						}
						for _, slices := range powers(1, mostSlices) {
							u := t
							if u.slice(d, slices) && u.registers(d) <= mostRegisters && e.dotShared(d, &u) <= e.o.Shared &&
								!yield(u) {
								return
							}
						}
					}
				}
			}
		}
	}
}

// powers lists the powers of 2 between two of them.
func powers(from, to int) (all []int) {
	for ; from <= to; from *= 2 {
		all = append(all, from)
	}
	return all
}

func ceilPower(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// shape completes a tile: what a thread of a group gets is as square as can be.
func (e *emitter) shape(d *plan.Dot, t *tiling) bool {
	most := 64
	if d.Type == ir.F64 {
		most = 32
	}
	group := t.threads / t.sk
	per := t.bm * t.bn / group
	if group < 1 || per < 1 || per > most || group*per != t.bm*t.bn || t.bk%t.sk != 0 ||
		t.threads < t.bm || t.threads < t.bn {
		return false
	}
	t.tm, t.tn = 1, 1
	for t.tm*t.tn < per {
		if t.tn*2 <= min(8, t.bn) && (t.tn <= t.tm || t.tm*2 > min(8, t.bm)) {
			t.tn *= 2
		} else if t.tm*2 <= min(8, t.bm) {
			t.tm *= 2
		} else {
			return false
		}
	}
	t.tilesM, t.tilesN = ceilDiv(d.M, t.bm), ceilDiv(d.N, t.bn)
	return true
}

// slice shares the terms among blocks.
func (t *tiling) slice(d *plan.Dot, slices int) bool {
	t.depth = ceilDiv(ceilDiv(max(1, d.K), slices), t.bk) * t.bk
	t.slices = max(1, ceilDiv(d.K, t.depth))
	t.double = t.depth > t.bk
	t.long = t.depth/t.sk > chain
	return t.slices > slices/2
}

// operands is the shared memory of the tiles, in bytes.
func (t *tiling) operands(d *plan.Dot) int {
	size := d.Type.Size()
	pad := func(x int, along bool) int {
		if along || x == 1 {
			return x
		}
		return x + min(x, 16/size)
	}
	n := t.bk * (pad(t.bm, d.A.Trans) + pad(t.bn, !d.B.Trans)) * size
	if t.double {
		n *= 2
	}
	if t.sk > 1 {
		n = max(n, t.sk*t.bm*t.bn*size)
	}
	return max(n, 16)
}

// registers is how many a thread needs for its sums, the operands of a term, and those of the next step.
func (t *tiling) registers(d *plan.Dot) int {
	n := t.tm*t.tn + t.tm + t.tn + ceilDiv((t.bm+t.bn)*t.bk, t.threads)
	if t.long {
		n += t.tm * t.tn
	}
	return n * d.Type.Size() / 4
}

// cycles is what a product takes on the busiest multiprocessor, roughly.
func (e *emitter) cycles(d *plan.Dot, t *tiling) int {
	const (
		latency = 700  // of a load from the second-level cache or memory
		ticket  = 1500 // to know which block is the last
		share   = 24   // bytes per cycle of the second-level cache
	)
	size := d.Type.Size()
	blocks := d.Batch * t.tilesM * t.tilesN * t.slices
	mine := ceilDiv(blocks, e.o.SMs)
	warps, steps, terms := t.threads/32, t.depth/t.bk, t.bk/t.sk
	pack := 16 / size
	loads := func(n int) int { return ceilDiv(n, pack) } // from shared memory, of n elements
	issue := terms * warps * (t.tm*t.tn*size/4 + loads(t.tm) + loads(t.tn))
	moved := ceilDiv((t.bm+t.bn)*t.bk, pack)
	issue = ceilDiv(issue+ceilDiv(moved, 32)*12+warps*10, 4)
	reading := terms * warps * (t.tm + t.tn) * size / 4
	step := max(issue, reading, moved*16/share)
	registers := 40 + (t.tm*t.tn+t.tm+t.tn)*size/4
	if t.long {
		registers += t.tm * t.tn * size / 4
	}
	resident := max(1, min(2048/t.threads, 65536/(registers*t.threads), (220<<10)/t.operands(d)))
	total := 0
	for ; mine > 0; mine -= resident { // as many blocks as run at once
		n := min(mine, resident)
		if steps > 1 {
			total += (steps - 1) * max(n*step, latency)
		}
		total += latency + n*step
		if mine > 64*resident {
			total += (mine - 1) / resident * total
			break
		}
	}
	mine = ceilDiv(blocks, e.o.SMs)
	ep := &d.Epilogue
	total += mine * ceilDiv(t.bm*t.bn, t.slices*64) * (4 + len(ep.Loads) + 2*len(ep.Body) + 2*len(ep.Stores))
	for i := range ep.Stores {
		n, _ := t.sharers(d, &ep.Stores[i])
		for range min(2, ceilDiv(n-1, 8)) {
			total += ticket + ceilDiv(joined(n), 8)*latency
		}
	}
	if t.sk > 1 {
		total += 30*bits.Len(uint(t.sk)) + mine*t.sk*t.bm*t.bn*size*2/128
	}
	if t.slices > 1 {
		piece := t.bm * t.bn * size / share
		total += ticket + (mine+min(8, t.slices))*piece + latency
		if t.slices > 8 {
			total += ticket + (1+ceilDiv(t.slices, 8))*piece + latency
		}
	}
	return total
}
