package embed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/godcem/godcem/internal/run"
)

// EvalConfig is the configuration of [Eval].
type EvalConfig struct {
	From     string `json:"from" help:"folder of the training, finished or not; it is only read"`
	States   int    `json:"states" help:"initial states to judge on; 0: as many as the training says"`
	Episodes int    `json:"episodes" help:"closed loops; 0: as many as the training says"`
	Episode  int    `json:"episode" help:"steps of a closed loop; 0: as many as the training says"`
	Answer   string `json:"answer" help:"DCEM: mean or best; empty: what the training says"`
	Machine  string `json:"vm" help:"what runs the graphs: engine or tape; empty: what the training says"`
	Figures  bool   `json:"figures" help:"draw the figures and the report"`
}

// Validate returns an error that names what is missing.
func (e EvalConfig) Validate() error {
	if e.From == "" {
		return errors.New("from is empty, want the folder of a training")
	}
	return nil
}

// Eval judges the best state so far of a training, or of both, beside the experts, without training: it writes
// result.json, the figures and the report to o.Out.
func Eval(ctx context.Context, e EvalConfig, o run.Options, w io.Writer) (err error) {
	if err := e.Validate(); err != nil {
		return err
	}
	c := Default()
	if err := run.LoadConfig(filepath.Join(e.From, run.ConfigFile), &c); err != nil {
		return err
	}
	for _, v := range []struct {
		to    *int
		given int
	}{{&c.States, e.States}, {&c.Episodes, e.Episodes}, {&c.Episode, e.Episode}} {
		if v.given != 0 {
			*v.to = v.given
		}
	}
	if e.Machine != "" {
		c.Machine = e.Machine
	}
	c = c.Filled()
	if e.Answer != "" {
		c.Answer = e.Answer
	}
	c.Figures = e.Figures
	if err := c.Validate(); err != nil {
		return err
	}
	defer func() { err = interruptedBy(ctx, err) }()
	if err := apart(e.From, o.Out); err != nil {
		return err
	}
	if err := run.PrepareOut(o.Out); err != nil {
		return err
	}
	if err := forget(c, o.Out); err != nil {
		return err
	}
	if err := run.SaveConfig(filepath.Join(o.Out, run.ConfigFile), &c); err != nil {
		return err
	}
	experts := &experts{}
	var studies []*study
	var r run.Result
	one := func(c Config, from, out string) error {
		s, err := evalOne(ctx, c, from, out, experts)
		studies = append(studies, s)
		return err
	}
	if c.Method != Both {
		if err = one(c, e.From, o.Out); err == nil {
			r = studies[0].result()
		}
	} else {
		for _, method := range sides {
			out := filepath.Join(o.Out, method)
			if err = os.MkdirAll(out, 0o777); err == nil {
				err = one(*c.side(method), filepath.Join(e.From, method), out)
			}
			if err == nil {
				err = run.WriteResult(out, studies[len(studies)-1].result())
			}
			if err != nil {
				return fmt.Errorf("%s: %w", method, err)
			}
		}
		r, err = parts.Result(o.Out, resultOfBoth(c))
	}
	if err != nil {
		return err
	}
	return finish(ctx, c, o, r, studies, experts, w)
}

// apart returns an error if the two folders are one.
func apart(from, out string) error {
	a, err := os.Stat(from)
	if err != nil {
		return err
	}
	if b, err := os.Stat(out); err == nil && os.SameFile(a, b) {
		return fmt.Errorf("out is %s, want another folder than that of the training", out)
	}
	return nil
}

// evalOne judges the best state of the training in the folder from.
func evalOne(ctx context.Context, c Config, from, out string, experts *experts) (s *study, err error) {
	last, err := run.Load(filepath.Join(from, run.CheckpointFile), Kind)
	if err != nil {
		return nil, err
	}
	s = &study{c: c, dir: from}
	s.outcome.Step = last.Step
	if path := filepath.Join(from, run.BestFile); exists(path) {
		best, err := run.Load(path, Kind)
		if err != nil {
			return nil, err
		}
		s.outcome.BestStep = best.Step
	}
	task, err := NewTask(c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, task.Close()) }()
	if err := task.Load(last); err != nil {
		return nil, err
	}
	if err := experts.plan(ctx, c); err != nil {
		return nil, err
	}
	if err := s.judge(ctx, task, experts); err != nil {
		return nil, err
	}
	s.dir = out
	return s, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
