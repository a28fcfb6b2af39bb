package main

import (
	"context"
	"io"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/energy/spen"
	"github.com/spf13/cobra"
)

func newSPEN() *cobra.Command {
	c := spen.Default()
	cmd := &cobra.Command{
		Use:   "spen",
		Short: "Predict labels that depend on each other with an energy over all of them, trained through DCEM",
		Long: `spen trains a structured prediction energy network: an energy E(x, y) over 16 labels y
in [0, 1], whose least y is the prediction for x. The labels follow rules that nobody
tells the net: exactly four hold, and some exclude each other.

It is trained through DCEM and through unrolled gradient descent, beside a feed-forward
net of as many parameters that predicts each label by itself. What counts is the share
of rows with every label right.

Without flags all three are trained, one after the other: a minute or two on two cores.`,
		Example: `  godcem spen
  godcem spen --method dcem --seed 2 --samples 200
  godcem spen --resume`,
		Args: noArguments,
	}
	bindProgram(cmd, spen.Kind, "out/spen", &c, &c.Machine, func(ctx context.Context, o run.Options, w io.Writer) error {
		return spen.Run(ctx, c, o, w)
	})
	return cmd
}
