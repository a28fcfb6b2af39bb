//go:build linux

package simcuda

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// guarded maps n bytes whose end, rounded up to 512, is the end of a page, between pages without access.
func guarded(n int) (mapped, data []byte, err error) {
	if n < 0 {
		return nil, nil, fmt.Errorf("simcuda: memory of %d bytes", n)
	}
	page := unix.Getpagesize()
	whole := (n + page - 1) / page * page
	mapped, err = unix.Mmap(-1, 0, whole+2*page, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, nil, fmt.Errorf("simcuda: memory of %d bytes: %w", n, err)
	}
	if whole > 0 {
		if err := unix.Mprotect(mapped[page:page+whole], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			return nil, nil, fmt.Errorf("simcuda: memory of %d bytes: %w", n, err)
		}
	}
	at := page + whole - (n+511)/512*512
	return mapped, mapped[at : at+n : at+n], nil
}

func release(mapped []byte) { _ = unix.Munmap(mapped) }
