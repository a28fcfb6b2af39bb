package main

import (
	"context"
	"io"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/control/mismatch"
	"github.com/spf13/cobra"
)

func newMismatch() *cobra.Command {
	c := mismatch.Default()
	cmd := &cobra.Command{
		Use:   "mismatch",
		Short: "Tune a small net of dynamics through the controller: what fits best does not control best",
		Long: `mismatch fits a net of 16 hidden units to 500 random transitions of a pendulum whose state
has four more numbers that matter to nobody, by likelihood; and then tunes the same net
through the controller, on what its plans cost. The tuned net is the worse model of the
data and the better one to plan with. Half a minute on two cores.`,
		Example: `  godcem mismatch
  godcem mismatch --hidden 64 --irrelevant 8`,
		Args: noArguments,
	}
	bindProgram(cmd, mismatch.Kind, "out/mismatch", &c, &c.Machine, func(ctx context.Context, o run.Options, w io.Writer) error {
		return mismatch.Run(ctx, c, o, w)
	})
	return cmd
}
