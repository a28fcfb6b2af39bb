package cpu

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePages asks for large pages under a large arena: a walk of the tables for every 4 KiB takes longer than reading
// them. It is a wish, which the system may not have.
func hugePages(mem []byte) {
	const page, least = 2 << 20, 8 << 20
	if len(mem) < least {
		return
	}
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(mem))) % page)
	mem = mem[skip:]
	_ = unix.Madvise(mem[:len(mem)/page*page], unix.MADV_HUGEPAGE)
}
