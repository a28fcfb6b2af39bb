package main

import (
	"context"
	"io"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/control/mpc"
	"github.com/godcem/godcem/models/train"
	"github.com/spf13/cobra"
)

// engineAlone is what runs the plans of these programs.
var engineAlone = train.Engine

func newMPC() *cobra.Command {
	c := mpc.Default()
	cmd := &cobra.Command{
		Use:   "mpc",
		Short: "Control a system in closed loop: a plan by the cross-entropy method at every step",
		Long: `mpc controls one of the environments in closed loop. At every step it plans some steps
ahead by the cross-entropy method (or, with a temperature, by DCEM), carries the first
control out, and starts the next plan from what is left of this one.

It writes trajectory.csv (time, state, control), the time that each plan took as a
histogram, the sensitivity of the first plan to every parameter, and the closed loop as an
animation. What is controlled may differ from what the planner believes in (--plant
mass=1.3), and it may believe in many models at once (--ensemble 16 --risk worst).

An episode that was interrupted goes on with --resume, and with more --steps so does one
that was finished.`,
		Example: `  godcem mpc
  godcem mpc --env cartpole --samples 1000 --elites 100 --iterations 10
  godcem mpc --env doubleintegrator --horizon 30 --colour 2 --keep-elites 5
  godcem mpc --env pendulum --plant mass=1.3,length=0.9
  godcem mpc --env pendulum --plant mass=1.3 --ensemble 16 --spread 0.2 --risk cvar
  godcem mpc --resume --steps 400`,
		Args: noArguments,
	}
	bindProgram(cmd, mpc.Kind, "out/mpc", &c, &engineAlone, func(ctx context.Context, o run.Options, w io.Writer) error {
		return mpc.Run(ctx, c, o, w)
	})
	return cmd
}

func newPendulum() *cobra.Command {
	c := mpc.DefaultSwingUp()
	cmd := &cobra.Command{
		Use:   "pendulum",
		Short: "Swing pendulums up from hanging, by plans of a second",
		Long: `pendulum swings pendulums up whose torque is too weak to lift them, by model predictive
control with vanilla CEM; and shows a cost with which the same planner leaves them
hanging. Some seconds on two cores.`,
		Example: `  godcem pendulum
  godcem pendulum --episodes 100 --samples 100`,
		Args: noArguments,
	}
	bindProgram(cmd, mpc.SwingUpKind, "out/pendulum", &c, &engineAlone, func(ctx context.Context, o run.Options, w io.Writer) error {
		return mpc.RunSwingUp(ctx, c, o, w)
	})
	return cmd
}
