// Package nn has what the models are made of: linear layers, multi-layer perceptrons, activations that are stable to
// third derivatives, initialisers, and named parameters that are saved as .npz files.
//
// Everything is a node of a Gorgonia graph, float32 or float64, and can be differentiated again and again (package
// autodiff), as unrolled gradient descent needs:
//
//	net, err := nn.NewMLP(g, nn.MLPConfig{Name: "energy", Sizes: []int{2, 128, 128, 1}, Activation: nn.Softplus, Seed: 1})
//	y, err := net.Forward(x)                                       // x: (rows, 2) -> y: (rows, 1)
//	grads, err := autodiff.Gradients(loss, net.Params().Nodes()...)
//	kernels.OptimizerStep(adam, &state, nn.Values[float32](net.Params()), ...) // updates the parameters in place
package nn
