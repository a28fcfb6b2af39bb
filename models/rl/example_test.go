package rl_test

import (
	"context"
	"fmt"

	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/rl"
)

// An agent learns a model and a decoder of plans: a phase collects an episode with what it had learnt before, and
// learns from those so far. The sizes are far too small to control anything.
func ExampleAgent() {
	task := func() (env.Task, error) {
		return env.NewEpisodes(env.Pendulum{}, env.EpisodeOptions{Steps: 20})
	}
	agent, err := rl.NewAgent(task, "", rl.AgentConfig{
		Model: rl.RSSMConfig{Deter: 8, Stoch: 3, Hidden: 8}, First: 2, Updates: 5, Batch: 4, Length: 10, DecoderBatch: 4,
		Planner: rl.PlannerConfig{Kind: rl.LatentDCEM, Horizon: 4, Iterations: 2, Samples: 20, Elites: 4, Hidden: []int{8}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer agent.Close()
	for phase := 1; phase <= 2; phase++ {
		if _, err := agent.Step(context.Background(), phase); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(agent.Replay().Len(), "episodes,", agent.Replay().Steps(), "actions")
	// Output: 4 episodes, 80 actions
}
