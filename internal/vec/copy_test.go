package vec

import (
	"bytes"
	"testing"
)

// Copy copies all bytes and no more, for lengths around the blocks, on any number of threads.
func TestCopy(t *testing.T) {
	defer SetThreads(Threads())
	for _, threads := range []int{1, 3} {
		SetThreads(threads)
		for _, n := range []int{0, 1, copyLeast - 1, copyLeast, copyLeast + 1, 5*copyBlock - 7} {
			src, dst := make([]byte, n), make([]byte, n+1)
			for i := range src {
				src[i] = byte(i*7 + i>>8)
			}
			dst[n] = 99
			Copy(dst[:n], src)
			if !bytes.Equal(dst[:n], src) || dst[n] != 99 {
				t.Errorf("%d bytes on %d threads: not the same", n, threads)
			}
		}
	}
}
