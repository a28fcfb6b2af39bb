package embed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/nn"
)

// ParamsFile is the name of the file that holds the decoder of the best state, one array each, in the out folder.
const ParamsFile = "params.npz"

// sides are the methods of Both.
var sides = []string{DCEM, GD}

// Run is the program: it trains, judges the state with the best validation beside the experts, writes result.json and
// params.npz and draws the figures. o says where; its steps and intervals come from c. The summary goes to w. Both
// trains two decoders one after the other, each in a folder of its own below the out folder, which then holds the
// figures, the report and the result of both. A run that ctx interrupts saves its state and returns
// run.ErrInterrupted.
func Run(ctx context.Context, c Config, o run.Options, w io.Writer) (err error) {
	if err := c.Validate(); err != nil {
		return err
	}
	c = c.Filled()
	defer func() { err = interruptedBy(ctx, err) }()
	if err := run.PrepareOut(o.Out); err != nil {
		return err
	}
	if o.Resume {
		if err := checkResume(c, o.Out); err != nil {
			return err
		}
	} else if err := forget(c, o.Out); err != nil {
		return err
	}
	experts := &experts{}
	var studies []*study
	if c.Method != Both {
		s, err := runOne(ctx, c, o, experts)
		if err != nil {
			return err
		}
		studies = append(studies, s)
	} else {
		if err := run.SaveConfig(filepath.Join(o.Out, run.ConfigFile), &c); err != nil {
			return err
		}
		for _, method := range sides {
			side, so := c, o
			side.Method, so.Out, so.Progress.Label = method, filepath.Join(o.Out, method), Kind+" "+method
			s, err := runOne(ctx, side, so, experts)
			if errors.Is(err, run.ErrInterrupted) {
				return err
			}
			if err != nil {
				return fmt.Errorf("%s: %w", method, err)
			}
			studies = append(studies, s)
		}
		if err := writeBoth(c, o.Out); err != nil {
			return err
		}
	}
	return show(ctx, c, o, studies, experts, w)
}

// interruptedBy is err, or run.ErrInterrupted where that is why: the experts' searches say no more than that their
// context has ended.
func interruptedBy(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) && errors.Is(cause, run.ErrInterrupted) {
		return run.ErrInterrupted
	}
	return err
}

// show prints the summary and draws the figures of what was judged.
func show(ctx context.Context, c Config, o run.Options, studies []*study, experts *experts, w io.Writer) error {
	for _, s := range studies {
		s.summary(w)
	}
	experts.summary(w)
	if !c.Figures {
		return nil
	}
	if !o.Progress.Silent {
		fmt.Fprintln(os.Stderr, "drawing the figures ...")
	}
	p := &pictures{c: c, dir: o.Out, studies: studies, experts: experts}
	if err := p.draw(ctx); err != nil {
		return err
	}
	if err := p.report(); err != nil {
		return err
	}
	fmt.Fprintf(w, "figures   %s\n", filepath.Join(o.Out, reportFile))
	return nil
}

// runOne trains through one method and judges the outcome.
func runOne(ctx context.Context, c Config, o run.Options, experts *experts) (*study, error) {
	task, err := NewTask(c)
	if err != nil {
		return nil, err
	}
	defer task.Close()
	o.Steps, o.CheckpointEvery, o.ValidateEvery, o.Config = c.Updates, c.CheckpointEvery, c.ValidateEvery, &c
	outcome, err := run.Train(ctx, task, o)
	if err != nil {
		return nil, err
	}
	s := &study{c: c, dir: o.Out, outcome: outcome}
	if err := outcome.Err(); err != nil {
		return nil, errors.Join(s.write(), err)
	}
	if err := experts.plan(ctx, c); err != nil {
		return nil, err
	}
	if err := s.judge(ctx, task, experts); err != nil {
		return nil, err
	}
	if err := nn.SaveNPZ(filepath.Join(o.Out, ParamsFile), task.Params()); err != nil {
		return nil, err
	}
	return s, s.write()
}

// checkResume returns an error if the folder holds a run that c does not continue: before anything there is touched.
func checkResume(c Config, dir string) error {
	path := filepath.Join(dir, run.ConfigFile)
	if _, err := os.Lstat(path); err == nil {
		was := Default()
		if err := run.LoadConfig(path, &was); err != nil {
			return err
		}
		if was.Method != c.Method {
			return fmt.Errorf("%s: method is %q, was %q, and cannot change in a run that is resumed", path,
				c.Method, was.Method)
		}
	}
	if c.Method != Both {
		return nil // run.Train checks the rest
	}
	for _, method := range sides {
		folder := filepath.Join(dir, method)
		if err := run.CheckResume(folder, Kind, c.Updates); err != nil {
			return err
		}
		path := filepath.Join(folder, run.CheckpointFile)
		if _, err := os.Lstat(path); os.IsNotExist(err) {
			continue
		}
		from, err := run.Load(path, Kind)
		if err != nil {
			return err
		}
		side := c
		side.Method = method
		if err := run.SameConfig(from, &side); err != nil {
			return err
		}
	}
	return nil
}

// forget removes, before a fresh start, all that an earlier run may have left in the folder, of one method or of
// Both: its checkpoints first, since a start that is killed or fails here must not be resumed from another run's.
func forget(c Config, dir string) error {
	var names []string
	files := []string{run.CheckpointFile, run.ConfigFile, run.BestFile, run.MetricsFile, run.ResultFile, ParamsFile}
	for _, name := range append(files, allFigures()...) {
		names = append(names, name)
		for _, method := range sides {
			names = append(names, filepath.Join(method, name))
		}
	}
	if err := run.Forget(dir, names...); err != nil {
		return err
	}
	if c.Method != Both {
		for _, method := range sides {
			os.Remove(filepath.Join(dir, method)) // stays if something else is in it
		}
	}
	return nil
}
