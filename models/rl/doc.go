// Package rl learns to control environments from what happens in them.
//
// [PPO] moves the mean of a Gaussian policy, a net's or any other that is built of nodes, by the clipped policy
// gradient (Schulman et al., Proximal policy optimization algorithms, 2017). Environments are [env.Task]; many of
// them run at once, on goroutines, and the noise is a function of seed, step and environment, so that the same seed
// gives the same bits for any number of threads. Every update, gradients, clipping and Adam, is one step of the engine.
//
// Actions are numbers in [-1, 1], which stand for the least and the greatest action of an environment.
package rl
