// Package mujoco has the tasks cheetah-run and walker-walk of the DeepMind Control Suite (Y. Tassa et al., arXiv
// 1801.00690) on the MuJoCo library itself, as [env.Task]:
//
//	t, err := mujoco.New("cheetah-run", mujoco.Options{})
//	if errors.Is(err, mujoco.ErrNotFound) {
//		// the message says what to do: `make mujoco`
//	}
//
// | task | observation | action | step | episode | reward of a step |
// |---|---|---|---|---|---|
// | cheetah-run | 17: positions without rootx, velocities | 6 torques | 0.01 s | 1000 steps | speed / (10 m/s), in [0, 1] |
// | walker-walk | 24: orientations, height, velocities | 6 torques | 0.025 s | 1000 steps | standing and moving, in [0, 1] |
//
// Episodes are those of dm_control with random=seed: positions, velocities and observations are the same bits,
// rewards too but for the last bit of an exponential in the walker's. A seed beyond 32 bits is RandomState([low,
// high]).
//
// # The library
//
// It is opened at run time, without cgo, and neither linked nor shipped: [Find] says where it is looked for. Only
// exported functions are used and no struct is looked into, since their layouts differ between versions. The versions
// that were tested are accepted; Options.AnyVersion takes others too. What MuJoCo warns of ends an episode with the
// status Failed, and so does what it calls a fatal error: it would end the program, were it not unwound here. Nothing
// is written into the working directory.
//
// The model is shared by all Tasks of a kind, and each has its own state: an [env.Vec] runs them on several threads,
// with the same bits on any number.
package mujoco
