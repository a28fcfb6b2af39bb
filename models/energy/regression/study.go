package regression

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"time"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

// study is what a finished training has to show: all of it about the state with the best validation, unless it says
// "last".
type study struct {
	c       Config
	dir     string
	outcome run.Outcome
	at      int // updates done, of a training that goes on; else 0
	metrics map[string]float64
	table   *run.Table

	y       []float64   // predictions on the noise of validations
	cem     []float64   // the same parameters' predictions with vanilla CEM
	field   viz.Field   // energies over the points and the grid
	tried   [][]float64 // candidates by iteration, (points, candidates) each
	halved  []int       // updates after which the learning rate was halved
	seconds float64     // of judging
}

// freshNoises are how many other noises than the validations' the best state is judged on: it was chosen for doing
// well on that one.
const freshNoises = 4

// judge evaluates the last state, then puts the task in the best one and evaluates that.
func (s *study) judge(task Task) (err error) {
	began := time.Now()
	_, truth := Points(s.c.Points)
	s.halved = task.schedule().Halvings
	s.metrics = map[string]float64{
		"updates": float64(s.outcome.Step), "skipped": float64(s.outcome.Skipped), "halvings": float64(len(s.halved)),
		"lost_gradients": float64(task.lostGradients()), "best_update": float64(s.outcome.BestStep),
		"parameters": float64(task.Params().Size()),
	}
	if s.table, err = run.ReadMetrics(filepath.Join(s.dir, run.MetricsFile)); err != nil {
		return err
	}
	s.metrics["loss"] = lastMean(s.table.Column("loss"), 100)
	if s.metrics["mse_last"], _, s.metrics["minimum_share_last"], err = evaluate(task, truth); err != nil {
		return err
	}
	if s.outcome.BestStep > 0 { // else no score was finite, and the last state must do
		if _, err := run.LoadBest(s.dir, task); err != nil {
			return err
		}
	}
	if s.metrics["mse"], s.field, s.metrics["minimum_share"], err = evaluate(task, truth); err != nil {
		return err
	}
	s.metrics["minima"] = LocalMinima(s.field)
	if s.tried, err = task.Trace(fixedNoise); err != nil {
		return err
	}
	if s.y, err = task.Predict(fixedNoise); err != nil {
		return err
	}
	if err := s.judgeSearch(task, truth); err != nil {
		return err
	}
	s.seconds = time.Since(began).Seconds()
	return nil
}

// evaluate is mean squared error, energies and their MinimumShare.
func evaluate(task Task, truth []float64) (mse float64, f viz.Field, share float64, err error) {
	y, err := task.Predict(fixedNoise)
	if err != nil {
		return 0, f, 0, err
	}
	f, err = task.Energies()
	if err != nil {
		return 0, f, 0, err
	}
	return meanSquare(y, truth), f, MinimumShare(f, truth), nil
}

// judgeSearch tries other noise, and the other methods' searches on the same energy.
func (s *study) judgeSearch(task Task, truth []float64) error {
	if s.c.Method != GD {
		sum := 0.0
		for i := range freshNoises {
			y, err := task.Predict(math.MaxInt64 - uint64(i))
			if err != nil {
				return err
			}
			sum += meanSquare(y, truth)
		}
		s.metrics["mse_fresh"] = sum / freshNoises
	}
	for _, other := range []struct{ method, metric string }{
		{DCEM, "mse_dcem"}, {CEMForward, "mse_cem"}, {GD, "mse_gd"},
	} {
		y := s.y
		if other.method != s.c.Method {
			p, err := task.alternative(other.method)
			if err != nil {
				return err
			}
			y, err = p.predict(fixedNoise)
			if err := errors.Join(err, p.close()); err != nil {
				return err
			}
		}
		if s.metrics[other.metric] = meanSquare(y, truth); other.method == CEMForward {
			s.cem = y
		}
	}
	return nil
}

// lastMean is the mean of the last n finite values.
func lastMean(values []float64, n int) float64 {
	sum, count := 0.0, 0.0
	for i := len(values) - 1; i >= 0 && int(count) < n; i-- {
		if v := values[i]; !math.IsNaN(v) && !math.IsInf(v, 0) {
			sum += v
			count++
		}
	}
	return sum / count
}

// result is what result.json says; that of an interrupted run has what is known without judging.
func (s *study) result() run.Result {
	r := run.Result{
		Program: Kind, Config: &s.c, Seed: s.c.Seed, Seconds: s.outcome.Seconds + s.seconds,
		Status: run.StatusDone, Metrics: s.metrics,
	}
	if s.outcome.Interrupted {
		r.Status = run.StatusInterrupted
		r.Metrics = map[string]float64{"updates": float64(s.outcome.Step), "skipped": float64(s.outcome.Skipped)}
		if s.outcome.BestStep > 0 {
			r.Metrics["mse"], r.Metrics["best_update"] = s.outcome.BestScore, float64(s.outcome.BestStep)
		}
	}
	return r
}

// bothResult is the result of Both from those of its sides.
func bothResult(c Config, dir, status string) (run.Result, error) {
	return parts.Result(dir, run.Result{Program: Kind, Config: &c, Seed: c.Seed, Status: status})
}

// summary is the run in two lines.
func (s *study) summary(w io.Writer) {
	m := s.metrics
	fmt.Fprintf(w, "%-11s mean squared error %.3g at update %.0f of %.0f",
		s.c.Method, m["mse"], m["best_update"], m["updates"])
	if fresh, ok := m["mse_fresh"]; ok {
		fmt.Fprintf(w, " (%.3g on other noise)", fresh)
	}
	fmt.Fprintf(w, ", %.0f s\n%-11s the least energy lies at the data for %.0f%% of x; vanilla CEM on it has %.3g\n",
		s.outcome.Seconds, "", 100*m["minimum_share"], m["mse_cem"])
}
