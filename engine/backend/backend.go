// Package backend says what a device must do to run a plan.Program.
package backend

import (
	"errors"

	"github.com/godcem/godcem/engine/plan"
)

// What an error of a device may wrap.
var (
	// ErrOutOfMemory: the device has not the memory that a program needs. Nothing else has changed.
	ErrOutOfMemory = errors.New("out of device memory")
	// ErrDeviceLost: what was on the device is gone, and its programs are of no use any more.
	ErrDeviceLost = errors.New("device lost")
)

// Info describes a device.
type Info struct {
	Name    string `json:"name"`              // as engine.Open takes it: "cpu", "ref", "null", "cuda:0"
	Model   string `json:"model"`             // what it is, for people
	Memory  int64  `json:"memory"`            // bytes in all; 0: unknown
	Threads int    `json:"threads"`           // of a CPU
	Compute string `json:"compute,omitempty"` // compute capability of a GPU: "9.0"
	Detail  string `json:"detail"`            // instruction set, multiprocessors and the like; why it cannot be used
}

// A Device compiles programs. It may be used by several goroutines.
type Device interface {
	Info() Info
	// Compile loads a program: it allocates the arena, writes the constants and zeroes the State buffers. The program
	// must not be changed afterwards.
	Compile(p *plan.Program) (Executable, error)
	Close() error
}

// An Executable is a loaded program. It is used by one goroutine at a time. Every method reports what goes wrong as an
// error: a panic of a kernel too, with the step's name; the executable remains usable.
type Executable interface {
	// Write copies a flat slice of the buffer's element type and length into a buffer. Read copies it out. Both may
	// only name buffers that are not Temp. A Write between runs takes effect in the next.
	Write(b plan.BufID, src any) error
	Read(b plan.BufID, dst any) error
	// Memory is the buffer itself as a slice of its element type where the host can address it, else nil. It is valid
	// until Close and always the same slice.
	Memory(b plan.BufID) any
	// Run does all steps, in order. A non-nil watch is called after each step has finished and may stop the run by
	// its error (used by traces and numerical checks; it is slower). In the steady state, without watch, Run allocates
	// nothing.
	Run(watch func(step int) error) error
	// Sync waits for the last Run.
	Sync() error
	Close() error
}

// A Binder is an Executable that can read inputs where the host has them.
type Binder interface {
	// Bind makes mem the place of an Input buffer, from the next run on: row-major elements of its type, as many as it
	// has. Runs only read it, and see what it holds then; until the next Bind or Write of the buffer it must stay
	// allocated, and must not be changed during a run. Nil unbinds. If it returns false the buffer has its own memory
	// again (see Memory, which is the same always) and must be written: it is too small to bother, or mem is of no use
	// here, because of its size, its alignment, or because a run writes to it.
	Bind(b plan.BufID, mem []byte) bool
}

// A Scratcher is an Executable that needs memory beside the arena.
type Scratcher interface {
	// Scratch is its size in bytes.
	Scratch() int64
}

// A Remote is an Executable whose memory the host cannot address, but may name.
type Remote interface {
	// Address is where a buffer that is not Temp lies on the device, until Close; 0: there is no such buffer.
	Address(b plan.BufID) uintptr
	// Fetch copies from the device's memory, after the last Run. It is an error to name memory that is not the
	// program's.
	Fetch(dst []byte, from uintptr) error
	// Take copies memory of another program, or of this one, into an Input or Param buffer, as Write does and with
	// what the other's last Run left there. It returns false, and has done nothing, if the programs are on different
	// devices. Nobody may use the other program meanwhile.
	Take(b plan.BufID, other Executable, from uintptr) (bool, error)
}

// A Tuner is a Device that wants plans to be made for it.
type Tuner interface {
	// Tune sets what it prefers.
	Tune(o *plan.Options)
}

// Reports is how many reports of a Reporter may wait.
const Reports = 16

// A Reporter is an Executable that keeps what a buffer holds after one run while later ones go on, so that none of them
// waits for the host.
type Reporter interface {
	// Report keeps what an Output or State buffer holds after the last Run. It is an error if Reports of them wait, or if
	// the buffer is not of the size of those that wait.
	Report(b plan.BufID) error
	// NextReport waits for the oldest of the reports, and gives it as Read gives a buffer.
	NextReport(dst any) error
}
