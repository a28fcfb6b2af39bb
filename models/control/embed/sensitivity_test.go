package embed

import (
	"testing"

	"github.com/godcem/godcem/internal/check"
)

// The plan's derivatives, against finite differences of the plans that the planner finds on the same noise.
func TestSensitivity(t *testing.T) {
	for _, method := range []string{DCEM, GD} {
		c := tiny(method)
		c.Float64, c.Hidden, c.Horizon, c.GDRate = true, []int{5}, 4, 0.01
		task := open(t, c)
		p, err := task.Planner(1, false)
		noError(t, err)
		defer p.Close()
		x0 := c.judgedStates()[:5]
		const run = 7
		u, du, err := task.Sensitivity(x0, run)
		noError(t, err)
		plan, err := p.Plan(x0, run)
		noError(t, err)
		check.Close(t, method+": plan", u, plan.U, 1e-12) // the same, but for the order of sums
		if norm(du) == 0 {
			t.Fatalf("%s: the derivatives are 0: nothing was compared", method)
		}
		for i := range c.Horizon {
			want := check.Gradient(func(x []float64) float64 {
				plan, err := p.Plan(x, run)
				noError(t, err)
				return plan.U[i]
			}, x0, 1e-5)
			// Forces of some tens lose 1e-14/1e-5 to rounding in the four-point rule.
			check.Close(t, method, du[5*i:5*i+5], want, 1e-7)
		}
		if _, _, err := task.Sensitivity(x0[1:], run); err == nil {
			t.Errorf("%s: a state of another size gives no error", method)
		}
	}
}
