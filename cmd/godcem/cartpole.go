package main

import (
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
the closed loop from the hanging pole.

Without flags it trains through DCEM for 1500 updates of 16 states: some minutes on two
cores. --method both trains through the two searches, one after the other, and puts them
side by side.`,
		Example: `  godcem cartpole --method both
  godcem cartpole --method gd --seed 1 --out out/descent
  godcem cartpole --updates 20000 --batch 100
  godcem cartpole --resume`,
		Args: noArguments,
	}
	cmd.Flags().SortFlags = false
	common := run.BindCommon(cmd.Flags(), "out/cartpole")
	device := bindDevice(cmd.Flags())
	run.BindFlags(cmd.Flags(), &c)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := common.Resolve(cmd.Flags(), &c, embed.Kind); err != nil {
			return err
		}
		ctx, stop := run.Interruptible(cmd.Context())
		defer stop()
		summary := cmd.OutOrStdout()
		if common.Quiet {
			summary = io.Discard
		}
		return onDevice(*device, c.Machine, func() error {
			return embed.Run(ctx, c, common.Options("cartpole", &c), summary)
		})
	}
	return cmd
}
