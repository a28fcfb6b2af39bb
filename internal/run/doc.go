// Package run is what every training program shares: configuration from files and flags, checkpoints, metrics.csv,
// result.json, the progress bar, signals, and the training loop that ties them together so that a run killed at any
// moment and resumed ends in the same bits.
//
// A program supplies a config struct and a [Task]; its command reads, in order,
//
//	run.BindFlags(cmd.Flags(), &cfg)                      // when the command is built
//	err := run.Resolve(cmd.Flags(), &cfg, path)           // defaults < config file < flags, or run.ResolveResume
//	ctx, stop := run.Interruptible(cmd.Context())         // first Ctrl-C: save and leave; second: leave
//	out, err := run.Train(ctx, task, run.Options{...})    // checkpoint.gdc, best.gdc, metrics.csv, config.yaml
//	err = run.Finish(dir, run.Result{...}, draw)          // figures, and then result.json
//	os.Exit(run.ExitCode(err))
//
// Errors are one line each and name the file or the flag, what was found there and what was expected.
package run

// Names of the files in a program's out folder.
const (
	CheckpointFile = "checkpoint.gdc" // the newest state
	BestFile       = "best.gdc"       // the state with the lowest validation score so far
	MetricsFile    = "metrics.csv"    // one row per logged step
	ConfigFile     = "config.yaml"    // the configuration, as resolved
	ResultFile     = "result.json"    // the outcome
)
