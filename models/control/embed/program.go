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

// parts are the searches of Both.
var parts = run.Sides{Kind: Kind, Methods: sides, All: Both}

// side is the configuration of one of the searches of Both.
func (c Config) side(method string) *Config {
	c.Method = method
	return &c
}

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
	var r run.Result
	if c.Method != Both {
		s, err := runOne(ctx, c, o, experts)
		if err != nil {
			return err
		}
		studies, r = []*study{s}, s.result()
	} else {
		if err := run.SaveConfig(filepath.Join(o.Out, run.ConfigFile), &c); err != nil {
			return err
		}
		if err := parts.Each(o, func(method string, o run.Options) error {
			s, err := runOne(ctx, *c.side(method), o, experts)
			if err != nil {
				return err
			}
			studies = append(studies, s)
			return run.WriteResult(o.Out, s.result())
		}); err != nil {
			return err
		}
		if r, err = parts.Result(o.Out, resultOfBoth(c)); err != nil {
			return err
		}
	}
	return finish(ctx, c, o, r, studies, experts, w)
}

// interruptedBy is err, or run.ErrInterrupted where that is why: the experts' searches say no more than that their
// context has ended.
func interruptedBy(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) && errors.Is(cause, run.ErrInterrupted) {
		return run.ErrInterrupted
	}
	return err
}

// finish prints the summary, draws the figures of what was judged and writes the result.
func finish(ctx context.Context, c Config, o run.Options, r run.Result, studies []*study, experts *experts,
	w io.Writer) error {
	for _, s := range studies {
		s.summary(w)
	}
	experts.summary(w)
	p := &pictures{c: c, dir: o.Out, studies: studies, experts: experts}
	if err := run.Finish(o.Out, r, func() error { return p.show(ctx, o) }); err != nil || !c.Figures {
		return err
	}
	fmt.Fprintf(w, "figures   %s\n", filepath.Join(o.Out, reportFile))
	return nil
}

// show draws the figures and the report, if there are to be any.
func (p *pictures) show(ctx context.Context, o run.Options) error {
	if !p.c.Figures {
		return nil
	}
	if !o.Progress.Silent {
		fmt.Fprintln(os.Stderr, "drawing the figures ...")
	}
	if err := p.draw(ctx); err != nil {
		return err
	}
	return p.report()
}

// runOne trains through one method and judges the outcome.
func runOne(ctx context.Context, c Config, o run.Options, experts *experts) (s *study, err error) {
	task, err := NewTask(c)
	if err != nil {
		return nil, err
	}
	defer task.Close()
	o.Steps, o.CheckpointEvery, o.ValidateEvery, o.Config = c.Updates, c.CheckpointEvery, c.ValidateEvery, &c
	if c.Figures {
		l := &live{task: task, c: c, dir: o.Out}
		defer func() { err = errors.Join(err, l.close()) }()
		o.Draw = l.draw
	}
	outcome, err := run.Train(ctx, task, o)
	if err != nil {
		return nil, err
	}
	s = &study{c: c, dir: o.Out, outcome: outcome}
	if err := outcome.Err(); err != nil {
		return nil, errors.Join(run.WriteResult(o.Out, s.result()), err)
	}
	if err := experts.plan(ctx, c); err != nil {
		return nil, err
	}
	if err := s.judge(ctx, task, experts); err != nil {
		return nil, err
	}
	return s, nn.SaveNPZ(filepath.Join(o.Out, ParamsFile), task.Params())
}

// checkResume returns an error if the folder holds a run that c does not continue: before anything there is touched.
func checkResume(c Config, dir string) error {
	was := func(path string) (string, error) {
		before := Default()
		err := run.LoadConfig(path, &before)
		return before.Method, err
	}
	return parts.CheckResume(dir, c.Method, was, func(method string) any { return c.side(method) }, c.Updates)
}

// forget removes, before a fresh start, all that an earlier run may have left in the folder.
func forget(c Config, dir string) error {
	return parts.Forget(dir, c.Method, append(allFigures(), ParamsFile)...)
}
