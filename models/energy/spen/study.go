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

// study is what a finished training has to show, all of it about the state with the best validation.
type study struct {
	c       Config
	dir     string
	outcome run.Outcome
	metrics map[string]float64
	table   *run.Table

	scores Scores      // on the test rows
	pairs  []float64   // (Labels, Labels): how often two labels are predicted together there
	tried  [][]float64 // of the first test row: mu by iteration; nil without a search
	truth  []float32   // its labels
}

// judge puts the task in the best state and evaluates that.
func (s *study) judge(ctx context.Context, task *Task) (err error) {
	if s.table, err = run.ReadMetrics(filepath.Join(s.dir, run.MetricsFile)); err != nil {
		return err
	}
	if s.outcome.BestStep > 0 { // else no score was finite, and the last state must do
		if _, err := run.LoadBest(s.dir, task); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	p, err := task.predict(task.judge, task.test)
	if err != nil {
		return err
	}
	s.scores, s.pairs = Score(p, task.test.Y), together(p)
	on, err := task.predict(task.judge, task.train)
	if err != nil {
		return err
	}
	s.metrics = map[string]float64{
		"updates": float64(s.outcome.Step), "skipped": float64(s.outcome.Skipped), "best_update": float64(s.outcome.BestStep),
		"lost_gradients": float64(task.lostGradients()), "parameters": float64(task.Params().Size()),
		"validation_subset": 1 - s.outcome.BestScore,
		"subset":            s.scores.Subset, "hamming": s.scores.Hamming, "lawful": s.scores.Lawful,
		"train_subset": Score(on, task.train.Y).Subset,
	}
	return s.trace(task)
}

// trace follows the search for the first test row's labels.
func (s *study) trace(task *Task) (err error) {
	if s.c.Method == FeedForward {
		return nil
	}
	one, err := task.newJudge(1, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, one.vm.Close()) }()
	first := Dataset{task.test.X[:Features], task.test.Y[:Labels]}
	if _, err := task.predict(one, first); err != nil {
		return err
	}
	s.truth = first.Y
	for _, n := range one.tried {
		mu, err := nn.Slice[float32](n.Value())
		if err != nil {
			return err
		}
		row := make([]float64, Labels)
		for l := range row {
			row[l] = float64(mu[l])
		}
		s.tried = append(s.tried, row)
	}
	return nil
}

// together counts how often two labels hold at once, as a share of the rows; the diagonal is each by itself.
func together(y []float32) []float64 {
	share := make([]float64, Labels*Labels)
	rows := len(y) / Labels
	for i := range rows {
		row := y[i*Labels : (i+1)*Labels]
		for a, va := range row {
			for b, vb := range row {
				if va > 0.5 && vb > 0.5 {
					share[a*Labels+b] += 1 / float64(rows)
				}
			}
		}
	}
	return share
}

// result is what result.json says; that of an interrupted run has what is known without judging.
func (s *study) result() run.Result {
	r := run.Result{Program: Kind, Config: &s.c, Seed: s.c.Seed, Seconds: s.outcome.Seconds, Status: run.StatusDone,
		Metrics: s.metrics}
	if s.outcome.Interrupted {
		r.Status = run.StatusInterrupted
		r.Metrics = map[string]float64{"updates": float64(s.outcome.Step), "skipped": float64(s.outcome.Skipped)}
		if s.outcome.BestStep > 0 {
			r.Metrics["validation_subset"] = 1 - s.outcome.BestScore
			r.Metrics["best_update"] = float64(s.outcome.BestStep)
		}
	}
	return r
}

// title is the method's name in figures.
func (s *study) title() string {
	switch s.c.Method {
	case GD:
		return "energy network, gradient descent"
	case FeedForward:
		return "feed-forward net"
	}
	return "energy network, DCEM"
}

// summary is the run in a line.
func (s *study) summary(w io.Writer) {
	fmt.Fprintf(w, "%-5s all labels right for %.1f%% of %d rows not seen before, %.2f%% of labels wrong, rules kept by %.1f%%; "+
		"update %d of %d, %.0f s\n", s.c.Method, 100*s.scores.Subset, s.c.TestRows, 100*s.scores.Hamming,
		100*s.scores.Lawful, s.outcome.BestStep, s.outcome.Step, s.outcome.Seconds)
}
