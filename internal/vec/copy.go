package vec

import "sync"

// Copies are shared from copyLeast bytes on, in blocks: a block is worth more than waking a thread.
const (
	copyLeast = 1 << 20
	copyBlock = 1 << 18
)

type copying struct{ dst, src []byte }

var copyings = sync.Pool{New: func() any { return new(copying) }}

// Copy copies len(src) bytes to dst, which must be as long and must not overlap src; what is long on all threads of
// Parallel.
func Copy(dst, src []byte) {
	if len(src) < copyLeast {
		copy(dst, src)
		return
	}
	c := copyings.Get().(*copying)
	c.dst, c.src = dst[:len(src)], src
	Parallel((len(src)+copyBlock-1)/copyBlock, 1, c)
	*c = copying{}
	copyings.Put(c)
}

// Run implements Job on blocks.
func (c *copying) Run(lo, hi int) {
	lo, hi = lo*copyBlock, min(hi*copyBlock, len(c.src))
	copy(c.dst[lo:hi], c.src[lo:hi])
}
