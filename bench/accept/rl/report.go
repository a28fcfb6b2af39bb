package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/internal/viz"
)

// report is the file of results: a section for each program.
type report map[string]*section

type section struct {
	record.Machine                // of the last seed measured
	Outcomes       []*outcome     `json:"outcomes"` // by seed
	Claims         []record.Claim `json:"claims"`
}

// outcome is what a seed came to.
type outcome struct {
	Env     string             `json:"env"`
	Seed    uint64             `json:"seed"`
	Seconds float64            `json:"seconds"`
	Commit  string             `json:"commit"`
	Metrics map[string]float64 `json:"metrics"` // of result.json
	// Curves have for each evaluation of a run the steps of the environment so far and the mean return.
	Curves map[string][][2]float64 `json:"curves"`
}

func readReport(path string) (report, error) {
	r := report{}
	return r, record.Read(path, &r)
}

func (r report) section(name string) *section {
	if r[name] == nil {
		r[name] = &section{}
	}
	return r[name]
}

// take puts an outcome in the place of its seed.
func (s *section) take(o *outcome, m record.Machine) {
	o.Commit, s.Machine = m.Commit, m
	s.Outcomes = slices.DeleteFunc(s.Outcomes, func(old *outcome) bool { return old.Seed == o.Seed })
	s.Outcomes = append(s.Outcomes, o)
	slices.SortFunc(s.Outcomes, func(a, b *outcome) int { return int(a.Seed) - int(b.Seed) })
}

// draw draws the curves of a program.
func draw(dir, name string, found []*outcome) error {
	p := viz.Lines{Axes: viz.Axes{Title: name + ": evaluated while it learns", X: "steps of the environment",
		Y: "mean return"}}
	if name == "finetune" {
		p.XRange = [2]float64{0, 45e3} // PPO on a net goes on after that
	}
	for _, o := range found {
		for _, run := range slices.Sorted(maps.Keys(o.Curves)) {
			s := viz.Series{Name: fmt.Sprintf("%s, seed %d", run, o.Seed)}
			for _, at := range o.Curves[run] {
				s.X, s.Y = append(s.X, at[0]), append(s.Y, at[1])
			}
			p.Series = append(p.Series, s)
		}
	}
	if len(p.Series) == 0 {
		return nil
	}
	return viz.Save(filepath.Join(dir, "rl-"+name+".png"), p)
}
