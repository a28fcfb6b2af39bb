package cpu

import "github.com/godcem/godcem/internal/vec"

// A class says what a value depends on: with it go the points at which it is computed and the registers it is kept
// in.
type class uint8

const (
	unit  class = iota // nothing: once, one element
	col                // the column alone: once, an element per column; only where tiles are whole rows
	row                // the row alone: with each tile, an element per row
	point              // both: with each tile, an element per point
	fixed              // of virtual registers: not a register but memory that an instruction names
)

// A loop is a plan.Loop compiled for tiles: blocks of high rows and wide columns, one row or whole rows. A value is a
// slot, a slice per thread: a register, or a part of a buffer that is read or written in place.
type loop[T vec.Float] struct {
	space
	grid
	high, wide int
	cost       int // of a point, in flops
	byColumn   bool
	walks      bool // some access needs the rows' multi-index

	code  [4][]instr[T] // by class
	regs  [4]registers  // by class
	slots int
	fixed []bound[T] // slots that are the same in every run
	loads []load[T]
	draws []draw[T]
	puts  []put[T]
	reds  []reduction[T]

	temp   int // in frame.mem: a tile for reductions
	mem    int // elements of frame.mem
	sums   int // elements of frame.sums
	counts int // elements of frame.counts

	x       *executable
	product []T // of an epilogue after the whole product
}

// registers are the slots first.. of a class, count registers of size elements from mem on.
type registers struct{ first, count, size, mem int }

// bound is a slot with its memory.
type bound[T vec.Float] struct {
	slot int32
	mem  []T
}

// A grid is how points are cut into chunks, by shape alone: rows in units, units in blocks, columns in pieces. A chunk
// is a block of a piece.
type grid struct {
	unit, block, perUnit, rowChunks int
	width, pieces                   int
}

func (g *grid) chunks() int { return g.rowChunks * g.pieces }

// rowsOf and colsOf are a chunk's rows and columns.
func (g *grid) rowsOf(chunk int) (lo, hi int) {
	c := chunk / g.pieces
	start := c / g.perUnit * g.unit
	lo = start + c%g.perUnit*g.block
	return lo, min(lo+g.block, start+g.unit)
}

func (g *grid) colsOf(chunk, cols int) (lo, hi int) {
	lo = chunk % g.pieces * g.width
	return lo, min(lo+g.width, cols)
}

// set cuts rows into units and blocks.
func (g *grid) set(rows, unit, block int) {
	g.unit, g.block = unit, block
	g.perUnit = (unit + block - 1) / block
	g.rowChunks = rows / unit * g.perUnit
}

// A load is an access of a buffer. Where it is in place, the slot is the memory itself.
type load[T vec.Float] struct {
	access
	class  class
	arr    array[T]
	own    *plain[T] // arr, if of the loop's own type; else nil
	guards []guard
}

// A guard is a plan.Guard over a space.
type guard struct {
	access
	step, count int
}

// A put is a store of tiles.
type put[T vec.Float] struct {
	access
	arr array[T]
	mem []T
}

// A draw is a Normal or Uniform.
type draw[T vec.Float] struct {
	access
	class      class
	normal     bool
	other      bool // of the other float type than the loop's
	seed, draw uint64
	run        []int64
}

// A frame is what a thread needs to run loops of element type T; it serves all loops of an executable.
type frame[T vec.Float] struct {
	thread    int // that had it last
	slots     [][]T
	mem       []T
	idx, walk []int
	sums      []total
	counts    []int

	chunk          int
	lo, hi, c0, c1 int // the chunk's rows and columns
	r0, nr         int // the tile's rows
	j0, nc         int // and columns
	n              int // points that the registers are bound for

	odd32 [128]float32 // for draws of the other type
	odd64 [128]float64

	acc    []T // the product, from row accRow on
	accRow int
}

const (
	// chunkFlops is the least that a chunk is worth, shareFlops the least that a thread's share is.
	chunkFlops = 1 << 14
	shareFlops = 1 << 15
	// manyChunks is about how many a large loop has.
	manyChunks = 64
)

// run runs the loop.
func (l *loop[T]) run() error {
	if l.points() == 0 {
		return nil
	}
	n := l.chunks()
	vec.Parallel(n, l.grain(n, l.cost), l)
	l.finish()
	return nil
}

// grain is the number of chunks worth a thread, of n chunks and points of so many flops.
func (l *loop[T]) grain(n, flops int) int {
	each := max(1, l.points()/n) * flops
	return max(1, shareFlops/max(1, each))
}

// Run implements vec.Job on chunks.
func (l *loop[T]) Run(lo, hi int) { l.RunOn(0, lo, hi) }

// RunOn implements vec.ThreadJob.
func (l *loop[T]) RunOn(thread, lo, hi int) {
	frames := framesOf[T](l.x)
	f := frames.get(thread)
	l.begin(f)
	for c := lo; c < hi; c++ {
		l.do(f, c)
	}
	frames.put(f)
}

// begin binds the registers and computes what no tile changes.
func (l *loop[T]) begin(f *frame[T]) {
	for c := range l.regs {
		l.bind(f, class(c), l.regs[c].size)
	}
	f.n = l.regs[point].size
	f.acc, f.accRow = l.product, 0
	for i := range l.fixed {
		f.slots[l.fixed[i].slot] = l.fixed[i].mem
	}
	f.r0, f.nr, f.j0, f.nc = 0, 1, 0, l.cols
	l.exec(f, l.code[unit])
	l.exec(f, l.code[col])
}

func (l *loop[T]) bind(f *frame[T], c class, n int) {
	r := &l.regs[c]
	at := r.mem
	for i := range f.slots[r.first : r.first+r.count] {
		f.slots[r.first+i] = f.mem[at : at+n : at+n]
		at += padded(r.size)
	}
}

// padded is n made a multiple of a cache line of float32.
func padded(n int) int { return (n + 15) &^ 15 }

// do runs a chunk.
func (l *loop[T]) do(f *frame[T], chunk int) {
	f.chunk = chunk
	f.lo, f.hi = l.rowsOf(chunk)
	f.c0, f.c1 = l.colsOf(chunk, l.cols)
	for i := range l.reds {
		l.reds[i].begin(f)
	}
	if l.byColumn {
		for j := f.c0; j < f.c1; j += l.wide {
			for r := f.lo; r < f.hi; r += l.high {
				l.tile(f, r, min(l.high, f.hi-r), j, min(l.wide, f.c1-j))
			}
		}
	} else {
		for r := f.lo; r < f.hi; r += l.high {
			for j := f.c0; j < f.c1; j += l.wide {
				l.tile(f, r, min(l.high, f.hi-r), j, min(l.wide, f.c1-j))
			}
		}
	}
	for i := range l.reds {
		l.reds[i].end(l, f)
	}
}

func (l *loop[T]) tile(f *frame[T], r0, nr, j0, nc int) {
	f.r0, f.nr, f.j0, f.nc = r0, nr, j0, nc
	if l.walks {
		l.index(f.idx, r0)
	}
	if n := nr * nc; n != f.n {
		l.bind(f, point, n)
		if len(l.code[row]) > 0 {
			l.bind(f, row, nr)
		}
		f.n = n
	}
	if len(l.code[row]) > 0 {
		l.exec(f, l.code[row])
	}
	l.exec(f, l.code[point])
}

// at is where a tile's access begins.
func (f *frame[T]) at(a *access, c class) int {
	switch c {
	case unit, col:
		return a.off
	case row:
		return a.row(f.r0, f.idx)
	}
	return a.row(f.r0, f.idx) + f.j0*a.cs
}
