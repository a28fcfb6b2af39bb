package mujoco_test

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/env/mujoco"
)

// An episode of random actions, each held for four steps.
func ExampleNew() {
	t, err := mujoco.New("cheetah-run", mujoco.Options{})
	if errors.Is(err, mujoco.ErrNotFound) {
		fmt.Println(err) // says where it was looked for, and that `make mujoco` fetches it
		return
	}
	if err == nil {
		t, err = env.Repeat(t, 4)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	defer t.Close()
	obs, action := make([]float64, t.ObsDim()), make([]float64, t.ActDim())
	if err := t.Reset(0, obs); err != nil {
		fmt.Println(err)
		return
	}
	total := 0.0
	for status := env.Running; !status.Over(); {
		for i := range action {
			action[i] = 2*rand.Float64() - 1
		}
		var reward float64
		if reward, status, err = t.Step(action, obs); err != nil {
			fmt.Println(err)
			return
		}
		total += reward
	}
	fmt.Println("return", total, t.Fault())
}
