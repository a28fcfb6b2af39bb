package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/control/embed"
	"github.com/godcem/godcem/models/energy/bumps"
	"github.com/godcem/godcem/models/energy/regression"
	"github.com/godcem/godcem/models/train"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	G "gorgonia.org/gorgonia"
)

// inspected is a program whose compiled training step can be looked at.
type inspected struct {
	name string
	// bind adds the program's flags; the function returns the step that they describe.
	bind func(*pflag.FlagSet) func() (loss *G.Node, params G.Nodes, o kernels.Optimizer, err error)
}

var inspectable = []inspected{
	{"bumps", func(fs *pflag.FlagSet) func() (*G.Node, G.Nodes, kernels.Optimizer, error) {
		c := bumps.Default()
		run.BindFlags(fs, &c)
		return func() (*G.Node, G.Nodes, kernels.Optimizer, error) { return bumps.StepGraph(c) }
	}},
	{"regression", func(fs *pflag.FlagSet) func() (*G.Node, G.Nodes, kernels.Optimizer, error) {
		c := regression.Default()
		run.BindFlags(fs, &c)
		return func() (*G.Node, G.Nodes, kernels.Optimizer, error) { return regression.StepGraph(c) }
	}},
	{"cartpole", func(fs *pflag.FlagSet) func() (*G.Node, G.Nodes, kernels.Optimizer, error) {
		c := embed.Default()
		run.BindFlags(fs, &c)
		return func() (*G.Node, G.Nodes, kernels.Optimizer, error) { return embed.StepGraph(c) }
	}},
}

// engineFlags are the engine's options that its commands take.
type engineFlags struct {
	budget  int64
	disable []string
}

func (f *engineFlags) bind(fs *pflag.FlagSet) {
	fs.Int64Var(&f.budget, "memory-budget", 0, "bytes of temporary values above which some are computed again; 0: no bound")
	fs.StringSliceVar(&f.disable, "disable", nil, "passes and abilities of the planner to leave out: "+strings.Join(engine.Switches(), ", "))
}

func (f *engineFlags) options(loss *G.Node, params G.Nodes, o kernels.Optimizer) []engine.Option {
	opts := []engine.Option{engine.WithUpdate(o, loss, params...), engine.Disable(f.disable...)}
	if f.budget != 0 {
		opts = append(opts, engine.MemoryBudget(f.budget))
	}
	return opts
}

func newDump() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dump PROGRAM",
		Short: "Print what the engine makes of a program's training step, at any stage from Gorgonia's graph to the steps",
		Long: `dump prints the compiled training step of a program at a stage:

  graph    Gorgonia's graph, a line per node
  ir       the engine's representation of it
  passes   that after every pass that changed it
  plan     the steps as a table
  program  the whole program: buffers with their places, and every step's body

The program's own flags change the step as they do when it runs.`,
		Example: `  godcem dump regression --stage plan
  godcem dump regression --stage program --disable epilogue
  godcem dump bumps --stage ir --iterations 1`,
		Args: cobra.ArbitraryArgs, RunE: programName,
	}
	for _, p := range inspectable {
		stage, flags := "plan", engineFlags{}
		sub := &cobra.Command{Use: p.name, Short: "The training step of " + p.name, Args: noArguments}
		sub.Flags().SortFlags = false
		sub.Flags().StringVar(&stage, "stage", stage, "one of "+strings.Join(engine.DumpStages, ", "))
		flags.bind(sub.Flags())
		graph := p.bind(sub.Flags())
		sub.RunE = func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(engine.DumpStages, stage) {
				return fmt.Errorf("--stage is %q, want one of %s", stage, strings.Join(engine.DumpStages, ", "))
			}
			loss, params, o, err := graph()
			if err != nil {
				return err
			}
			return engine.Dump(cmd.OutOrStdout(), loss.Graph(), stage, flags.options(loss, params, o)...)
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

func newExplain() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain PROGRAM",
		Short: "Say what a program's compiled training step costs: steps, flops, bytes, memory, fallbacks to the host",
		Long: `explain compiles the training step of a program and prints its steps with their shapes,
flops and bytes, what was fused into each, the memory it takes, and which ops fall back
to the host. With --runs it also runs the step and adds measured times. On a GPU, and with
--device null:cuda where there is none, it prints the launches too, the least time
that they could take on an H200, and a model of the time, which has guesses in it.`,
		Example: `  godcem explain regression
  godcem explain regression --runs 20
  godcem explain regression --device null:cuda
  godcem explain bumps --json`,
		Args: cobra.ArbitraryArgs, RunE: programName,
	}
	for _, p := range inspectable {
		var flags engineFlags
		var asJSON bool
		var runs int
		sub := &cobra.Command{Use: p.name, Short: "The training step of " + p.name, Args: noArguments}
		sub.Flags().SortFlags = false
		sub.Flags().BoolVar(&asJSON, "json", false, "print JSON")
		sub.Flags().IntVar(&runs, "runs", 0, "times to run the step and measure its parts")
		device := bindDevice(sub.Flags())
		flags.bind(sub.Flags())
		graph := p.bind(sub.Flags())
		explain := func(cmd *cobra.Command) (err error) {
			loss, params, o, err := graph()
			if err != nil {
				return err
			}
			opts := flags.options(loss, params, o)
			if runs > 0 {
				opts = append(opts, engine.Trace(io.Discard))
			}
			vm, err := engine.NewVM(loss.Graph(), opts...)
			if err != nil {
				return err
			}
			defer func() {
				if e := vm.Close(); err == nil {
					err = e
				}
			}()
			for range runs {
				if err := vm.RunAll(); err != nil {
					return err
				}
			}
			e := vm.Explain()
			if !asJSON {
				_, err = fmt.Fprint(cmd.OutOrStdout(), e)
				return err
			}
			raw, err := e.JSON()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), string(raw))
			return err
		}
		sub.RunE = func(cmd *cobra.Command, _ []string) error {
			if runs < 0 {
				return fmt.Errorf("--runs is %d, want at least 0", runs)
			}
			return onDevice(*device, train.Engine, func() error { return explain(cmd) })
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

// programName is for a command whose subcommands are programs.
func programName(_ *cobra.Command, args []string) error {
	var names []string
	for _, p := range inspectable {
		names = append(names, p.name)
	}
	want := strings.Join(names, " or ")
	if len(args) == 0 {
		return fmt.Errorf("which program: %s?", want)
	}
	return fmt.Errorf("%q is no program to look into, want %s", args[0], want)
}
