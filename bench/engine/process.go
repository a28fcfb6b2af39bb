package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/engine"
)

// startResult is the time from before a process is started to the end of its first training step, B = 1.
type startResult struct {
	Engine record.Spread `json:"engine_ms"`
	Tape   record.Spread `json:"tape_ms"`
}

// memoryResult is what the training step, B = 100, takes. Peaks are the process's largest resident size over three
// steps less that before the machine was made.
type memoryResult struct {
	EnginePeak   float64 `json:"engine_peak_mb"`
	TapePeak     float64 `json:"tape_peak_mb"`
	Arena        float64 `json:"arena_mb"`
	Budget       float64 `json:"budget_mb"`
	BudgetArena  float64 `json:"budget_arena_mb"`
	BudgetMillis float64 `json:"budget_over_default_time"`
	SameLosses   bool    `json:"same_losses"`
}

// childResult is what a child process prints.
type childResult struct {
	PeakMB float64   `json:"peak_mb"`
	Losses []float64 `json:"losses"`
}

// runChild measures one thing: "start" or "memory" of "tape" or "engine".
func runChild(what string) error {
	kind, machine, _ := strings.Cut(what, " ")
	batch, steps := 1, 1
	if kind == "memory" {
		batch, steps = 100, 3
	}
	before, err := resident("VmRSS")
	if err != nil {
		return err
	}
	var c *contestant
	if machine == "tape" {
		c, _, err = onTape(stock, batch)
	} else {
		c, _, err = onEngine(stock, batch)
	}
	if err != nil {
		return err
	}
	var result childResult
	for i := range steps {
		loss, err := c.step(int64(i))
		if err != nil {
			return err
		}
		result.Losses = append(result.Losses, loss)
	}
	peak, err := resident("VmHWM")
	if err != nil {
		return err
	}
	result.PeakMB = peak - before
	return json.NewEncoder(os.Stdout).Encode(result)
}

// resident is a line of /proc/self/status in MB.
func resident(name string) (float64, error) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("memory is read from Linux's /proc: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(v)[0], 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/self/status has no line %s", name)
}

// spawn runs a child and returns what it printed and how long it took from before its start.
func spawn(what string) (result childResult, millis float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return result, 0, err
	}
	cmd := exec.Command(self, "-child", what)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	began := time.Now()
	out, err := cmd.Output()
	millis = time.Since(began).Seconds() * 1e3
	if err != nil {
		return result, 0, fmt.Errorf("%s: %w: %s", what, err, stderr.String())
	}
	return result, millis, json.Unmarshal(out, &result)
}

func measureStart(r *report, rounds int) error {
	times := map[string][]float64{}
	for range rounds {
		for _, machine := range []string{"engine", "tape"} {
			_, ms, err := spawn("start " + machine)
			if err != nil {
				return err
			}
			times[machine] = append(times[machine], ms)
		}
	}
	r.Start = startResult{record.SpreadOf(times["engine"]), record.SpreadOf(times["tape"])}
	fmt.Printf("first step from the process's start: engine %.4g ms, tape %.4g ms\n", r.Start.Engine.Median, r.Start.Tape.Median)
	r.Claims = append(r.Claims, record.AtMost("first training step, B = 1, from the process's start to its end, seconds",
		r.Start.Engine.Median/1e3, 0.3))
	return nil
}

func measureMemory(r *report, rounds int) error {
	m := &r.Memory
	tape, _, err := spawn("memory tape")
	if err != nil {
		return err
	}
	own, _, err := spawn("memory engine")
	if err != nil {
		return err
	}
	m.TapePeak, m.EnginePeak = tape.PeakMB, own.PeakMB
	plain, vm, err := onEngine(stock, 100)
	if err != nil {
		return err
	}
	defer plain.close()
	const mb = 1 << 20
	memory := vm.Explain().Memory
	temporary := memory.Arena - memory.Inputs - memory.Params - memory.Constants - memory.Outputs - memory.State
	m.Arena, m.Budget = float64(memory.Arena)/mb, float64(temporary)/4/mb
	tight, vm2, err := onEngine(stock, 100, engine.MemoryBudget(int64(temporary/4)))
	if err != nil {
		return err
	}
	defer tight.close()
	m.BudgetArena = float64(vm2.Explain().Memory.Arena) / mb
	m.SameLosses = true
	var ratios []float64
	debug.FreeOSMemory()
	for i := range int64(max(rounds, 3)) {
		began := time.Now()
		a, err := plain.step(i)
		if err != nil {
			return err
		}
		middle := time.Now()
		b, err := tight.step(i)
		if err != nil {
			return err
		}
		ratios = append(ratios, time.Since(middle).Seconds()/middle.Sub(began).Seconds())
		m.SameLosses = m.SameLosses && math.Float64bits(a) == math.Float64bits(b)
	}
	m.BudgetMillis = record.SpreadOf(ratios).Median
	fmt.Printf("peak of the step, B = 100: engine %.0f MB, tape %.0f MB; arena %.0f MB, with a quarter as budget %.0f MB in %.2f of the time, same losses: %v\n",
		m.EnginePeak, m.TapePeak, m.Arena, m.BudgetArena, m.BudgetMillis, m.SameLosses)
	same := math.NaN()
	if m.SameLosses {
		same = 1
	}
	r.Claims = append(r.Claims,
		record.AtMost("peak memory of the step, B = 100: engine / TapeMachine", m.EnginePeak/m.TapePeak, 1./3),
		record.AtLeast("with a quarter of its memory as budget: the same losses, bit for bit", same, 1))
	return nil
}
