package main

import (
	"context"
	"io"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/energy/regression"
	"github.com/spf13/cobra"
)

func newRegression() *cobra.Command {
	c := regression.Default()
	cmd := &cobra.Command{
		Use:   "regression",
		Short: "Learn y = x sin x with an energy E(x, y) whose minimiser over y predicts, through DCEM or gradient descent",
		Long: `regression is the first experiment of the method's paper. A net E(x, y) is an energy;
the prediction for x is what a search over y makes of it; training changes the net by
the gradient of the prediction's squared error, through the whole search. Each update
learns from one random point of 100, with fresh noise.

Searched by DCEM, the energy comes to have its minimum at the data. Searched by gradient
descent from y = 0, it learns slopes and barriers that bring the descent to the data,
while its minimum lies elsewhere. Both predict well; the figures, and the share of the x
at which the least energy lies at the data (minimum_share), tell them apart.

Without flags it trains through DCEM in the paper's setting, for 5000 updates where the
paper has 100,000: some two minutes on two cores. --method both trains through the two
searches at the same time and puts them side by side.`,
		Example: `  godcem regression --method both
  godcem regression --method gd --seed 3 --out out/descent
  godcem regression --model icnn --hidden 64,64 --updates 2000
  godcem regression --config out/regression/config.yaml --out out/again
  godcem regression --resume`,
		Args: noArguments,
	}
	resolve := func(common *run.Common) error { return regression.Resolve(cmd.Flags(), common, &c) }
	bindResolved(cmd, regression.Kind, "out/regression", &c, &c.Machine, resolve,
		func(ctx context.Context, o run.Options, w io.Writer) error { return regression.Run(ctx, c, o, w) })
	return cmd
}
