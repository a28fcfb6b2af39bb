// Package cuda runs programs on NVIDIA GPUs: package emit makes CUDA C of a program, NVRTC compiles it for the device at
// hand, and all launches of a run are captured into one CUDA Graph. It is built with the tag gpu only, because it needs
// cgo and the driver's header, and because gorgonia.org/cu, which it calls the driver through, ends a process that has
// no driver when it is initialised; see doc/gpu.md.
//
// # Memory
//
// A program has one arena on the device, which holds all its buffers at planned places, and beside it scratch memory and
// counters of the kernels. None of it ever moves, so a graph holds plain addresses. What the host writes goes through
// pinned memory and is copied by the program's stream, in order with its runs; what it reads comes back the same way.
//
// # Threads
//
// Every call makes the device's primary context current on the thread that it runs on, and leaves the thread as it was:
// a device may be used by several goroutines at once, and beside other users of the driver in the process.
//
// # Failures
//
// What a kernel does wrong shows when the host next waits, and ends the context. The first cause is kept: every later
// call is refused with it.
package cuda
