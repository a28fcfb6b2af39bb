package main

import (
	"errors"
	"fmt"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/control/learn"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:     "godcem",
		Version: run.Versions()["godcem"],
		Short:   "The differentiable cross-entropy method: an optimiser inside of a model, with gradients through it",
		Long: `godcem trains and shows models that have an optimiser inside: the differentiable
cross-entropy method (DCEM), a search by sampling whose answer can be differentiated
with respect to everything that the objective is made of.

Each program writes a folder: report.html with the figures and an explanation,
result.json with the numbers, metrics.csv, the configuration, and checkpoints from
which --resume continues bit for bit. Ctrl-C saves and leaves.`,
		Example: `  godcem bumps                    # a minimal demonstration, some seconds
  godcem regression --method both # the method against gradient descent, some minutes
  godcem help regression          # what it shows, and its settings
  godcem devices                  # what there is to run on`,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newBumps(), newRegression(), newSPEN(), newCartpole(), newPendulum(), newMPC(),
		newLearn(learn.Dynamics), newLearn(learn.Cost), newMismatch(), newRL(), newPaper(),
		newServe(), newDump(), newExplain(), newDevices(), newDoctor(), newVersion())
	root.SetHelpCommand(&cobra.Command{
		Use:     "help [command]",
		Short:   "Show the help of a command",
		Example: "  godcem help bumps",
		RunE: func(_ *cobra.Command, args []string) error {
			target, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(root, args)
			}
			return target.Help()
		},
	})
	return root
}

// noArguments refuses arguments that are no flags.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes flags alone, got %q", cmd.Name(), args[0])
	}
	return nil
}

// unknownCommand refuses arguments that are no command, with the closest one that is.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if near := run.Suggest(args[0], names); near != "" {
		return fmt.Errorf("unknown command %q, did you mean %q?", args[0], near)
	}
	return fmt.Errorf("unknown command %q, see godcem --help", args[0])
}

// flagError names the flag and what it wants, once, and adds the closest flag to an unknown one's error.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		flag := invalid.GetFlag()
		if flag.Value.Type() == "bool" { // pflag's own: the cause speaks of a Go function
			return fmt.Errorf("--%s: got %q, want true or false", flag.Name, invalid.GetValue())
		}
		return fmt.Errorf("--%s: %w", flag.Name, invalid.Unwrap())
	}
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := run.Suggest(missing.GetSpecifiedName(), names); near != "" {
		return fmt.Errorf("%s, did you mean --%s?", err, near)
	}
	return fmt.Errorf("%s, see %s --help", err, cmd.CommandPath())
}
