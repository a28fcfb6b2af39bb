package embed

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

// report writes the page that explains the pictures.
func (p *pictures) report() error {
	config, err := os.ReadFile(filepath.Join(p.dir, run.ConfigFile))
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	figure := func(name, caption string) []viz.Figure {
		return []viz.Figure{{Path: filepath.Join(p.dir, name), Caption: caption}}
	}
	c := p.c
	sections := []viz.Section{{
		Heading: "What plans cost", Text: p.aboutCosts(),
		Figures: figure(costFigure,
			"Validations, each on the same states and noise; the levels are the experts' on these states, by the same "+
				"answer: the mean of the last samples or the best plan tried."),
	}}
	if c.Latent == 2 {
		sections = append(sections, viz.Section{
			Heading: "The latent space",
			Text: "Every point of the square is a plan. Its colour is what that plan costs from one initial state, the " +
				"pole hanging at rest: pale is cheap. The decoder has arranged the plans so that the search finds a cheap one.",
			Figures: figure(latentFigure, "Costs over the latent space, and what the search tries; the ellipse is one "+
				"sigma of the distribution fitted to the samples."),
		})
		if p.c.Method != GD {
			last := &sections[len(sections)-1]
			last.Figures = append(last.Figures, figure(searchMovie, "Latent DCEM, one iteration after the other.")...)
		}
	}
	movies := []viz.Figure{}
	for _, s := range p.studies {
		caption := capital(s.title()) + ", in real time."
		if s.other != nil {
			caption += fmt.Sprintf(" Above each plan is %s, below %s.", s.c.aboutAnswer(), about(s.c.otherAnswer()))
		}
		movies = append(movies, viz.Figure{Path: filepath.Join(p.dir, movieFigure(s.c.Method)), Caption: caption})
	}
	sections = append(sections,
		viz.Section{
			Heading: "From the hanging pole",
			Text: fmt.Sprintf("One plan of %d steps of %g s, taken to its end; and the closed loop, which plans anew at "+
				"every step and takes the first force of each plan.", c.Horizon, c.system().Dt()),
			Figures: append(figure(trajectoryFigure, "States and forces."), movies...),
		},
		viz.Section{Heading: "Closed loops beside the expert", Text: p.aboutLoops(),
			Figures: figure(loopFigure, "Closed loops from the same starts, the hanging pole among them; of the costs the "+
				"median, since one cart that runs away hides all others in a mean.")},
		viz.Section{
			Heading: "What the plan depends on",
			Text: "The search can be differentiated, so that the plan has a derivative with respect to anything that the " +
				"cost depends on: here to the state it starts from, the one in the closed loop from the hanging pole after which " +
				"the cost falls most. (From the hanging pole itself, swinging up to the left is as good as to the right.) A plan " +
				"that moves a lot with its start is one that the search finds at the edge between two kinds of plans. The curves of " +
				"a search are alike but for their scales, since its plans can but move along the few directions that the latent " +
				"space has.",
			Figures: figure(sensitivityFigure, "Derivatives of each force of the plan with respect to its initial state."),
		},
		viz.Section{Heading: "Training", Text: p.aboutTraining()},
		viz.Section{Heading: "Numbers of the run", Table: p.table()},
		viz.Section{Heading: "Configuration", Code: string(config),
			Text: "The same configuration and seed give the same run, bit for bit:\n\n" +
				"godcem cartpole --config config.yaml --out out/again"})
	return viz.WriteReport(filepath.Join(p.dir, reportFile), viz.Report{
		Title: "Cartpole, planned in a learnt latent space", Intro: p.intro(), Sections: sections})
}

func (p *pictures) intro() string {
	return fmt.Sprintf("A plan for the cartpole is %d forces. Instead of searching for those, one searches over %d "+
		"numbers z in [-1, 1], which a net, the decoder, turns into a plan. The decoder is trained through the search: "+
		"its loss is the cost of the plan that the search ends with. %s",
		p.c.Horizon, p.c.Latent, p.aboutLearning())
}

func (p *pictures) aboutLearning() string {
	switch {
	case p.c.Method == GD || p.c.Learn == Mean:
		return "The gradient follows the search back."
	case p.c.Method == Both:
		return "Through gradient descent the gradient follows the search back; through DCEM updates learn from the best plan " +
			"that the search has tried, whose latents are held fixed."
	}
	return "Updates learn from the best plan that the search has tried, whose latents are held fixed: moving them a little " +
		"from where the cost is least changes that little."
}

// otherAnswer is the one that c does not say.
func (c Config) otherAnswer() string {
	if c.Answer == Best {
		return Mean
	}
	return Best
}

// aboutAnswer says what searches by DCEM end with.
func (c Config) aboutAnswer() string { return about(c.Answer) }

func about(answer string) string {
	if answer == Best {
		return "the best plan of all that it has tried"
	}
	return "the mean of its last samples"
}

func (p *pictures) aboutCosts() string {
	text := fmt.Sprintf("The expert, the cross-entropy method over all %d forces with %d samples, %d elites and %d "+
		"iterations, has the mean cost %.3f on %d initial states that no training or validation has seen, if it answers with "+
		"the mean of its last samples, and %.3f with the best plan of all that it has tried",
		p.c.Horizon, Ordinary.Samples, Ordinary.Elites, Ordinary.Iterations, p.experts.ordinary.means[1], p.c.States,
		p.experts.ordinary.bests[1])
	for i, e := range Experts() {
		if e != Ordinary {
			f := p.experts.all()[i]
			text += fmt.Sprintf("; with %d, %d and %d it has %.3f and %.3f", e.Samples, e.Elites, e.Iterations, f.means[1],
				f.bests[1])
		}
	}
	text += ". "
	if p.c.Method != GD {
		text += fmt.Sprintf("Latent DCEM answers with %s. ", p.c.aboutAnswer())
	}
	for _, s := range p.studies {
		text += fmt.Sprintf("%s has %.3f", capital(s.title()), s.metrics["cost"])
		if s.c.Method == DCEM {
			text += fmt.Sprintf(" with %d samples and %d iterations, and %.3f on other noise", s.c.Samples, s.c.Iterations,
				s.metrics["cost_fresh"])
		}
		text += ". "
	}
	return text
}

