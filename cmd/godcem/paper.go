package main

import (
	"context"
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

The quick preset takes some twenty minutes on two cores, the full one, with the paper's
sizes, days. --resume goes on where it was left.`,
		Example: `  godcem paper
  godcem paper --preset full --out out/full
  godcem paper --resume`,
		Args: noArguments,
	}
	bindProgram(cmd, paper.Kind, "out/paper", &c, &c.Machine, func(ctx context.Context, o run.Options, w io.Writer) error {
		return paper.Run(ctx, c, o, w)
	})
	return cmd
}
