package main

import (
	"context"
	"io"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/control/learn"
	"github.com/spf13/cobra"
)

func newLearn(kind string) *cobra.Command {
	c := learn.Default(kind)
	cmd := &cobra.Command{Use: kind, Args: noArguments}
	if kind == learn.Dynamics {
		cmd.Short = "Learn a pendulum's mass and length from an expert's controls, by gradients through the controller"
		cmd.Long = `learn-dynamics shows a learner the controls that an expert's plans for a pendulum ask for,
and nothing else. The learner plans with a mass and a length of its own, by DCEM, and moves
them by the gradient of the distance between the two plans, through the whole search.

With the learner's own noise for the expert it finds both to the last digits. --noise
independent gives the expert noise of its own; --expert hard makes it vanilla CEM.`
		cmd.Example = `  godcem learn-dynamics
  godcem learn-dynamics --start 0.6,1.3
  godcem learn-dynamics --noise independent --samples 1000 --elites 50 --iterations 20 --updates 200 --average 0.5
  godcem learn-dynamics --expert hard`
	} else {
		cmd.Short = "Learn the weights of a pendulum's cost from an expert's controls, by gradients through the controller"
		cmd.Long = `learn-cost shows a learner the controls that an expert's plans for a pendulum ask for, and
nothing else. The learner plans with weights of the cost of its own, by DCEM, and moves
them by the gradient of the distance between the two plans, through the whole search.
Their scale is lost, since no controller sees it.`
		cmd.Example = `  godcem learn-cost
  godcem learn-cost --start 1,3,0.002 --seed 2`
	}
	bindProgram(cmd, kind, "out/"+kind, &c, &c.Machine, func(ctx context.Context, o run.Options, w io.Writer) error {
		return learn.Run(ctx, kind, c, o, w)
	})
	return cmd
}
