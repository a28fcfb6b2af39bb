// Command godcem runs the programs of this repository: `godcem help` lists them.
//
// It exits with 0 after success, 130 if it was interrupted, else 1 after one line on stderr that says what is wrong.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/godcem/godcem/internal/run"
)

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }

// execute runs the program with the given arguments and returns its exit code.
func execute(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	if err != nil {
		fmt.Fprintf(stderr, "godcem: %s\n", oneLine(err))
	}
	return run.ExitCode(err)
}

// oneLine is the error's text without line breaks.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
