package main

import (
	"fmt"

	"github.com/godcem/godcem/bench/record"
)

// mean is that of a metric over the seeds measured.
func mean(found []*outcome, name string) float64 { return sum(found, name) / float64(len(found)) }

func sum(found []*outcome, name string) (all float64) {
	for _, o := range found {
		all += o.Metrics[name]
	}
	return all
}

// whole makes a claim about all seeds not hold until all are measured.
func whole(found []*outcome, c record.Claim) record.Claim {
	c.OK = c.OK && len(found) == seeds
	return c
}

// inTime are claims that each seed took at most an hour.
func inTime(found []*outcome, program string) (claims []record.Claim) {
	for _, o := range found {
		claims = append(claims, record.AtMost(fmt.Sprintf("%s, %s, seed %d: minutes", program, o.Env, o.Seed), o.Seconds/60,
			60))
	}
	return claims
}

func judgePPO(found []*outcome) (claims []record.Claim) {
	for _, o := range found {
		claims = append(claims, record.AtLeast(fmt.Sprintf("ppo, %s, seed %d: mean return of 100 episodes", o.Env, o.Seed),
			o.Metrics["return_mean"], -300))
	}
	return append(claims, all(found, "ppo"))
}

func judgeEmbed(found []*outcome) (claims []record.Claim) {
	for _, o := range found {
		claims = append(claims, record.AtMost(
			fmt.Sprintf("model, %s, seed %d: error 12 steps ahead over that of no change", o.Env, o.Seed),
			o.Metrics["prediction_error"]/o.Metrics["still_error"], 0.5))
	}
	claims = append(claims, inTime(found, "embed")...)
	return append(claims, all(found, "embed"),
		whole(found, record.AtLeast("embed, cartpole: mean score", mean(found, "score"), 0.8)))
}

func judgeFineTune(found []*outcome) (claims []record.Claim) {
	for _, o := range found {
		score := o.Metrics["start_score"]
		claims = append(claims,
			record.AtLeast(fmt.Sprintf("finetune, %s, seed %d: score that it begins from", o.Env, o.Seed), score, least),
			record.AtMost(fmt.Sprintf("finetune, %s, seed %d: score that it begins from", o.Env, o.Seed), score, most))
	}
	claims = append(claims, inTime(found, "finetune")...)
	return append(claims, all(found, "finetune"),
		// Over the same episodes before and after, which did not choose the state.
		whole(found, record.AtLeast("finetune, cartpole: mean gain in score", mean(found, "gain"), 0.1)),
		// Those until embed's best state are counted too.
		whole(found, record.AtMost("finetune, cartpole: steps to its return over those of PPO on a net",
			(sum(found, "start_steps")+sum(found, "tuned_steps"))/sum(found, "net_steps"), 0.5)))
}

func judgeCost([]*outcome) []record.Claim { return nil }

// all is the claim that every seed was measured.
func all(found []*outcome, program string) record.Claim {
	return record.AtLeast(program+": seeds measured", float64(len(found)), seeds)
}
