// Package rl learns to control environments from what happens in them.
//
// [PPO] moves the mean of a Gaussian policy, a net's or any other that is built of nodes, by the clipped policy gradient
// (Schulman et al., Proximal policy optimization algorithms, 2017).
//
// [Agent] learns an [RSSM], a recurrent state-space model (Hafner et al., Learning latent dynamics for planning from
// pixels, 2019), of what it collects by planning in it: by the cross-entropy method over all actions, or by DCEM over a
// latent space whose decoder is learnt with it, through the search (Amos and Yarats, The differentiable cross-entropy
// method, 2020, section 5.3). [Agent.FineTune] makes that controller the policy of PPO: the gradient of an action's
// log-probability goes through the search into the decoder, the reward and the transition.
//
// Environments are [env.Task]; [Worlds] runs many at once, and the noise is a function of seed, step and environment, so
// that the same seed gives the same bits for any number of threads. Actions are numbers in [-1, 1], which stand for the
// least and the greatest action. Every update, gradients, clipping and Adam, is one step of the engine without an op on
// the host. What an agent collects lies in a [Replay], on the disk before it is learnt from.
//
// A [Program] is a training with its settings, files and report.
package rl
