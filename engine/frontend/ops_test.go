package frontend

import (
	"fmt"
	"testing"

	"gorgonia.org/tensor"
)

// tolerance of the comparison with the TapeMachine: in float64, sums in another order and functions that differ in
// the last digits; in float32 that of its own rounding, as ref computes in float64.
func tolerance(dt tensor.Dtype, c *opCase) float64 {
	tol := 1e-12
	if dt == tensor.Float32 {
		tol = 1e-5
	}
	if c.tolerate > 0 {
		tol *= c.tolerate
	}
	return tol
}

// TestOps compares every case, value and gradients, with the TapeMachine.
func TestOps(t *testing.T) {
	for _, c := range opCases() {
		for _, dt := range []tensor.Dtype{tensor.Float64, tensor.Float32} {
			t.Run(c.String()+" "+dt.String(), func(t *testing.T) { testOp(t, &c, dt) })
		}
	}
}

func testOp(t *testing.T, c *opCase, dt tensor.Dtype) {
	ways := []*gradient{nil}
	if !c.flat {
		for i := range gradients {
			ways = append(ways, &gradients[i])
		}
	}
	for _, d := range ways {
		what := byValue
		if d != nil {
			what = d.name
		}
		want, tapeErr := c.tape(dt, d)
		if c.fault(what, dt) == "" {
			if tapeErr != nil {
				t.Errorf("%s: TapeMachine: %v", what, tapeErr)
				continue
			}
			for _, dev := range devices {
				got, err := c.engine(dt, d, dev)
				if err == nil {
					err = same(got, want, tolerance(dt, c))
				}
				if err != nil {
					t.Errorf("%s on %s: %v", what, dev.name, err)
				}
			}
			continue
		}
		// The TapeMachine is known to be at fault.
		for _, dev := range devices {
			got, err := c.engine(dt, d, dev)
			if tapeErr == nil && err == nil && same(got, want, tolerance(dt, c)) == nil {
				t.Errorf("%s: there is no fault any more: %s", what, c.fault(what, dt))
			}
			if d != nil || c.want == nil {
				continue
			}
			w, werr := c.world(dt, nil)
			if err == nil {
				err = werr
			}
			if err == nil {
				err = same(got, [][]float64{c.want(w.vals)}, tolerance(dt, c))
			}
			if err != nil {
				t.Errorf("%s on %s: %v", what, dev.name, err)
			}
		}
	}
}

func same(got, want [][]float64, tol float64) error {
	for k := range want {
		if err := compare(got[k], want[k], tol); err != nil {
			if k == 0 {
				return fmt.Errorf("value: %w", err)
			}
			return fmt.Errorf("gradient %d: %w", k-1, err)
		}
	}
	return nil
}
