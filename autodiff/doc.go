// Package autodiff differentiates Gorgonia graphs: with respect to any node, to any order, any number of times.
//
//	grads, err := autodiff.Gradients(energy, y)     // dE/dy as a node
//	y2 := y - rate*grads[0]                         // gorgonia.Sub, gorgonia.Mul
//	meta, err := autodiff.Gradients(loss(y2), w)    // through the step: second derivatives of E
//
// gorgonia.Grad cannot do that: it takes input nodes only and leaves marks on the nodes that it has passed.
//
// # Method
//
// Reverse mode. From the outs, through the inputs whose ops have a derivative (DiffWRT), the nodes that lie between
// wrt and outs are collected; from the last to the first each one's op turns the gradient of the node into
// contributions to the gradients of its inputs (SymDiff), which are summed by Add. The nodes need no sorting:
// Gorgonia numbers them in the order of their making. Nothing recurses, and the time is proportional to the number of
// nodes between wrt and outs plus one look at each node of the graph.
//
// SymDiff is not called on the graph itself but in one apart, and the expressions wanted are copied over: see
// transplant. Where SymDiff or DiffWRT is wrong in Gorgonia v0.9.18, or of no use for second derivatives, there is a
// rule of our own: see overrides and README.md. Ops that are none of Gorgonia's are taken at their word. What comes
// back is checked: the number of gradients, their shapes and types.
//
// # What Gorgonia does to correct graphs
//
// The TapeMachine computes wrong values for some graphs without saying so. Gradients are protected from it, [Check]
// reports the rest, and [Reshape] and [Expand] are there to build without it: README.md.
package autodiff
