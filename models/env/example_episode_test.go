package env_test

import (
	"fmt"

	"github.com/godcem/godcem/models/env"
)

// Eight episodes of the pendulum side by side, under a policy that pushes the way it turns.
func ExampleVec() {
	const n = 8
	v, err := env.NewVec(n, 0, func(int) (env.Task, error) { return env.TaskByName("pendulum") })
	if err != nil {
		fmt.Println(err)
		return
	}
	defer v.Close()
	width := v.Task(0).ObsDim()
	obs, actions, rewards := make([]float64, n*width), make([]float64, n), make([]float64, n)
	status, total := make([]env.Status, n), 0.0
	if err := v.Reset([]uint64{0, 1, 2, 3, 4, 5, 6, 7}, obs); err != nil {
		fmt.Println(err)
		return
	}
	for range v.Task(0).Steps() {
		for i := range actions {
			actions[i] = 2 * obs[i*width+2] // beyond the bounds: clamped
		}
		if err := v.Step(actions, obs, rewards, status); err != nil {
			fmt.Println(err)
			return
		}
		for _, r := range rewards {
			total += r
		}
	}
	fmt.Printf("%v, mean return %.0f\n", status[0], total/n)
	// Output:
	// time limit, mean return -1612
}
