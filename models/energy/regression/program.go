package regression

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/nn"
	"github.com/spf13/pflag"
)

// ParamsFile is the name of the file that holds the parameters of the best state, one array each, in the out folder.
const ParamsFile = "params.npz"

// Run is the program: it trains, judges the state with the best validation, writes result.json and params.npz and
// draws the figures. o says where; its steps and intervals come from c. The summary goes to w. Both trains two models
// at a time, each in a folder of its own below the out folder, which then holds the figures, the report and the
// result of both. A run that ctx interrupts saves its state and returns run.ErrInterrupted.
func Run(ctx context.Context, c Config, o run.Options, w io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if err := run.PrepareOut(o.Out); err != nil {
		return err
	}
	if c.Method == Both {
		for _, method := range sides {
			if err := run.PrepareOut(filepath.Join(o.Out, method)); err != nil {
				return err
			}
		}
	}
	if !o.Resume {
		if err := parts.Forget(o.Out, c.Method, ParamsFile, fitFigure, surfaceFigure, slicesFigure, lossFigure, reportFile); err != nil {
			return err
		}
	}
	var studies []*study
	var r run.Result
	if c.Method == Both {
		var err error
		if studies, err = runBoth(ctx, c, o); err != nil {
			return err
		}
		if r, err = bothResult(c, o.Out, run.StatusDone); err != nil {
			return err
		}
	} else {
		s, err := runOne(ctx, c, o, nil)
		if err != nil {
			return err
		}
		studies, r = []*study{s}, s.result()
	}
	for _, s := range studies {
		s.summary(w)
	}
	p := &pictures{c: c, dir: o.Out, studies: studies}
	if err := run.Finish(o.Out, r, func() error { return p.show(ctx, o.Progress.Silent) }); err != nil || !c.Figures {
		return err
	}
	fmt.Fprintf(w, "figures   %s\n", filepath.Join(o.Out, reportFile))
	return nil
}

// show draws the figures and the report, if there are to be any.
func (p *pictures) show(ctx context.Context, silent bool) error {
	if !p.c.Figures {
		return nil
	}
	if !silent {
		fmt.Fprintln(os.Stderr, "drawing the figures ...")
	}
	if err := p.draw(ctx); err != nil {
		return err
	}
	return p.report()
}

// runOne trains through one method and judges the outcome, whose result it leaves to be written. watch, if not nil,
// shows its progress in run.Train's place.
func runOne(ctx context.Context, c Config, o run.Options, watch func(Task) Task) (*study, error) {
	task, err := NewTask(c)
	if err != nil {
		return nil, err
	}
	defer task.Close()
	o.Steps, o.CheckpointEvery, o.ValidateEvery, o.Config = c.Updates, c.CheckpointEvery, c.ValidateEvery, &c
	if c.Figures {
		l := &live{task: task, c: c, dir: o.Out}
		o.Draw = l.draw
	}
	trained := task
	if watch != nil {
		o.Progress.Silent = true
		trained = watch(task)
	}
	outcome, err := run.Train(ctx, trained, o)
	if err != nil {
		return nil, err
	}
	s := &study{c: c, dir: o.Out, outcome: outcome}
	if err := outcome.Err(); err != nil {
		return nil, errors.Join(run.WriteResult(s.dir, s.result()), err)
	}
	if err := s.judge(task); err != nil {
		return nil, err
	}
	if err := nn.SaveNPZ(filepath.Join(o.Out, ParamsFile), task.Params()); err != nil {
		return nil, err
	}
	return s, nil
}

// sides are the methods of Both.
var (
	sides = []string{DCEM, GD}
	parts = run.Sides{Kind: Kind, Methods: sides, All: Both, AtOnce: true}
)

// runBoth trains through both methods at the same time: each has graphs and parameters of its own, and on two cores
// neither alone keeps both busy. If one fails the other is stopped, with its state saved.
func runBoth(ctx context.Context, c Config, o run.Options) ([]*study, error) {
	for _, method := range sides {
		if err := run.CheckResume(filepath.Join(o.Out, method), Kind, c.Updates); o.Resume && err != nil {
			return nil, err
		}
	}
	if err := errors.Join(run.Forget(o.Out, run.ResultFile), run.SaveConfig(filepath.Join(o.Out, run.ConfigFile), &c)); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	b := newBoard(o.Progress)
	studies, errs := make([]*study, len(sides)), make([]error, len(sides))
	var wg sync.WaitGroup
	for i, method := range sides {
		l := b.add(method, c.Updates)
		watch := func(t Task) Task { return &watched{t, b, l} }
		wg.Go(func() {
			side, so := c, o
			side.Method, so.Out = method, filepath.Join(o.Out, method)
			if studies[i], errs[i] = runOne(ctx, side, so, watch); errs[i] == nil {
				errs[i] = run.WriteResult(so.Out, studies[i].result())
			}
			if errs[i] != nil && !errors.Is(errs[i], run.ErrInterrupted) {
				errs[i] = fmt.Errorf("%s: %w", method, errs[i])
				stop(errs[i])
			}
		})
	}
	wg.Wait()
	b.finish()
	for _, err := range errs {
		if err != nil && !errors.Is(err, run.ErrInterrupted) {
			return nil, err
		}
	}
	if err := errors.Join(errs...); err != nil {
		if !o.Progress.Silent {
			fmt.Fprintf(os.Stderr, "interrupted: saved in %s, resume continues\n", o.Out)
		}
		r, err := bothResult(c, o.Out, run.StatusInterrupted)
		if err == nil {
			err = run.WriteResult(o.Out, r)
		}
		return nil, errors.Join(err, run.ErrInterrupted)
	}
	return studies, nil
}

// Resolve gives c its final values after fs was parsed, as run.Common.Resolve does; a run of Both that is resumed has
// its checkpoints, which know its configuration, in the folders of its two sides.
func Resolve(fs *pflag.FlagSet, common *run.Common, c *Config) error {
	if !common.Resume {
		return common.Resolve(fs, c, Kind)
	}
	// config.yaml tells which of the two it was. Where it is gone, checkpoints in the sides' folders do.
	was := Config{Method: Both}
	path := filepath.Join(common.Out, run.ConfigFile)
	if _, err := os.Lstat(path); err == nil {
		was = Default()
		if err := run.LoadConfig(path, &was); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(filepath.Join(common.Out, run.CheckpointFile)); err == nil || was.Method != Both {
		return common.Resolve(fs, c, Kind)
	}
	for _, method := range sides {
		path := filepath.Join(common.Out, method, run.CheckpointFile)
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		from, err := run.Load(path, Kind)
		if err != nil {
			return err
		}
		return resolveSide(fs, common, c, from)
	}
	return common.Resolve(fs, c, Kind)
}

// resolveSide resolves the configuration of Both from a checkpoint of one side.
func resolveSide(fs *pflag.FlagSet, common *run.Common, c *Config, from *run.Checkpoint) error {
	if len(from.Config) > 0 {
		was := Default()
		if err := run.DecodeConfig(from.Config, &was); err != nil {
			return err
		}
		was.Method = Both
		raw, err := run.EncodeConfig(was)
		if err != nil {
			return err
		}
		from.Config = raw
	}
	return run.ResolveResume(fs, c, common.Config, from)
}
