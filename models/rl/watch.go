package rl

import (
	"context"
	"fmt"
	"image"
	"math"
	"slices"

	"github.com/godcem/godcem/internal/viz"
	"github.com/godcem/godcem/models/train"
)

// A moment is what is to be seen in the first environment of an evaluation after so many steps, of at most that many.
type moment struct {
	step, of int
	worlds   *Worlds
	latent   []float32 // where the search has found the plan of the last action, (D); nil where there is none
}

// first is row 0 of a matrix of n rows.
func first[T any](v []T, n int) []T { return v[:len(v)/n] }

func (t *Agent) watch(ctx context.Context, seed uint64, see func(moment)) error {
	_, err := t.judge(ctx, t.c.Planner, 1, seed, func(step int, p *pilot) {
		see(moment{step + 1, p.worlds.Steps(), p.worlds, p.planner.latent})
	})
	return err
}

func (t *PPO) watch(ctx context.Context, seed uint64, see func(moment)) error {
	n := t.judged.Size()
	_, err := t.judgeBy(ctx, seed, func(step int) {
		see(moment{step + 1, t.judged.Steps(), t.judged, first(t.judge.latent, n)})
	})
	return err
}

// A show is an episode that was watched, without its last step.
type show struct {
	names   []string // of an observation's elements
	episode Episode
	latent  [][]float64 // of each action, (D); nil where there is no search
	movie   viz.Movie
}

// play watches an episode of the best state: the first of a seed of its own.
func (s *study) play(ctx context.Context, task trainee) (*show, error) {
	p := &show{}
	const most = 100 // pictures
	over := false
	err := task.watch(ctx, mix(s.s.Seed, finalDraw, 1), func(m moment) {
		w, n := m.worlds, m.worlds.Size()
		if over = over || m.step > 0 && w.Status[0].Over(); over { // while others go on
			return
		}
		obs, next := w.observed()
		if e := &p.episode; m.step == 0 {
			e.Obs, p.names = train.Convert[float32](first(obs, n)), w.Task(0).Observations()
		} else {
			e.Obs = append(e.Obs, train.Convert[float32](first(next, n))...)
			for _, a := range first(w.action, n) {
				e.Action = append(e.Action, float32(math.Max(-1, math.Min(1, a))))
			}
			e.Reward = append(e.Reward, float32(w.Reward[0]))
			if m.latent != nil {
				p.latent = append(p.latent, train.Convert[float64](m.latent))
			}
		}
		if every := (m.of + most - 1) / most; m.step%every == 0 {
			img := image.NewRGBA(image.Rect(0, 0, 360, 240))
			w.Task(0).Draw(img)
			p.movie.Frames = append(p.movie.Frames, img)
		}
	})
	return p, err
}

// embedding draws where the search goes in the latent space along the episode, and the actions that it means.
func (p *show) embedding() viz.Plot {
	numbers := viz.Lines{Axes: viz.Axes{Title: "Latent numbers of the plans", X: "action of the episode",
		Y: "latent number", YRange: [2]float64{-1.05, 1.05}}}
	size := len(p.latent[0])
	for j := range size {
		numbers.Series = append(numbers.Series, viz.Series{Name: fmt.Sprintf("z%d", j+1), Y: column(p.latent, j)})
	}
	actions := viz.Lines{Axes: viz.Axes{Title: "Actions", X: "action of the episode", Y: "of the greatest",
		YRange: [2]float64{-1.05, 1.05}}}
	steps := len(p.latent)
	for j := range len(p.episode.Action) / steps {
		s := viz.Series{Name: fmt.Sprintf("a%d", j+1)}
		for t := range steps {
			s.Y = append(s.Y, float64(p.episode.Action[t*len(p.episode.Action)/steps+j]))
		}
		actions.Series = append(actions.Series, s)
	}
	plots := []viz.Plot{numbers, actions}
	if size > 1 {
		path := viz.Lines{Axes: viz.Axes{Title: "The path in the first two of them", X: "z1", Y: "z2",
			XRange: [2]float64{-1.05, 1.05}, YRange: [2]float64{-1.05, 1.05}}}
		x, y := column(p.latent, 0), column(p.latent, 1)
		for third := range 3 {
			from, to := third*steps/3, min((third+1)*steps/3+1, steps)
			path.Series = append(path.Series, viz.Series{Name: fmt.Sprintf("actions %d to %d", from, to-1),
				X: x[from:to], Y: y[from:to]})
		}
		plots = append(plots, path)
	}
	return viz.SideBySide("", plots...)
}

func column(rows [][]float64, j int) []float64 {
	v := make([]float64, len(rows))
	for i, r := range rows {
		v[i] = r[j]
	}
	return v
}

// rollouts draws what the model says of the next steps of the episode, from every horizon-th on, beside what came.
func (p *show) rollouts(t *Agent, horizon int) (viz.Plot, error) {
	e, o := &p.episode, t.model.c.Obs
	if e.Steps() < 2*horizon { // nothing to be seen
		return nil, nil
	}
	const most = 6 // numbers of an observation
	shown := min(o, most)
	truth, guess := make([]viz.Series, shown), make([]viz.Series, shown)
	for j := range shown {
		truth[j], guess[j] = viz.Series{Name: "what happened"}, viz.Series{Name: "the model, from the state at the start"}
		for i := j; i < len(e.Obs); i += o {
			truth[j].Y = append(truth[j].Y, float64(e.Obs[i]))
		}
	}
	err := t.openLoop([]*Episode{e}, horizon, func(at int, g []float32) {
		if at%horizon != 0 {
			return
		}
		for j := range shown {
			s, q := &guess[j], t.state.Seen
			s.X, s.Y = append(s.X, float64(at)), append(s.Y, float64(e.Obs[at*o+j])) // back to the truth
			for k := range horizon {
				s.X = append(s.X, float64(at+k+1))
				s.Y = append(s.Y, q.Mean[j]+q.std(j)*float64(g[k*o+j]))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	grid := viz.Grid{Columns: min(3, shown)}
	for j := range shown {
		grid.Plots = append(grid.Plots, viz.Lines{Axes: viz.Axes{Title: p.names[j],
			X: "step", Y: "in the environment's unit"}, Series: slices.Concat(truth[j:j+1], guess[j:j+1])})
	}
	return grid, nil
}
