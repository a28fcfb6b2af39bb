package rl

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

// A spread is what the returns of a run's best state come to.
type spread struct {
	name    string
	program string // "" where it is none
	mean    float64
	q       [5]float64
}

func spreadOf(name, program string, r Returns) spread {
	return spread{name, program, r.Mean(), r.Quartiles()}
}

// beside reads what the runs in the settings' other folders came to.
func (p Program) beside(s Settings) (all []spread, err error) {
	var folders []string
	if from := p.begins(s); from != "" { // a checkpoint would do
		if r, err := run.ReadResult(from); err == nil && r.Status == run.StatusDone {
			folders = append(folders, from)
		}
	}
	if s.Beside != "" {
		folders = append(folders, strings.Split(s.Beside, ",")...)
	}
	for _, dir := range folders {
		r, err := run.ReadResult(dir)
		if err != nil {
			return nil, fmt.Errorf("%w (wanted: a finished run of godcem rl)", err)
		}
		of := DefaultSettings()
		if err := run.LoadConfig(filepath.Join(dir, run.ConfigFile), &of); err != nil {
			return nil, err
		}
		name, ok := strings.CutPrefix(r.Program, "rl ")
		if !ok || of.Env != s.Env || r.Status != run.StatusDone {
			return nil, fmt.Errorf("%s: a run of %q on %s, %s: want a finished one of godcem rl on %s", dir, r.Program,
				of.Env, r.Status, s.Env)
		}
		one := spread{name: fmt.Sprintf("%s (%s)", name, filepath.Base(dir)), program: name,
			mean: r.Metrics["return_mean"]}
		for i, of := range []string{"least", "q1", "median", "q3", "most"} {
			one.q[i] = r.Metrics["return_"+of]
		}
		all = append(all, one)
	}
	return all, nil
}

// spreads are the run's own, those beside it, random actions and the expert.
func (s *study) spreads() []spread {
	all := append([]spread{spreadOf(s.program.Name, s.program.Name, s.returns)}, s.others...)
	all = append(all, spreadOf("random actions", "", s.random))
	if s.expert != nil {
		all = append(all, spreadOf("CEM, true dynamics", "", *s.expert))
	}
	return all
}

// paperMedians are what the paper has come to (Amos and Yarats 2020: medians of 100 episodes, read from its figures).
func paperMedians(env string, of []spread) (marks []viz.Mark) {
	medians := map[string]float64{"cheetah-run train": 701, "cheetah-run embed": 652, "cheetah-run finetune": 685,
		"walker-walk train": 953, "walker-walk embed": 861, "walker-walk finetune": 892}
	planners := map[string]string{"train": "full CEM", "embed": "latent DCEM", "finetune": "latent DCEM and PPO"}
	seen := map[string]bool{}
	for _, b := range of {
		if at := medians[env+" "+b.program]; at != 0 && !seen[b.program] {
			seen[b.program] = true
			marks = append(marks, viz.Mark{At: at, Label: "the paper's median of " + planners[b.program]})
		}
	}
	return marks
}

// boxes is the box plot.
func (s *study) boxes() viz.Plot {
	all := s.spreads()
	names := make([]string, len(all))
	for i, b := range all {
		names[i] = b.name
	}
	p := viz.Lines{Axes: viz.Axes{Title: "Returns: least, quartiles, greatest", Y: "return", X: strings.Join(names, " | "),
		XRange: [2]float64{0.4, float64(len(all)) + 0.6}}, Levels: paperMedians(s.s.Env, all)}
	for i, b := range all {
		p.Series = append(p.Series, box(b.name, float64(i+1), b.q))
	}
	return p
}

// box is a box plot's outline: the quartiles as a box, lines to the least and the greatest.
func box(name string, at float64, q [5]float64) viz.Series {
	const w = 0.3
	s := viz.Series{Name: name}
	for _, p := range [][2]float64{{0, q[0]}, {0, q[1]}, {-w, q[1]}, {-w, q[2]}, {w, q[2]}, {-w, q[2]}, {-w, q[3]},
		{0, q[3]}, {0, q[4]}, {0, q[3]}, {w, q[3]}, {w, q[1]}, {0, q[1]}} {
		s.X, s.Y = append(s.X, at+p[0]), append(s.Y, p[1])
	}
	return s
}
