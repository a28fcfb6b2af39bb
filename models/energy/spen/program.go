package spen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/nn"
)

// ParamsFile is the name of the file that holds the net of the best state, one array each, in the out folder.
const ParamsFile = "params.npz"

// Run is the program: it trains, judges the state with the best validation on rows not seen before, writes
// result.json and params.npz and draws the figures. o says where; its steps and intervals come from c. The summary
// goes to w. All trains three nets one after the other, each in a folder of its own below the out folder, which then
// holds the figures, the report and the result of all. A run that ctx interrupts saves its state and returns
// run.ErrInterrupted.
func Run(ctx context.Context, c Config, o run.Options, w io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if err := run.PrepareOut(o.Out); err != nil {
		return err
	}
	if o.Resume {
		if err := parts.CheckResume(o.Out, c.Method, methodOf, func(method string) any { return c.side(method) }, c.Updates); err != nil {
			return err
		}
	} else if err := parts.Forget(o.Out, c.Method, append([]string{ParamsFile}, allFigures...)...); err != nil {
		return err
	}
	var studies []*study
	var r run.Result
	if c.Method != All {
		s, err := runOne(ctx, c, o)
		if err != nil {
			return err
		}
		studies, r = []*study{s}, s.result()
	} else {
		if err := run.SaveConfig(filepath.Join(o.Out, run.ConfigFile), &c); err != nil {
			return err
		}
		if err := parts.Each(o, func(method string, o run.Options) error {
			s, err := runOne(ctx, *c.side(method), o)
			if err != nil {
				return err
			}
			studies = append(studies, s)
			return run.WriteResult(o.Out, s.result())
		}); err != nil {
			return err
		}
		var err error
		if r, err = parts.Result(o.Out, run.Result{Program: Kind, Config: &c, Seed: c.Seed, Status: run.StatusDone}); err != nil {
			return err
		}
	}
	for _, s := range studies {
		s.summary(w)
	}
	p := &pictures{c: c, dir: o.Out, studies: studies}
	if err := run.Finish(o.Out, r, func() error { return p.show(ctx) }); err != nil || !c.Figures {
		return err
	}
	fmt.Fprintf(w, "figures   %s\n", filepath.Join(o.Out, reportFile))
	return nil
}

// show draws the figures and the report, if there are to be any.
func (p *pictures) show(ctx context.Context) error {
	if !p.c.Figures {
		return nil
	}
	if err := p.draw(ctx); err != nil {
		return err
	}
	return p.report()
}

// parts are the nets of All.
var parts = run.Sides{Kind: Kind, Methods: sides, All: All}

// side is the configuration of one of the nets of All.
func (c Config) side(method string) *Config {
	c.Method = method
	return &c
}

// methodOf is the method of a configuration file.
func methodOf(path string) (string, error) {
	was := Default()
	err := run.LoadConfig(path, &was)
	return was.Method, err
}

// runOne trains one net and judges the outcome, whose result it leaves to be written.
func runOne(ctx context.Context, c Config, o run.Options) (*study, error) {
	task, err := NewTask(c)
	if err != nil {
		return nil, err
	}
	defer task.Close()
	o.Steps, o.CheckpointEvery, o.ValidateEvery, o.Config = c.Updates, c.CheckpointEvery, c.ValidateEvery, &c
	if c.Figures {
		o.Draw = func(int) error { return live(task, c, o.Out) }
	}
	outcome, err := run.Train(ctx, task, o)
	if err != nil {
		return nil, err
	}
	s := &study{c: c, dir: o.Out, outcome: outcome}
	if err := outcome.Err(); err != nil {
		return nil, errors.Join(run.WriteResult(s.dir, s.result()), err)
	}
	if err := s.judge(ctx, task); err != nil {
		return nil, err
	}
	if err := nn.SaveNPZ(filepath.Join(o.Out, ParamsFile), task.Params()); err != nil {
		return nil, err
	}
	return s, nil
}
