package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/env/mujoco"
	"github.com/godcem/godcem/models/rl"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newRL() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rl",
		Short: "Reinforcement learning: learnt models, planners in them, and PPO through the planner",
		Long: `rl learns to control an environment from what happens in it, in three stages that are
programs of their own:

  train     a recurrent model of the environment; the cross-entropy method plans in it
  embed     a model and with it a decoder from a few latent numbers to plans, learnt
            through DCEM, which searches these numbers
  finetune  PPO whose policy is the controller of embed: gradients go through its search

ppo is the baseline, PPO on a net; eval judges the best state of a run on new episodes; cost
says how long the whole of a preset takes here.
cheetah-run and walker-walk need MuJoCo (make mujoco); cartpole and pendulum need nothing.`,
		Example: `  godcem rl ppo --env pendulum
  godcem rl embed --env cartpole --out out/rl/embed
  godcem rl finetune --env cartpole --from out/rl/embed
  godcem rl eval out/rl/finetune --episodes 100`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, p := range []struct {
		program rl.Program
		short   string
		long    string
	}{
		{rl.TrainProgram, "Learn a model and plan in it by the cross-entropy method",
			"train collects episodes by planning in the model that it learns from them, by the\ncross-entropy method over all actions of the horizon. Collection and learning overlap."},
		{rl.EmbedProgram, "Learn a model and a decoder of plans, and plan by DCEM over its latent space",
			"embed does as train does, with DCEM over a latent space for a planner. The decoder from\nthere to the actions is learnt online, through the search. With --begin it goes on with the\nmodel and the episodes of a run of train; cheetah and walker are not learnt without that."},
		{rl.FineTuneProgram, "Fine-tune the controller of embed by PPO, through its search",
			"finetune takes the best state of a run of embed and moves decoder, reward and transition,\nof which any can be frozen, by PPO: its policy is the first action of the plan that DCEM\nfinds, with noise."},
		{rl.PPOProgram, "The baseline: PPO on a net from observations to actions",
			"ppo is proximal policy optimisation on two nets of tanh units, policy and value.\nThe pendulum is solved in half a minute on two idle cores."},
	} {
		cmd.AddCommand(rlProgram(p.program, p.short, p.long))
	}
	cmd.AddCommand(rlEval(), rlCost())
	return cmd
}

func rlCost() *cobra.Command {
	c := rl.DefaultSettings()
	c.Env, c.Preset = "cheetah-run", rl.Paper
	cmd := &cobra.Command{
		Use:   "cost",
		Short: "Measure single steps of the trainings, and say how long the whole of them takes",
		Long: `cost measures updates and decisions of train, embed and finetune with the sizes of a preset,
on this machine, and counts how many of them a whole training has. MuJoCo is not needed: the
simulation itself is a small part of it and left out.`,
		Example: "  godcem rl cost --env cheetah-run --preset paper",
		Args:    noArguments,
	}
	cmd.Flags().StringVar(&c.Env, "env", c.Env, "cartpole, pendulum, cheetah-run or walker-walk")
	cmd.Flags().StringVar(&c.Preset, "preset", c.Preset, "quick, day or paper")
	device := bindDevice(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := run.Interruptible(cmd.Context())
		defer stop()
		return onDevice(*device, "engine", func() error {
			all, err := rl.Costs(ctx, c, mujocoTask)
			if err != nil {
				return err
			}
			return rl.PrintCosts(cmd.OutOrStdout(), all)
		})
	}
	return cmd
}

func rlProgram(p rl.Program, short, long string) *cobra.Command {
	c := rl.DefaultSettings()
	p.Tasks = mujocoTask
	cmd := &cobra.Command{Use: p.Name, Short: short, Long: long, Args: noArguments,
		Example: "  godcem rl " + p.Name + " --env cartpole --seed 1\n  godcem rl " + p.Name + " --resume"}
	bindResolved(cmd, p.Kind, "out/rl/"+p.Name, &c, &c.Machine, func(common *run.Common) error {
		return resolveRL(cmd.Flags(), common, p, &c)
	}, func(ctx context.Context, o run.Options, w io.Writer) error {
		return p.Run(ctx, c, o, w)
	})
	return cmd
}

// resolveRL gives the settings of the run that is resumed, or of the preset, in the place of all that file and flags do
// not say: what they say is 0 or false stays that.
func resolveRL(fs *pflag.FlagSet, common *run.Common, p rl.Program, c *rl.Settings) error {
	if err := run.Resolve(fs, c, common.Config); err != nil {
		return err
	}
	d, err := p.Defaults(*c, run.Options{Out: common.Out, Resume: common.Resume})
	if err != nil {
		return err
	}
	*c = d
	return run.Resolve(fs, c, common.Config)
}

func rlEval() *cobra.Command {
	episodes, seed, planner := 100, uint64(0), ""
	cmd := &cobra.Command{
		Use:     "eval FOLDER",
		Short:   "Judge the best state of a run on new episodes",
		Long:    "eval runs episodes side by side with the best state of a run of train, embed, finetune or\nppo, without noise on the actions, and prints their returns.",
		Example: "  godcem rl eval out/rl/ppo --episodes 20",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("eval takes the folder of a run, got %q", args)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&episodes, "episodes", episodes, "episodes")
	cmd.Flags().Uint64Var(&seed, "seed", seed, "seed of the episodes")
	cmd.Flags().StringVar(&planner, "planner", planner, "cem: plan by the full cross-entropy method in the run's model; empty: as the run does")
	device := bindDevice(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := run.Interruptible(cmd.Context())
		defer stop()
		return onDevice(*device, "engine", func() error {
			r, err := rl.Evaluation(ctx, args[0], episodes, seed, planner, mujocoTask)
			if err != nil {
				return err
			}
			q := r.Quartiles()
			if r.Planned() {
				fmt.Fprintf(cmd.OutOrStdout(), "a plan is worth %.4g by the model, on average, and %.4g came in its time\n",
					r.Promised, r.Kept)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d episodes of %d steps in all, %d ended by faults\nmean return %.4g; least %.4g, "+
				"quartiles %.4g %.4g %.4g, most %.4g\n", len(r.Each), r.Steps, r.Faults, r.Mean(), q[0], q[1], q[2], q[3], q[4])
			return err
		})
	}
	return cmd
}

// mujocoTask is an environment of MuJoCo.
func mujocoTask(name string) (env.Task, error) {
	if !slices.Contains(mujoco.Names(), name) {
		return nil, fmt.Errorf("env is %q, want cartpole, pendulum or one of %q", name, mujoco.Names())
	}
	return mujoco.New(name, mujoco.Options{})
}
