package ir

import "sync/atomic"

// A Sourcer is a Kernel that also exists as CUDA C. A kernel without it, or whose Source is nil, runs on the host.
type Sourcer interface {
	// Source gives the code for a result of out elements and operands of in[i] elements.
	Source(out int, in []int) *Source
}

// A Source is a kernel as CUDA C. It works on independent rows (the problems of a batch): a block of threads computes
// one row at a time.
type Source struct {
	// Files are those of kernels.CUDA that declare what Call uses.
	Files []string
	// Call is the statement that computes a row. All threads of the block execute it, together. In it
	//
	//	row       is the row's number, an unsigned int
	//	$0, $1... are pointers to the first element of the result and of the operands, whole arrays
	//	THREADS   is the number of threads of the block, a constant: 32 or more, a multiple of 32
	//	shared    is a pointer to Shared bytes of shared memory, aligned to 16
	//	$c        is a pointer to len(Counts) long long counters in device memory
	//
	// It must not rely on what shared holds at first, must not return from the block before its other threads, and
	// must end with all threads done with shared's content (a barrier follows it).
	Call string
	// Rows is how many rows there are. A row writes the row-th of Rows equal parts of the result, and nothing else.
	Rows int
	// Width is how many work items a row has: threads are chosen by it.
	Width int
	// Shared is how many bytes of shared memory a row needs.
	Shared int
	// Whole lists the operands of which a row reads more than the row-th of Rows equal parts.
	Whole []int
	// Counts are what the counters are added to when the host next waits for the device.
	Counts []*atomic.Int64
}
