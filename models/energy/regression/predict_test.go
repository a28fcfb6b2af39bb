package regression

import (
	"context"
	"math"
	"testing"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/viz"
	"github.com/godcem/godcem/models/energy"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// trained is a task after some updates.
func trained(t *testing.T, c Config) Task {
	t.Helper()
	task := open(t, c)
	for step := 1; step <= 20; step++ {
		if _, err := task.Step(context.Background(), step); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := task.Predict(fixedNoise); err != nil { // brings the values of the parameters' nodes up to date
		t.Fatal(err)
	}
	return task
}

// Predictions of cem-forward are those of a hard solve, dcem's those of a soft one: the same bits as the search
// unrolled into a graph.
func TestPredictionsAreSolves(t *testing.T) {
	for _, method := range []string{CEMForward, DCEM} {
		c := tiny(method)
		c.Lower, c.Upper, c.Start = []float64{-7}, []float64{5}, 0.5
		task := trained(t, c).(*task[float32])
		g := G.NewGraph()
		model, err := task.model.Share(g)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := Points(c.Points)
		sc := c.solve(c.Points)
		sc.Hard = method == CEMForward
		u, err := dcem.Unroll(g, energy.Objective(model, train.Input(g, "x", train.Convert[float32](at), c.Points, 1)), sc)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := u.Keep()
		if err != nil {
			t.Fatal(err)
		}
		answer := G.Must(dcem.Keep(u.Answer))
		vm, err := train.NewVM(c.Machine, g)
		if err != nil {
			t.Fatal(err)
		}
		defer vm.Close()
		for _, noise := range []uint64{0, 7} {
			if err := G.Let(u.Run, int64(noise)); err != nil {
				t.Fatal(err)
			}
			if err := vm.RunAll(); err != nil {
				t.Fatal(err)
			}
			got, err := task.Predict(noise)
			if err != nil {
				t.Fatal(err)
			}
			check.Close(t, method, got, train.Convert[float64](answer.Value().Data().([]float32)), 0)
			tried, err := task.Trace(noise)
			if err != nil {
				t.Fatal(err)
			}
			if len(tried) != c.Iterations {
				t.Fatalf("%d iterations traced, want %d", len(tried), c.Iterations)
			}
			for i, it := range kept {
				check.Close(t, "samples", tried[i], train.Convert[float64](it.X.Value().Data().([]float32)), 0)
			}
			vm.Reset()
		}
		// The two methods do not agree by themselves.
		other, err := task.alternative(map[string]string{CEMForward: DCEM, DCEM: CEMForward}[method])
		if err != nil {
			t.Fatal(err)
		}
		defer other.close()
		a, _ := task.Predict(0)
		b, err := other.predict(0)
		if err != nil {
			t.Fatal(err)
		}
		if d, _ := check.MaxDiff(a, b); !(d > 1e-3) {
			t.Error("hard and soft searches agree: nothing was told apart")
		}
	}
}

// Gradient descent's iterates are y - rate dE/dy, with the slope by differences of energies.
func TestDescent(t *testing.T) {
	c := tiny(GD)
	c.Float64, c.Start, c.GDRate, c.Upper = true, 0.5, 0.3, []float64{0.55}
	task := trained(t, c).(*task[float64])
	tried, err := task.Trace(0)
	if err != nil {
		t.Fatal(err)
	}
	const h = 1e-4
	node, energies, err := energyGraph[float64](c, task.model, 2)
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(energies.Graph())
	defer vm.Close()
	at := node.Value().Data().([]float64)
	y := make([]float64, c.Points)
	for i := range y {
		y[i] = c.Start
	}
	moved := 0.0
	for step := range c.Iterations + 1 {
		check.Close(t, "iterate", tried[step], y, 1e-7) // h^2 times the third derivative
		for i, v := range y {
			at[2*i], at[2*i+1] = v-h, v+h
		}
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		e := energies.Value().Data().([]float64)
		for i := range y {
			slope := (e[2*i+1] - e[2*i]) / (2 * h)
			y[i] = min(y[i]-c.GDRate*slope, c.Upper[0])
			moved = max(moved, math.Abs(slope))
		}
		vm.Reset()
	}
	if len(tried) != c.Iterations+1 || !(moved > 1e-3) {
		t.Errorf("%d iterates, largest slope %v", len(tried), moved)
	}
	predicted, err := task.Predict(0)
	if err != nil {
		t.Fatal(err)
	}
	check.Close(t, "prediction", predicted, tried[c.Iterations], 0)
}

// The survey has the model's energies at the points and the grid's y.
func TestEnergies(t *testing.T) {
	c := tiny(DCEM)
	c.Float64 = true
	task := trained(t, c).(*task[float64])
	f, err := task.Energies()
	if err != nil {
		t.Fatal(err)
	}
	if len(f.X) != c.Points || f.Y[0] != -8 || f.Y[len(f.Y)-1] != 8 || !(math.Abs(f.Y[1]+7.9) < 1e-14) {
		t.Fatalf("%d x, y from %v by %v to %v", len(f.X), f.Y[0], f.Y[1]-f.Y[0], f.Y[len(f.Y)-1])
	}
	node, energies, err := energyGraph[float64](c, task.model, 1)
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(energies.Graph())
	defer vm.Close()
	for _, j := range []int{0, 55, len(f.Y) - 1} {
		at := node.Value().Data().([]float64)
		for i := range at {
			at[i] = f.Y[j]
		}
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		for i, e := range energies.Value().Data().([]float64) {
			// Another number of rows may be another order of sums.
			if got := f.Z[i*len(f.Y)+j]; !(math.Abs(got-e) <= 1e-12) {
				t.Errorf("E(%v, %v) = %v, want %v", f.X[i], f.Y[j], got, e)
			}
		}
		vm.Reset()
	}
}

func TestMinimumShare(t *testing.T) {
	// Minima at -2, 0.5, 8 (beyond the grid's end), none, and 3 with a lower one outside that is infinite.
	y := []float64{-4, -2, 0, 1, 3, 8}
	inf, nan := math.Inf(1), math.NaN()
	f := viz.Field{X: []float64{0, 1, 2, 3, 4}, Y: y, Z: []float64{
		5, 1, 5, 6, 7, 8,
		5, 4, 1.25, 1.5, 7, 8,
		5, 4, 3, 2, 1, 0,
		nan, nan, inf, nan, inf, -inf,
		-inf, 7, nan, 5, 4, inf,
	}}
	for _, v := range []struct {
		truth []float64
		want  float64
	}{
		{[]float64{-2, 0, 8, 0, 3}, 0.8},
		{[]float64{-1.25, 0.75, 7.25, 0, 2.25}, 0.8},  // the edge counts
		{[]float64{-1.24, 0.76, 7.24, 0, 2.24}, 0},    // beyond it
		{[]float64{-2.75, -0.75, 8.75, 0, 3.76}, 0.6}, // on the other side too
		{[]float64{-4, 1, 0, 8, -4}, 0},               // higher minima, and what is not finite, count for nothing
		{[]float64{-2, nan, inf, nan, 3}, 0.4},        // nor does a truth that is none
	} {
		if got := MinimumShare(f, v.truth); got != v.want {
			t.Errorf("truth %v: share %v, want %v", v.truth, got, v.want)
		}
	}
	// An energy that knows the data has its minimum there for every x, one that leads away for almost none.
	x, truth := Points(100)
	good := viz.Field{X: x, Y: []float64{}}
	for v := -8.; v <= 8; v += 0.125 {
		good.Y = append(good.Y, v)
	}
	bad := good
	for i := range x {
		for _, v := range good.Y {
			good.Z = append(good.Z, (v-truth[i])*(v-truth[i]))
			bad.Z = append(bad.Z, -math.Abs(v-truth[i]))
		}
	}
	if a, b := MinimumShare(good, truth), MinimumShare(bad, truth); a != 1 || b != 0 {
		t.Errorf("shares %v and %v, want 1 and 0", a, b)
	}
}
