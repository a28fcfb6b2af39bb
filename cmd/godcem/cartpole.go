package main

import (
	"context"
	"io"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/control/embed"
	"github.com/spf13/cobra"
)

func newCartpole() *cobra.Command {
	c := embed.Default()
	cmd := &cobra.Command{
		Use:   "cartpole",
		Short: "Plan for a cartpole by search over two latent numbers that a learnt decoder turns into forces",
		Long: `cartpole trains a decoder, a net from two numbers to the forces of a plan, through the
search over these two: by DCEM, or by unrolled gradient descent. The loss is the cost of
the plan that the search ends with, from random initial states.

The best decoder is judged beside the expert, the cross-entropy method over the forces
themselves with ten times the samples, on initial states that it has not seen; and in
closed loops from the hanging pole and from random states.

Without flags it trains through DCEM for 1500 updates of 16 states: some minutes on two
cores. --method both trains through the two searches, one after the other, and puts them
side by side. --preset full takes hours.`,
		Example: `  godcem cartpole --method both
  godcem cartpole --method gd --seed 1 --out out/descent
  godcem cartpole --preset full --out out/cartpole-full
  godcem cartpole --resume`,
		Args: noArguments,
	}
	bindProgram(cmd, embed.Kind, "out/cartpole", &c, &c.Machine, func(ctx context.Context, o run.Options, w io.Writer) error {
		return embed.Run(ctx, c, o, w)
	})
	return cmd
}
