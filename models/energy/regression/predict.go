package regression

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/viz"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/energy"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// A trace is what a prediction tried on its way: by iteration, the candidates of each point, (points, candidates).
type trace [][]float64

// predictor predicts y at all points with the parameters as they are. Those are shared with the training, so that the
// two must take turns.
type predictor interface {
	// predict uses the noise of the run number, where it uses any.
	predict(run uint64) ([]float64, error)
	// trace is predict with the candidates of each iteration.
	trace(run uint64) (trace, error)
	close() error
}

// newPredictor makes the predictor of a method other than Both.
func newPredictor[T kernels.Float](method string, c Config, model energy.Model) (predictor, error) {
	switch method {
	case GD:
		return newDescender[T](c, model)
	case CEMForward:
		return newSearcher[T](c, model, true)
	}
	return newSearcher[T](c, model, false)
}

// searcher predicts with (D)CEM.
type searcher[T kernels.Float] struct {
	vm        G.VM
	objective *dcem.GraphObjective[T]
	solver    *dcem.Solver[T]
	record    bool
	tried     trace
}

func newSearcher[T kernels.Float](c Config, model energy.Model, hard bool) (*searcher[T], error) {
	y, costs, err := energyGraph[T](c, model, c.Samples)
	if err != nil {
		return nil, err
	}
	s := &searcher[T]{}
	vm, err := train.NewVM(c.Machine, costs.Graph(), costs)
	if err != nil {
		return nil, err
	}
	s.vm = vm
	if s.objective, err = dcem.NewGraphObjective[T](y, costs, vm); err != nil {
		return nil, err
	}
	sc := c.solve(c.Points)
	sc.Hard = hard
	s.solver, err = dcem.NewSolver(s.objective, sc, dcem.SolverOptions[T]{Callback: s.callback})
	return s, err
}

// energyGraph is a graph of E(x_i, y) at all points x_i, with n candidates y each: y has shape (points, n, 1), the
// energies (points, n).
func energyGraph[T kernels.Float](c Config, model energy.Model, n int) (y, energies *G.Node, err error) {
	g := G.NewGraph()
	shared, err := model.Share(g)
	if err != nil {
		return nil, nil, err
	}
	at, _ := Points(c.Points)
	x := train.Input(g, "x", train.Convert[T](at), c.Points, 1)
	y = train.Input(g, "y", make([]T, c.Points*n), c.Points, n, 1)
	energies, err = shared.Energy(x, y)
	return y, energies, err
}

func (s *searcher[T]) callback(it *dcem.Iteration[T]) (stop bool, err error) {
	if s.record {
		s.tried = append(s.tried, train.Convert[float64](it.X))
	}
	return false, nil
}

func (s *searcher[T]) predict(run uint64) ([]float64, error) {
	s.solver.SetRun(run)
	sol, err := s.solver.Solve(context.Background())
	if err != nil {
		return nil, err
	}
	return train.Convert[float64](sol.Mean), nil
}

func (s *searcher[T]) trace(run uint64) (trace, error) {
	s.record, s.tried = true, nil
	defer func() { s.record = false }()
	_, err := s.predict(run)
	return s.tried, err
}

func (s *searcher[T]) close() error { return errors.Join(s.objective.Close(), s.vm.Close()) }

// descender predicts with gradient descent on y.
type descender[T kernels.Float] struct {
	vm G.VM
	y  G.Nodes // y_0 ... y_T, (points, 1) each
}

func newDescender[T kernels.Float](c Config, model energy.Model) (*descender[T], error) {
	g := G.NewGraph()
	shared, err := model.Share(g)
	if err != nil {
		return nil, err
	}
	at, _ := Points(c.Points)
	x := train.Input(g, "x", train.Convert[T](at), c.Points, 1)
	u, err := dcem.UnrollGD(g, energy.Objective(shared, x), c.descent(c.Points))
	if err != nil {
		return nil, err
	}
	d := &descender[T]{}
	for _, y := range append(G.Nodes{u.Y0}, u.Y...) {
		if y, err = dcem.Keep(y); err != nil {
			return nil, err
		}
		d.y = append(d.y, y)
	}
	d.vm, err = train.NewVM(c.Machine, g, d.y...)
	return d, err
}

func (d *descender[T]) predict(run uint64) ([]float64, error) {
	t, err := d.trace(run)
	if err != nil {
		return nil, err
	}
	return t[len(t)-1], nil
}

func (d *descender[T]) trace(uint64) (trace, error) {
	defer d.vm.Reset()
	if err := d.vm.RunAll(); err != nil {
		return nil, err
	}
	var t trace
	for _, y := range d.y {
		t = append(t, train.Convert[float64](y.Value().Data().([]T)))
	}
	return t, nil
}

func (d *descender[T]) close() error { return d.vm.Close() }

// The grid of y on which energies are looked at: steps of 0.1 over [-8, 8], wider than the data.
const (
	gridLow, gridHigh = -8, 8
	gridSize          = 161
)

// surveyor evaluates the energies of all points over the grid of y.
type surveyor[T kernels.Float] struct {
	vm       G.VM
	energies *G.Node
	x, y     []float64
}

func newSurveyor[T kernels.Float](c Config, model energy.Model) (*surveyor[T], error) {
	node, energies, err := energyGraph[T](c, model, gridSize)
	if err != nil {
		return nil, err
	}
	s := &surveyor[T]{energies: energies, y: make([]float64, gridSize)}
	s.x, _ = Points(c.Points)
	for j := range s.y {
		s.y[j] = gridLow + (gridHigh-gridLow)*float64(j)/(gridSize-1)
	}
	candidates := node.Value().Data().([]T)
	for i := range candidates {
		candidates[i] = T(s.y[i%gridSize])
	}
	s.vm, err = train.NewVM(c.Machine, energies.Graph(), energies)
	return s, err
}

// survey returns E(x_i, y_j).
func (s *surveyor[T]) survey() (viz.Field, error) {
	defer s.vm.Reset()
	if err := s.vm.RunAll(); err != nil {
		return viz.Field{}, err
	}
	return viz.Field{X: s.x, Y: s.y, Z: train.Convert[float64](s.energies.Value().Data().([]T))}, nil
}

func (s *surveyor[T]) close() error { return s.vm.Close() }

// near is how close the least energy of an x must be to the truth to count as there.
const near = 0.75

// MinimumShare returns the share of the x of a field of energies at which the least energy over the y of the grid
// lies within 0.75 of truth[i]. An energy that is learnt as a model of the data has it near 1; one whose minimiser
// stops at a barrier on its way from the start needs none there. An x without a finite energy does not count.
func MinimumShare(f viz.Field, truth []float64) float64 {
	if len(truth) != len(f.X) || len(f.Z) != len(f.X)*len(f.Y) {
		panic(fmt.Sprintf("regression: MinimumShare: %d truths for a field of %d x %d with %d values",
			len(truth), len(f.X), len(f.Y), len(f.Z)))
	}
	share := 0.0
	for i, want := range truth {
		least, at := math.Inf(1), math.NaN()
		for j, e := range f.Z[i*len(f.Y) : (i+1)*len(f.Y)] {
			if e < least && !math.IsInf(e, 0) {
				least, at = e, f.Y[j]
			}
		}
		if math.Abs(at-want) <= near {
			share++
		}
	}
	return share / float64(len(truth))
}

// meanSquare is the mean squared error of predictions.
func meanSquare(got, want []float64) float64 {
	sum := 0.0
	for i, v := range got {
		sum += (v - want[i]) * (v - want[i])
	}
	return sum / float64(len(got))
}
