package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// ErrInterrupted is the cause of a context that Ctrl-C or SIGTERM cancelled, and the error a program ends with after it
// saved its state.
var ErrInterrupted = errors.New("interrupted")

// Exit codes of the programs.
const (
	ExitError       = 1
	ExitInterrupted = 130 // 128 + SIGINT, as shells have it; for SIGTERM too
)

// ExitCode returns the exit code for a program's error: 0 for nil, 130 for an interrupted run, else 1.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrInterrupted):
		return ExitInterrupted
	}
	return ExitError
}

// Interruptible returns a context that the first Ctrl-C (SIGINT) or SIGTERM cancels, with the cause ErrInterrupted, so
// that the program can save its state and leave. The second one ends the process at once with exit code 130. stop gives
// the signals back their usual meaning.
func Interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-signals:
				if n > 0 {
					fmt.Fprintln(os.Stderr, "\ninterrupted twice: leaving at once")
					os.Exit(ExitInterrupted)
				}
				fmt.Fprintln(os.Stderr, "\ninterrupted: saving (once more to leave at once)")
				cancel(ErrInterrupted)
			}
		}
	}()
	var once sync.Once
	return ctx, func() {
		once.Do(func() {
			signal.Stop(signals)
			close(done)
			cancel(context.Canceled)
		})
	}
}
