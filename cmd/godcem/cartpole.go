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

Without flags it trains through DCEM for 1500 updates of 16 states: ten minutes on two
cores. --method both trains through the two searches, one after the other, and puts them
side by side. --preset full takes a quarter of an hour or more: there a search ends with the
best plan of all that it has tried, and updates learn from that one.`,
		Example: `  godcem cartpole --method both
  godcem cartpole --method gd --seed 1 --out out/descent
  godcem cartpole --preset full --out out/cartpole-full
  godcem cartpole --resume`,
		Args: noArguments,
	}
	bindProgram(cmd, embed.Kind, "out/cartpole", &c, &c.Machine, func(ctx context.Context, o run.Options, w io.Writer) error {
		return embed.Run(ctx, c, o, w)
	})
	cmd.AddCommand(newCartpoleEval())
	return cmd
}

func newCartpoleEval() *cobra.Command {
	e := embed.EvalConfig{From: "out/cartpole", Figures: true}
	cmd := &cobra.Command{
		Use:   "eval",
		Short: "Judge the best decoder of a training beside the expert, without training",
		Long: `eval takes the best decoder so far of a training, be it finished, interrupted or under
way, plans with it from states that no training has seen and in closed loops, beside the
expert, and draws the figures and the report. The folder of the training is only read.`,
		Example: `  godcem cartpole eval
  godcem cartpole eval --answer best --out out/cartpole-best
  godcem cartpole eval --from out/cartpole-full --states 1000 --episodes 50`,
		Args: noArguments,
	}
	cmd.Flags().SortFlags = false
	out := cmd.Flags().StringP("out", "o", "out/cartpole-eval", "folder for the results; a fresh call replaces earlier ones there")
	quiet := cmd.Flags().BoolP("quiet", "q", false, "show no progress and no summary")
	device := bindDevice(cmd.Flags())
	run.BindFlags(cmd.Flags(), &e)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := run.Resolve(cmd.Flags(), &e, ""); err != nil {
			return err
		}
		ctx, stop := run.Interruptible(cmd.Context())
		defer stop()
		summary := cmd.OutOrStdout()
		if *quiet {
			summary = io.Discard
		}
		return onDevice(*device, e.Machine, func() error {
			return embed.Eval(ctx, e, run.Options{Out: *out, Progress: run.ProgressOptions{Silent: *quiet}}, summary)
		})
	}
	return cmd
}
