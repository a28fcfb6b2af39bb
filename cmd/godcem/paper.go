package main

import (
	"io"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/paper"
	"github.com/spf13/cobra"
)

func newPaper() *cobra.Command {
	c := paper.Default()
	cmd := &cobra.Command{
		Use:   "paper",
		Short: "Do the experiments of the method's paper and put their figures into one report",
		Long: `paper does the experiments of Amos and Yarats, The differentiable cross-entropy method
(ICML 2020), one after the other: the regression through DCEM and through gradient
descent, the same with 1 to 10 inner iterations, and the cartpole planned in a latent
space. The figures of all come together in one report; each part also has its own.

The quick preset takes some ten minutes on two cores, the full one, with the paper's
sizes, days. --resume goes on where it was left.`,
		Example: `  godcem paper
  godcem paper --preset full --out out/full
  godcem paper --resume`,
		Args: noArguments,
	}
	cmd.Flags().SortFlags = false
	common := run.BindCommon(cmd.Flags(), "out/paper")
	device := bindDevice(cmd.Flags())
	run.BindFlags(cmd.Flags(), &c)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := common.Resolve(cmd.Flags(), &c, paper.Kind); err != nil {
			return err
		}
		ctx, stop := run.Interruptible(cmd.Context())
		defer stop()
		summary := cmd.OutOrStdout()
		if common.Quiet {
			summary = io.Discard
		}
		return onDevice(*device, c.Machine, func() error {
			return paper.Run(ctx, c, common.Options("", nil), summary)
		})
	}
	return cmd
}
