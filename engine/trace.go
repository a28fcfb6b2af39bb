package engine

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/godcem/godcem/engine/plan"
)

// A tracer writes the time of every step as trace events, and sums it for Explain.
type tracer struct {
	w      *bufio.Writer
	err    error
	origin time.Time
	began  time.Time // of the run
	last   time.Time // end of the step before
	events int
	runs   int
	// heads are the steps' events up to the times.
	heads [][]byte
	steps []Cost
}

// A Cost is a time that was measured with Trace.
type Cost struct {
	Count   int     `json:"count"`
	Seconds float64 `json:"seconds"` // in all
	Least   float64 `json:"least"`   // of one: the mean of few is what else the machine did
}

// Mean is the time of one.
func (c Cost) Mean() float64 {
	if c.Count == 0 {
		return 0
	}
	return c.Seconds / float64(c.Count)
}

func (c *Cost) add(seconds float64) {
	if c.Count == 0 || seconds < c.Least {
		c.Least = seconds
	}
	c.Count++
	c.Seconds += seconds
}

func newTracer(w io.Writer, vm *VM) *tracer {
	t := &tracer{w: bufio.NewWriter(w), origin: time.Now()}
	t.write([]byte("["))
	process := map[string]any{"name": "godcem " + vm.device.Info().Name}
	t.head(map[string]any{"name": "process_name", "ph": "M", "pid": 1, "args": process}, true)
	t.program(vm.program)
	return t
}

// program makes p the program whose steps follow.
func (t *tracer) program(p *plan.Program) {
	t.heads, t.steps = nil, make([]Cost, len(p.Steps))
	for i := range p.Steps {
		s := &p.Steps[i]
		args := map[string]any{"step": i, "flops": s.Flops, "bytes": s.Bytes, "nodes": len(s.Nodes)}
		if s.Again {
			args["again"] = true
		}
		event := map[string]any{"name": s.Name, "cat": kindOf(s), "ph": "X", "pid": 1, "tid": 1, "args": args}
		t.heads = append(t.heads, t.head(event, false))
	}
}

// head encodes an event, without its closing brace unless it is complete, which is then written.
func (t *tracer) head(event map[string]any, complete bool) []byte {
	b, err := json.Marshal(event)
	if err != nil && t.err == nil {
		t.err = err
	}
	if complete {
		t.event(b[:len(b)-1], "")
	}
	return b[:len(b)-1]
}

func (t *tracer) event(head []byte, times string) {
	if t.events > 0 {
		t.write([]byte(",\n"))
	}
	t.events++
	t.write(head)
	t.write([]byte(times + "}"))
}

func (t *tracer) write(b []byte) {
	if _, err := t.w.Write(b); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *tracer) begin() {
	t.began = time.Now()
	t.last = t.began
}

// step notes the end of a step.
func (t *tracer) step(i int) {
	now := time.Now()
	t.steps[i].add(now.Sub(t.last).Seconds())
	t.event(t.heads[i], t.times(t.last, now))
	t.last = now
}

// end notes the end of a run.
func (t *tracer) end() {
	head := fmt.Appendf(nil, `{"name":"RunAll","cat":"run","ph":"X","pid":1,"tid":0,"args":{"run":%d}`, t.runs)
	t.runs++
	t.event(head, t.times(t.began, time.Now()))
}

// times are in microseconds.
func (t *tracer) times(from, to time.Time) string {
	return fmt.Sprintf(`,"ts":%.3f,"dur":%.3f`, from.Sub(t.origin).Seconds()*1e6, to.Sub(from).Seconds()*1e6)
}

func (t *tracer) close() error {
	t.write([]byte("]\n"))
	if err := t.w.Flush(); err != nil && t.err == nil {
		t.err = err
	}
	if t.err != nil {
		return fmt.Errorf("engine: Trace: %w", t.err)
	}
	return nil
}

// kindOf is the kind of a step.
func kindOf(s *plan.Step) string {
	switch {
	case s.Loop != nil:
		return "loop"
	case s.Dot != nil:
		return "dot"
	case s.Custom != nil:
		return "custom"
	}
	return "update"
}
