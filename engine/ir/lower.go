package ir

// A Lowerer is an op of the source graph that can say itself in this representation: package engine asks every
// Gorgonia op that it has no row for. An op of any package may implement it.
//
// Lower appends what computes the op's result from the operands and returns the node of that result, whose shape and
// type are those of the op's node. An error makes the engine run the op on the host.
type Lowerer interface {
	Lower(b *Builder, in []ID) (ID, error)
}
