package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/godcem/godcem/internal/live"
	"github.com/godcem/godcem/internal/run"
	"github.com/spf13/cobra"
)

func newServe() *cobra.Command {
	var addr string
	cmd := &cobra.Command{
		Use:   "serve [folder]",
		Short: "Show running and finished experiments in the browser",
		Long: `serve shows the runs in a folder (out, if none is given) and below it in the browser:
loss curves, figures, animations and numbers, from the files that the programs write, while
they write them. It changes nothing, and shows nothing outside of that folder. A training
draws a few figures of the moment some seconds after its start and then now and again, for
at most 3 % of its time, unless it runs with --figures=false.`,
		Example: `  godcem serve
  godcem serve out/cartpole --addr localhost:9000`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("serve takes one folder, got %q", args)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "localhost:8090", "address to listen on; port 0: any that is free")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir := "out"
		if len(args) > 0 {
			dir = args[0]
		}
		s, err := live.New(dir)
		if err != nil {
			return err
		}
		defer s.Close()
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("serve: %w", err)
		}
		ctx, stop := run.Interruptible(cmd.Context())
		defer stop()
		server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
		go func() {
			<-ctx.Done()
			late, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			server.Shutdown(late) // requests that take longer are cut off by the end of the process
		}()
		fmt.Fprintf(cmd.OutOrStdout(), "http://%s shows the runs in %s; Ctrl-C ends it\n", l.Addr(), dir)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
	return cmd
}
