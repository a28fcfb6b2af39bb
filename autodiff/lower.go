package autodiff

import "github.com/godcem/godcem/engine/ir"

var _, _ ir.Lowerer = (*reshapeOp)(nil), (*expandOp)(nil)

// Lower implements ir.Lowerer. The further inputs only order the TapeMachine's work; the engine overwrites nothing
// that is needed.
func (op *reshapeOp) Lower(b *ir.Builder, in []ir.ID) (ir.ID, error) {
	return b.Reshape(in[0], op.to), b.Err()
}

// Lower implements ir.Lowerer.
func (op *expandOp) Lower(b *ir.Builder, in []ir.ID) (ir.ID, error) {
	return b.BroadcastTo(b.Reshape(in[0], op.keep), op.to), b.Err()
}
