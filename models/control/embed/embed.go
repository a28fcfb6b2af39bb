// Package embed is the program that plans for a cartpole in a learnt latent space. A decoder, a net from two numbers
// z to the H controls of a plan, is trained so that a search over z in [-1, 1]^2, by DCEM or by unrolled gradient
// descent, ends at a z whose controls cost little: the loss is the cost of the rollout that the found controls lead
// to, and its gradient goes through all of the search. It is the embedded control experiment of the method's paper.
//
// What the decoder has not learnt to say no search over z can find, so that two dimensions and 100 samples do the
// work of the 20 dimensions and 1000 samples of the expert, the cross-entropy method over the controls themselves.
//
//	err := embed.Run(ctx, embed.Default(), run.Options{Out: "out/cartpole"}, os.Stdout)
//
// The searches are eqs. (1) to (6) of doc/equations.md, the updates (12) and (13).
package embed
