package rl

import "fmt"

// Trajectory is what happened in one environment over L steps, of one or more episodes in a row. Numbers of step t
// concern the action that was taken in s_t and led to s_t'.
type Trajectory struct {
	Reward []float64 // (L)
	Value  []float64 // of s_t, (L)
	Next   []float64 // of s_t', (L): of the state that the step led to, not of the one that a reset put in its place
	// Last says that no later step follows on s_t': the episode ended there, for whatever reason, or the trajectory did.
	Last []bool
	// Terminal says that s_t' has no future: its value is 0, whatever Next says. An episode that ended because its time
	// was over is Last and not Terminal.
	Terminal []bool
}

// Advantages writes the generalised advantage estimates (Schulman et al., High-dimensional continuous control using
// generalized advantage estimation, 2016, eq. 16) into advantage (L), and what the values should be into target (L):
//
//	delta_t = r_t + gamma V(s_t') - V(s_t),  A_t = delta_t + gamma lambda A_(t+1),  target_t = A_t + V(s_t)
//
// with A_(t+1) = 0 where t was the last. discount is gamma, trace is lambda, both in [0, 1].
func (t Trajectory) Advantages(advantage, target []float64, discount, trace float64) error {
	n := len(t.Reward)
	for _, v := range []struct {
		name string
		n    int
	}{{"Value", len(t.Value)}, {"Next", len(t.Next)}, {"Last", len(t.Last)}, {"Terminal", len(t.Terminal)},
		{"advantage", len(advantage)}, {"target", len(target)}} {
		if v.n != n {
			return fmt.Errorf("rl: Advantages: %s has %d values, want %d, those of Reward", v.name, v.n, n)
		}
	}
	if !(discount >= 0 && discount <= 1) || !(trace >= 0 && trace <= 1) {
		return fmt.Errorf("rl: Advantages: discount = %v and trace = %v, want 0 to 1", discount, trace)
	}
	later := 0.0
	for i := n - 1; i >= 0; i-- {
		next := t.Next[i]
		if t.Terminal[i] {
			next = 0
		}
		if t.Last[i] || t.Terminal[i] {
			later = 0
		}
		later = t.Reward[i] + discount*next - t.Value[i] + discount*trace*later
		advantage[i], target[i] = later, later+t.Value[i]
	}
	return nil
}
