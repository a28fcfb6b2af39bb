// Package engine runs Gorgonia graphs: it compiles a whole graph (forward, backward and, with [WithUpdate], the
// optimiser) into one fused program for a device, and runs that.
//
// A [VM] stands where a TapeMachine stood:
//
//	vm, err := engine.NewVM(g)                     // was: vm := gorgonia.NewTapeMachine(g)
//	...
//	gorgonia.Let(x, batch); err = vm.RunAll(); fmt.Println(loss.Value())
//
// Inputs are bound by gorgonia.Let (or WithValue), results are what Node.Value, Node.Grad and gorgonia.Read give, and
// Gorgonia's solvers work on them. Every RunAll runs the whole graph; Reset is accepted and does nothing.
//
// # Which nodes have values
//
// Without [Outputs] and [WithUpdate] every node has its value after a RunAll, interior and gradient nodes too, valid
// until the next RunAll. With either of them only the roots of the graph, what is read by gorgonia.Read, the
// gradients named in [BindDualValues] and the named nodes have one; Value of the others is nil and never stale, and
// [VM.Value] says what to do. The fewer values must leave the device, the more of the graph fuses.
//
// # Which nodes are fed
//
// Every RunAll copies the value of each input node to the device, so that a value may be changed in place or by Let.
// Parameters of WithUpdate are the exception: they live on the device, see there.
//
// # Errors
//
// What a caller does wrong is an error of NewVM or RunAll that names the node, what it was given and what is wanted.
// After an error of RunAll the VM can be used again; node values are then undefined until a RunAll succeeds.
package engine

import (
	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
)

// What an op of another package implements to be compiled, see [Lowerer]: names of package engine/ir. Such a package
// imports engine/ir too, for what it says with them: the kinds of node (ir.Add, ir.Exp, ir.ReduceSum, ...), the element
// types (ir.F64, ...) and the attributes (ir.Trans, ir.Rand, ...).
type (
	// Lowerer is an op that can say itself in the engine's terms. Any gorgonia.Op may implement it.
	Lowerer = ir.Lowerer
	// Builder is what an op says itself to.
	Builder = ir.Builder
	// ID is a node of the engine's representation.
	ID = ir.ID
	// DType is an element type of it.
	DType = ir.DType
	// Kernel is an operation on whole arrays in Go, for what the representation has no word for.
	Kernel = ir.Kernel
	// Effector is a Kernel that does more than computing its result.
	Effector = ir.Effector
	// Hoster is a Kernel that only the host can run.
	Hoster = ir.Hoster
	// Coster is a Kernel that knows its cost.
	Coster = ir.Coster
	// Stager is a Kernel that knows how many of its steps wait for each other on a device.
	Stager = ir.Stager
)

// Devices, as package engine/backend defines them.
type (
	// Device runs programs; see [Open].
	Device = backend.Device
	// Info describes a device.
	Info = backend.Info
)
