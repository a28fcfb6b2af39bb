// Package env has controlled systems to plan for: their dynamics and costs as graph nodes and in plain Go, rollouts
// of them, and pictures.
//
// [Cartpole], [Pendulum] and [DoubleIntegrator] implement [Env]; [ByName] finds them. [Rollout] adds H steps of one
// to a Gorgonia graph, differentiable with respect to the initial state, the controls and every parameter (masses,
// lengths, gravity, weights of the cost); package engine makes one loop of it. [RolloutGo] and [Simulator] do the
// same in plain Go, to simulate and to plan without gradients. [With] gives an Env other defaults: a plant that
// differs from its model, or another task.
//
// [Task] is an environment as reinforcement learning takes it, in episodes: [NewEpisodes] makes one of an Env,
// [TaskByName] finds cartpole and the gym's pendulum, package mujoco has cheetah and walker; [Vec] runs many.
//
// # Adding an environment
//
// An environment is one file with one type that implements Env. Dynamics and cost are written twice, first with a
// [Builder], which has the elements of state and control, the parameters, and arithmetic for a whole batch:
//
//	func (e Spring) Step(x, u *G.Node, p ParamNodes) (*G.Node, error) {
//		b := Build(e, x, u, p)
//		dt := b.Const(e.Dt())
//		force := b.Sub(b.Clamped(0), b.Mul(b.P("stiffness"), b.X(0)))
//		v := b.Add(b.X(1), b.Mul(dt, b.Div(force, b.P("mass"))))
//		return b.State(b.Add(b.X(0), b.Mul(dt, v)), v)
//	}
//
// and then with numbers:
//
//	func (e Spring) StepGo(next, x, u, params []float64) {
//		if params == nil {
//			params = springDefaults
//		}
//		v := x[1] + e.Dt()*(Clamp(u[0], -1, 1)-params[1]*x[0])/params[0]
//		next[0], next[1] = x[0]+e.Dt()*v, v
//	}
//
// The example of Env has the whole file. Any nodes will do in the place of a Builder's, a net's too; but with
// elementwise ops alone the engine makes one loop of a rollout. The rest is names, bounds, a random start and a
// picture. An Env outside of this package is complete with that. One in it also goes into the table in env.go, and
// then every test here runs over it: graph against plain Go in both types on both machines, first and second gradients
// against finite differences, blow-ups, pictures, and the number of loops. What only it has (energies, symmetries,
// golden files) it tests itself.
package env
