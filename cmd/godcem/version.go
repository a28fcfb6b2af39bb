package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/godcem/godcem/internal/run"
	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of godcem, of Go and of the libraries that decide over numbers and figures",
		Example: "  godcem version",
		Args:    noArguments,
		Run: func(cmd *cobra.Command, _ []string) {
			versions := run.Versions()
			for _, name := range slices.Sorted(maps.Keys(versions)) {
				fmt.Fprintf(cmd.OutOrStdout(), "%-9s %s\n", name, versions[name])
			}
		},
	}
}
