package cpu

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
	"github.com/godcem/godcem/kernels"
)

// update is an optimiser's step on views of the buffers.
type update[T vec.Float] struct {
	optimizer     kernels.Optimizer
	state         kernels.OptimizerState[T]
	params, grads [][]T
	rate, info    []float64
	steps         []int64
	loss          array[float64] // nil: none
	value         [1]float64     // of the loss
}

func compileUpdate(x *executable, u *plan.Update) (step, error) {
	if n := len(x.p.Buffers); len(u.Params) > 0 && u.Params[0] >= 0 && int(u.Params[0]) < n {
		if x.p.Buffers[u.Params[0]].Type == ir.F32 {
			return newUpdate[float32](x, u)
		}
	}
	return newUpdate[float64](x, u)
}

func newUpdate[T vec.Float](x *executable, u *plan.Update) (step, error) {
	s := &update[T]{optimizer: u.Optimizer}
	if err := u.Optimizer.Validate(); err != nil {
		return nil, err
	}
	for _, g := range []struct {
		to   *[][]T
		from []plan.BufID
		what string
	}{
		{&s.params, u.Params, "parameter"}, {&s.grads, u.Grads, "gradient"}, {&s.state.M, u.M, "mean"},
		{&s.state.V, u.V, "mean square"}, {&s.state.Buf, u.Velocity, "velocity"},
	} {
		if n := len(g.from); n != len(u.Params) && (n > 0 || g.to == &s.grads) {
			return nil, fmt.Errorf("%d buffers of a %s, want %d", n, g.what, len(u.Params))
		}
		for i, b := range g.from {
			v, err := typed[T](x, b, fmt.Sprintf("%s %d", g.what, i))
			if err != nil {
				return nil, err
			}
			x.fix(b)
			*g.to = append(*g.to, v)
			if len(v) != len(s.params[i]) {
				return nil, fmt.Errorf("%s %d has %d elements, want %d", g.what, i, len(v), len(s.params[i]))
			}
		}
	}
	o := u.Optimizer
	for _, g := range []struct {
		name   string
		have   int
		needed bool
	}{
		{"M", len(u.M), o.Method == kernels.Adam}, {"V", len(u.V), o.Method != kernels.Momentum},
		{"Velocity", len(u.Velocity), o.Method != kernels.Adam && o.Momentum != 0},
	} {
		if g.needed && g.have != len(u.Params) {
			return nil, fmt.Errorf("%v without buffers of %s", o.Method, g.name)
		}
	}
	var err error
	if s.rate, err = typed[float64](x, u.Rate, "learning rate"); err != nil {
		return nil, err
	}
	if s.info, err = typed[float64](x, u.Info, "report"); err != nil {
		return nil, err
	}
	if u.Steps < 0 || int(u.Steps) >= len(x.p.Buffers) || x.p.Buffers[u.Steps].Type != ir.Int64 {
		return nil, fmt.Errorf("steps in buffer %d, want one of i64", u.Steps)
	}
	s.steps = view[int64](x.mem, x.p.Buffers[u.Steps].Offset, x.p.Buffers[u.Steps].Count())
	if len(s.rate) < 1 || len(s.info) < 4 || len(s.steps) < 1 {
		return nil, fmt.Errorf("buffers of %d rates, %d steps and %d reports, want 1, 1 and 4",
			len(s.rate), len(s.steps), len(s.info))
	}
	if u.Loss >= 0 {
		if int(u.Loss) >= len(x.p.Buffers) || x.p.Buffers[u.Loss].Count() != 1 {
			return nil, fmt.Errorf("loss in buffer %d, want one of one element", u.Loss)
		}
		x.fix(u.Loss)
		b := &x.p.Buffers[u.Loss]
		s.loss, _ = arrayOf[float64](x.mem, b.Type, b.Offset, 1)
	}
	return s, nil
}

// run takes a step, unless the loss is not finite. A rate of 0 is the optimiser's own: the buffer was never written.
func (s *update[T]) run() error {
	if s.loss != nil {
		s.loss.load(s.value[:], 0, 1, 0, 1, 0)
	}
	loss := s.value[0]
	var info kernels.StepInfo
	if loss-loss != 0 {
		info = kernels.StepInfo{GradNorm: norm(s.grads), Skipped: true}
	} else {
		o := s.optimizer
		if s.rate[0] != 0 {
			o.Rate = s.rate[0]
		}
		s.state.Steps = uint64(s.steps[0])
		info = kernels.OptimizerStep(o, &s.state, s.params, s.grads)
		s.steps[0] = int64(s.state.Steps)
	}
	s.info[0], s.info[3] = info.GradNorm, loss
	s.info[1], s.info[2] = number[float64](info.Clipped), number[float64](info.Skipped)
	return nil
}

// norm is the 2-norm of all arrays together.
func norm[T vec.Float](arrays [][]T) float64 {
	n := 0.0
	for _, a := range arrays {
		for _, v := range a {
			n = math.Hypot(n, float64(v))
		}
	}
	return n
}
