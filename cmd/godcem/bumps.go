package main

import (
	"context"
	"io"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/energy/bumps"
	"github.com/spf13/cobra"
)

func newBumps() *cobra.Command {
	c := bumps.Default()
	cmd := &cobra.Command{
		Use:   "bumps",
		Short: "Find the minimum of a function of the plane with CEM, then move that minimum with DCEM",
		Long: `bumps is the smallest demonstration of the method. Its objective is a tilted plane
with three bumps,

  Z(x, y) = 0.15 x cos y - sum_i a_i exp(-(x-p_i)^2 - (y-q_i)^2),

with 9 parameters: depth a and centre (p, q) of each bump. First vanilla CEM searches
it for its minimum. Then DCEM learns: every update searches the minimum with fresh
noise, compares the answer with the target, and moves the 9 parameters by the gradient
through the whole search (RMSProp), until the minimum lies at the target.

Without flags it is the method's usual demonstration: 50 updates, in which the
loss, the mean squared distance of the answer from (0, 1.25), falls below 0.05 for
about five seeds in six. It takes some seconds, most of them for the animation.`,
		Example: `  godcem bumps
  godcem bumps --seed 3 --updates 100 --target 0.5,-0.5 --out out/elsewhere
  godcem bumps --config out/bumps/config.yaml --out out/again`,
		Args: noArguments,
	}
	bindProgram(cmd, bumps.Kind, "out/bumps", &c, &c.Machine, func(ctx context.Context, o run.Options, w io.Writer) error {
		return bumps.Run(ctx, c, o, w)
	})
	return cmd
}
