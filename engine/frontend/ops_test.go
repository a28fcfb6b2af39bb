package frontend

import (
	"errors"
	"testing"

	"gorgonia.org/tensor"
)

// tolerance of the comparison with the TapeMachine: in float64, sums in another order and functions that differ in the
// last digits; in float32 that of its own rounding, as ref computes in float64.
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
	for i, d := range ways {
		name := "value"
		if d != nil {
			name = d.name
		}
		stock := []string{c.stock, c.stockD, c.autoD}[i]
		want, err := [][]float64(nil), error(nil)
		if stock == "" {
			if want, err = c.tape(dt, d); err != nil {
				t.Errorf("%s: TapeMachine: %v", name, err)
				continue
			}
		} else if i == 0 && c.want != nil {
			w, err := c.world(dt, nil)
			if err != nil {
				t.Fatal(err)
			}
			want = [][]float64{c.want(w.vals)}
		} else {
			continue
		}
		for _, dev := range devices {
			got, err := c.engine(dt, d, dev)
			if err != nil {
				t.Errorf("%s on %s: %v", name, dev.name, err)
				continue
			}
			for k := range want {
				if err := compare(got[k], want[k], tolerance(dt, c)); err != nil {
					t.Errorf("%s %d on %s: %v", name, k, dev.name, err)
				}
			}
		}
	}
}

var _ = errors.New
