package main

import (
	"context"
	"io"

	"github.com/godcem/godcem/internal/run"
	"github.com/spf13/cobra"
)

// bindProgram gives a command the flags of a program that writes a folder, and makes f what it does once they are
// resolved into config. kind names it in checkpoints and its progress; out is the folder if none is named. machine is
// where config says what runs the graphs; nil: the program has no choice of a device.
func bindProgram(cmd *cobra.Command, kind, out string, config any, machine *string, f programFunc) {
	bindResolved(cmd, kind, out, config, machine, func(common *run.Common) error {
		return common.Resolve(cmd.Flags(), config, kind)
	}, f)
}

// programFunc does the work of a program.
type programFunc = func(ctx context.Context, o run.Options, summary io.Writer) error

// bindResolved is bindProgram for a program that resolves its configuration in a way of its own.
func bindResolved(cmd *cobra.Command, kind, out string, config any, machine *string, resolve func(*run.Common) error,
	f programFunc) {
	cmd.Flags().SortFlags = false
	common := run.BindCommon(cmd.Flags(), out)
	var device *string
	if machine != nil {
		device = bindDevice(cmd.Flags())
	}
	run.BindFlags(cmd.Flags(), config)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := resolve(common); err != nil {
			return err
		}
		ctx, stop := run.Interruptible(cmd.Context())
		defer stop()
		summary := cmd.OutOrStdout()
		if common.Quiet {
			summary = io.Discard
		}
		do := func() error { return f(ctx, common.Options(kind, config), summary) }
		if machine == nil {
			return do()
		}
		return onDevice(*device, *machine, do)
	}
}