func (p *pictures) aboutLoops() string {
	text := fmt.Sprintf("From %d starts, the first hanging at rest and the others drawn as in training, each method plans "+
		"anew at every one of %d steps, from scratch: nothing is carried over from the plan before. ",
		p.c.Episodes, p.c.Episode)
	if p.c.Along > 0 {
		text += fmt.Sprintf("%d of the %d states of an update lay along closed loops of the controller in training. ",
			p.c.Along, p.c.Batch)
	} else {
		text += "Training has known slow carts near the middle of the rail alone; a closed loop may go where the decoder has " +
			"never planned from. "
	}
	for _, s := range p.studies {
		text += fmt.Sprintf("%s costs %.3f a step and stands for %.0f %% of the second half. ", capital(s.title()),
			s.metrics["episode_cost"], 100*s.metrics["episode_upright"])
		if s.other != nil {
			text += fmt.Sprintf("That is with %s; the same decoder with %s (--answer %s): %.3f and %.0f %%. ", s.c.aboutAnswer(),
				about(s.c.otherAnswer()), s.c.otherAnswer(), s.metrics["other_episode_cost"],
				100*s.metrics["other_episode_upright"])
		}
	}
	if p.c.Along == 0 && p.c.Method != GD {
		text += "Decoders that are to stand in closed loop are trained with --along 8, on states that closed loops meet, and " +
			"asked for the best plan tried. "
	}
	return text + fmt.Sprintf("The expert, with %d times the samples: %.3f and %.0f %%.", Ordinary.Samples/max(1, p.c.Samples),
		p.experts.loops.meanCost(), 100*p.experts.loops.stood())
}

func (p *pictures) aboutTraining() string {
	c := p.c
	text := fmt.Sprintf("Each update learns from %d initial states, with fresh noise. Every %d updates the "+
		"plans from %d fixed states are judged, on noise that is always the same; the state that does best is the one "+
		"shown. Adam, learning rate %g",
		c.Batch, c.ValidateEvery, c.States, c.Rate)
	if c.Clip > 0 {
		text += fmt.Sprintf(", gradient norm clipped to %g", c.Clip)
	}
	if c.Patience > 0 {
		text += fmt.Sprintf("; the rate is halved after more than %d validations in a row without improvement", c.Patience)
	}
	if c.Halvings > 0 {
		text += fmt.Sprintf("; after %d halvings the training ends", c.Halvings)
	}
	return text + "."
}

func (p *pictures) table() *viz.Table {
	t := &viz.Table{Header: []string{"quantity"}}
	for _, s := range p.studies {
		t.Header = append(t.Header, s.title())
	}
	for _, r := range []struct{ name, metric, format string }{
		{"mean cost, best validation, states not seen before", "cost", "%.3f"},
		{"the same on other noise", "cost_fresh", "%.3f"},
		{"the same after the last update", "cost_last", "%.3f"},
		{"mean cost of the best validation", "validation", "%.3f"},
		{"expert's mean cost, states not seen before", "expert_cost", "%.3f"},
		{"the same, best plan tried", "expert_best_cost", "%.3f"},
		{fmt.Sprintf("expert's with %d samples x %d", Small.Samples, Small.Iterations), "expert_small_cost", "%.3f"},
		{"the same, best plan tried", "expert_small_best_cost", "%.3f"},
		{fmt.Sprintf("expert's with %d samples x %d", Medium.Samples, Medium.Iterations), "expert_medium_cost", "%.3f"},
		{"the same, best plan tried", "expert_medium_best_cost", "%.3f"},
		{"strong expert's", "expert_strong_cost", "%.3f"},
		{"the same, best plan tried", "expert_strong_best_cost", "%.3f"},
		{"closed loops: mean cost of a step", "episode_cost", "%.3f"},
		{"closed loops: share of the last half with cos theta > 0.95", "episode_upright", "%.2f"},
		{"with the other answer: mean cost of plans", "other_cost", "%.3f"},
		{"with the other answer: closed loops' mean cost of a step", "other_episode_cost", "%.3f"},
		{"with the other answer: closed loops' share of the last half", "other_episode_upright", "%.2f"},
		{"expert's closed loops: mean cost of a step", "expert_episode_cost", "%.3f"},
		{"expert's closed loops: share of the last half", "expert_episode_upright", "%.2f"},
		{"derivative of the plan by its start, root mean square", "sensitivity", "%.3g"},
		{"update of the best validation", "best_update", "%.0f"},
		{"updates", "updates", "%.0f"},
		{"updates skipped (loss or gradient not finite)", "skipped", "%.0f"},
		{"halvings of the learning rate", "halvings", "%.0f"},
		{"parameters", "parameters", "%.0f"},
	} {
		row := []string{r.name}
		for _, s := range p.studies {
			if v, ok := s.metrics[r.metric]; ok && !math.IsNaN(v) {
				row = append(row, fmt.Sprintf(r.format, v))
			} else {
				row = append(row, "–")
			}
		}
		t.Rows = append(t.Rows, row)
	}
	row := []string{"seconds"}
	for _, s := range p.studies {
		row = append(row, fmt.Sprintf("%.0f", s.outcome.Seconds))
	}
	t.Rows = append(t.Rows, row)
	return t
}
