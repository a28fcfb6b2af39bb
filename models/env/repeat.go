package env

import (
	"errors"
	"fmt"
)

// Repeat is t with every action held for n of its steps, whose rewards are summed up: control at a lower rate. The
// episode keeps its duration, so that its last step is shorter where n does not divide Task.Steps. It takes t over:
// closing it closes t.
func Repeat(t Task, n int) (Task, error) {
	if t == nil {
		return nil, errors.New("env: actions of nil repeated, want a Task")
	}
	if n < 1 {
		return nil, fmt.Errorf("env: %s: actions repeated %d times, want at least 1", t.Name(), n)
	}
	if n == 1 {
		return t, nil
	}
	return held{t, n}, nil
}

// held is a Task whose actions are held for n steps.
type held struct {
	Task
	n int
}

func (h held) Steps() int  { return (h.Task.Steps() + h.n - 1) / h.n }
func (h held) Dt() float64 { return float64(h.n) * h.Task.Dt() }

func (h held) Step(action, obs []float64) (sum float64, s Status, err error) {
	for range h.n {
		var r float64
		r, s, err = h.Task.Step(action, obs)
		sum += r
		if err != nil || s.Over() {
			break
		}
	}
	return sum, s, err
}
