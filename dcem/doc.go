// Package dcem is the differentiable cross-entropy method (Amos and Yarats, ICML 2020) on Gorgonia graphs.
//
// B independent problems are minimised at once: an objective maps candidates X of shape (B, N, D) to costs of shape
// (B, N). Each of T iterations samples N candidates from a diagonal Gaussian, weighs them by a soft top-k of their
// costs and refits the Gaussian to the weighted samples (equations in doc/equations.md):
//
//	X      = clamp(mu + sigma*eps)                    eps ~ N(0, I)              Sample    (1)
//	v      = f(X), normalised per problem                                        Normalise (2)
//	I      = argmin_y  v'y/tau - H_b(y),  0 < y < 1, sum y = k                   LML       (3)
//	mu'    = sum I X / k                                                         Refit     (4)
//	sigma' = sqrt(sum I (X - mu')^2 / k)
//
// [Unroll] adds the whole solve to a graph, so that gradients flow through it into whatever the objective is made of.
// The same steps are ops of their own, each usable in any Gorgonia graph, in float32 and float64, on the TapeMachine
// and the LispMachine. [Solver] runs the method from Go, one iteration at a time, for planning without gradients.
// [Plan] adds the planning of controls under given or learnt dynamics to a graph, [Controller] plans in closed loop.
// [UnrollGD] is the baseline: gradient descent unrolled over the same objective.
//
// A function that adds to a graph returns an error naming the argument that is wrong. What the mathematics does to
// one problem (too few finite costs, say) is no error: it becomes that problem's [Status].
package dcem
