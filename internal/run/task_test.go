package run

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"testing"
	"time"
)

// walk is a small deterministic task with every kind of state: arrays of both types, a history of growing length, a
// rate that halves on a plateau of its validation score, updates that are skipped. Noise is a function of the step
// alone.
type walk struct {
	pause   time.Duration
	before  func(step int) // called before the update
	w       []float64
	m       []float32
	history []float64
	plateau plateau
}

type plateau struct {
	Rate  float64 `json:"rate"`
	Best  float64 `json:"best"`
	Stale int     `json:"stale"`
}

type walkConfig struct {
	Size  int `json:"size" help:"parameters"`
	Steps int `json:"steps" resume:"free" help:"updates"`
}

func newWalk(c walkConfig) *walk {
	k := &walk{w: make([]float64, c.Size), m: make([]float32, c.Size), plateau: plateau{Rate: 0.1, Best: 1e300}}
	for i := range k.w {
		k.w[i] = math.Sin(float64(i))
	}
	return k
}

func (k *walk) Kind() string      { return "walk" }
func (k *walk) Columns() []string { return []string{"rate", "stale"} }

func (k *walk) Step(ctx context.Context, step int) (StepMetrics, error) {
	if k.before != nil {
		k.before(step)
	}
	if ctx.Err() != nil {
		return StepMetrics{}, ctx.Err()
	}
	time.Sleep(k.pause)
	if step%17 == 0 {
		return StepMetrics{Loss: math.NaN(), GradNorm: math.Inf(1), Skipped: true}, nil
	}
	loss, norm := 0.0, 0.0
	for i := range k.w {
		g := k.w[i] - math.Cos(float64(i*step))
		k.m[i] = 0.9*k.m[i] + float32(g)
		k.w[i] -= k.plateau.Rate * float64(k.m[i])
		loss += g * g
		norm = math.Hypot(norm, g)
	}
	k.history = append(k.history, loss)
	return StepMetrics{Loss: loss, GradNorm: norm, Values: map[string]float64{"rate": k.plateau.Rate}}, nil
}

// Validate scores the distance to a point. It sees the stale count but leaves the schedule to Step.
func (k *walk) Validate(step int) (float64, map[string]float64, error) {
	score := 0.0
	for i := range k.w {
		score += math.Abs(k.w[i] - math.Cos(float64(i)*1.01))
	}
	if step%30 == 0 {
		score = math.NaN() // never the best
	}
	return score / float64(len(k.w)), map[string]float64{"stale": float64(k.plateau.Stale)}, nil
}

func (k *walk) Save(c *Checkpoint) error {
	PutArray(c, "w", k.w)
	PutArray(c, "m", k.m, len(k.m), 1)
	PutArray(c, "history", k.history)
	return c.Put("plateau", k.plateau)
}

func (k *walk) Load(c *Checkpoint) error {
	if err := errors.Join(GetArray(c, "w", k.w), GetArray(c, "m", k.m, len(k.m), 1), c.Get("plateau", &k.plateau)); err != nil {
		return err
	}
	history, _, err := ArrayOf[float64](c, "history")
	k.history = append(k.history[:0], history...)
	return err
}

const childEnv = "GODCEM_RUN_CHILD"

var childConfig = walkConfig{Size: 3001, Steps: 90}

// TestMain lets the test binary run itself as a training program that can be killed: GODCEM_RUN_CHILD names the out
// folder.
func TestMain(m *testing.M) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	err := child(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
	}
	os.Exit(ExitCode(err))
}

func child(dir string) error {
	task := newWalk(childConfig)
	task.pause = 300 * time.Microsecond
	task.before = func(step int) {
		fmt.Println("step", step)
		if os.Getenv("GODCEM_RUN_STUCK") != "" && step == 5 {
			time.Sleep(time.Minute) // deaf to its context
		}
	}
	ctx, stop := Interruptible(context.Background())
	defer stop()
	out, err := Train(ctx, task, Options{Steps: childConfig.Steps, CheckpointEvery: 7, ValidateEvery: 10, LogEvery: 2, Out: dir,
		Resume: os.Getenv("GODCEM_RUN_RESUME") != "", Config: childConfig, Progress: ProgressOptions{Silent: true}})
	if err != nil {
		return err
	}
	return out.Err()
}
