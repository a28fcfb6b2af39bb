// Package regression is the program that learns y = x sin x with an energy model: E(x, y) is a net, the prediction
// for x is what a search over y makes of it, and training differentiates through the search. It is the first
// experiment of the method's paper.
//
// DCEM looks at energies all over y, so that E comes to have its minimum at the data. Gradient descent only ever sees
// the slope on its way from y = 0 and learns barriers that stop it at the data; where the least energy is does not
// matter to it. Both predict well; the share of x at which the least energy lies at the data tells them apart (see
// [MinimumShare]).
//
//	err := regression.Run(ctx, regression.Default(), run.Options{Out: "out/regression"}, os.Stdout)
//
// The searches are eqs. (1) to (6) of doc/equations.md, the energies (7) to (9), the loss (10), the updates (12) and
// (13).
package regression
