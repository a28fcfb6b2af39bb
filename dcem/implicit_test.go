package dcem

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	gonum "gonum.org/v1/gonum/mat"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// An argmin is a graph with y, theta, and the gradient of <v, y*> for fixed v.
type argmin struct {
	t     *testing.T
	g     *G.ExprGraph
	dt    tensor.Dtype
	s     *ImplicitGradient
	grads G.Nodes
}

func (a *argmin) input(name string, data []float64, shape ...int) *G.Node {
	return G.NewTensor(a.g, a.dt, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(dense(a.dt, data, shape...)))
}

// build adds the solution y, its gradient and the loss <v, y*>.
func (a *argmin) build(y *G.Node, v []float64, residual Residual, theta G.Nodes, c ImplicitConfig) {
	a.t.Helper()
	var err error
	if a.s, err = Implicit(y, residual, theta, c); err != nil {
		a.t.Fatal(err)
	}
	loss := G.Must(G.Sum(G.Must(G.HadamardProd(a.s.Answer, a.input("v", v, y.Shape()...)))))
	if a.grads, err = autodiff.Gradients(loss, theta...); err != nil {
		a.t.Fatal(err)
	}
	for i := range a.grads {
		if a.grads[i], err = Keep(a.grads[i]); err != nil {
			a.t.Fatal(err)
		}
	}
}

func (a *argmin) run() {
	a.t.Helper()
	vm := bothMachines(a.t, a.g)
	a.t.Cleanup(func() { vm.Close() })
	if err := vm.RunAll(); err != nil {
		a.t.Fatal(err)
	}
}

func (a *argmin) wantGrad(i int, want []float64, tol float64) {
	a.t.Helper()
	got := floats(a.t, a.grads[i].Value())
	if worst := relativeError(got, want); !(worst <= tol) {
		a.t.Errorf("gradient %d: %.3g from the right one, want at most %g: %v, want %v", i, worst, tol, head(got), head(want))
	}
}

func head(x []float64) []float64 { return x[:min(len(x), 6)] }

// relativeError is the largest difference over the largest entry; NaN counts as infinite.
func relativeError(got, want []float64) (worst float64) {
	size := 0.0
	for _, w := range want {
		size = math.Max(size, math.Abs(w))
	}
	if len(got) != len(want) {
		return math.Inf(1)
	}
	for i, w := range want {
		if d := math.Abs(got[i]-w) / size; !(d <= worst) {
			worst = d
		}
	}
	return worst
}

func (a *argmin) wantStatus(want ...ImplicitStatus) []ImplicitDiagnosis {
	a.t.Helper()
	all, err := a.s.Diagnose()
	if err != nil {
		a.t.Fatal(err)
	}
	for i, d := range all {
		if d.Status != want[i] {
			a.t.Errorf("problem %d: %v, want %v: %+v", i, d.Status, want[i], d)
		}
	}
	return all
}

func normals(seed uint64, n int) []float64 {
	r := rand.New(rand.NewPCG(seed, 0))
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

// The solution of y A = b, A not symmetric: dL/db = v A^-T, dL/dA = -y' dL/db.
func TestImplicitOfALinearSystem(t *testing.T) {
	const b, d = 3, 4
	for _, dt := range []tensor.Dtype{tensor.Float64, tensor.Float32} {
		tol := 1e-13 // condition some 10
		if dt == tensor.Float32 {
			tol = 1e-5
		}
		m := gonum.NewDense(d, d, normals(1, d*d))
		for i := range d {
			m.Set(i, i, m.At(i, i)+4)
		}
		rhs, v := gonum.NewDense(b, d, normals(2, b*d)), gonum.NewDense(b, d, normals(3, b*d))
		var inv, y, db, da gonum.Dense
		if err := inv.Inverse(m); err != nil {
			t.Fatal(err)
		}
		y.Mul(rhs, &inv)
		db.Mul(v, inv.T())
		da.Mul(y.T(), &db)
		da.Scale(-1, &da)

		a := &argmin{t: t, g: G.NewGraph(), dt: dt}
		A, r := a.input("A", m.RawMatrix().Data, d, d), a.input("b", rhs.RawMatrix().Data, b, d)
		a.build(a.input("y", y.RawMatrix().Data, b, d), v.RawMatrix().Data, func(y *G.Node) (*G.Node, error) {
			return G.Sub(G.Must(G.Mul(y, A)), r)
		}, G.Nodes{A, r}, ImplicitConfig{})
		a.run()
		a.wantGrad(0, da.RawMatrix().Data, tol)
		a.wantGrad(1, db.RawMatrix().Data, tol)
		for _, d := range a.wantStatus(ImplicitOK, ImplicitOK, ImplicitOK) {
			if cond := gonum.Cond(m, 1); !(math.Abs(d.RCond*cond-1) < 0.5) {
				t.Errorf("reciprocal condition %v, want about 1/%v", d.RCond, cond) // LU's is an estimate
			}
		}
	}
}

// bent is the energy sum a y^2 + 2 cosh(y - b) of y (B, D) or (B, 1, D), strictly convex.
func bent(a, b *G.Node) func(y *G.Node) (*G.Node, error) {
	return func(y *G.Node) (*G.Node, error) {
		s := y.Shape()
		y = G.Must(autodiff.Reshape(y, s[0], s[len(s)-1]))
		r := G.Must(G.Sub(y, b))
		e := G.Must(G.HadamardProd(a, G.Must(G.Square(y))))
		cosh := G.Must(G.Add(G.Must(G.Exp(r)), G.Must(G.Exp(G.Must(G.Neg(r))))))
		return G.Sum(G.Must(G.Add(e, cosh)), 1)
	}
}

// Implicit gradients at the end of a long descent are those of the descent.
func TestImplicitIsLongDescent(t *testing.T) {
	const b, d, steps = 2, 3, 150
	av, bv, v := []float64{0.8, 1.5, 1, 2, 1.2, 0.9}, normals(5, b*d), normals(6, b*d)
	for _, solver := range []LinearSolver{DenseSolver, ConjugateGradients} {
		a := &argmin{t: t, g: G.NewGraph(), dt: tensor.Float64}
		A, B := a.input("a", av, b, d), a.input("b", bv, b, d)
		u, err := UnrollGD(a.g, func(y *G.Node) (*G.Node, error) {
			e, err := bent(A, B)(y)
			if err != nil {
				return nil, err
			}
			return autodiff.Reshape(e, b, 1)
		}, GDConfig{Batch: b, Dim: d, Iterations: steps, Rate: 0.15, Dtype: a.dt})
		if err != nil {
			t.Fatal(err)
		}
		a.build(u.Answer, v, EnergyResidual(bent(A, B)), G.Nodes{A, B}, ImplicitConfig{Solver: solver, Tolerance: 1e-12})
		vn := a.input("v2", v, b, d)
		unrolled, err := autodiff.Gradients(G.Must(G.Sum(G.Must(G.HadamardProd(u.Answer, vn)))), A, B)
		if err != nil {
			t.Fatal(err)
		}
		for i := range unrolled {
			if unrolled[i], err = Keep(unrolled[i]); err != nil {
				t.Fatal(err)
			}
		}
		a.run()
		a.wantStatus(ImplicitOK, ImplicitOK)
		for i := range unrolled {
			a.wantGrad(i, floats(t, unrolled[i].Value()), 1e-9) // what is left of the descent after 150 steps, and of CG
		}
	}
}

// LML is the root of a system in (y, nu), whose Jacobian is not definite: its closed form against the dense solve.
func TestImplicitIsLML(t *testing.T) {
	const b, n, k = 3, 7, 2
	x, v := normals(7, b*n), normals(8, b*n)
	a := &argmin{t: t, g: G.NewGraph(), dt: tensor.Float64}
	X := a.input("x", x, b, n)
	weights, err := LML(X, k)
	if err != nil {
		t.Fatal(err)
	}
	closed, err := autodiff.Gradients(G.Must(G.Sum(G.Must(G.HadamardProd(weights, a.input("w", v, b, n))))), X)
	if err != nil {
		t.Fatal(err)
	}
	if closed[0], err = Keep(closed[0]); err != nil {
		t.Fatal(err)
	}
	// First a run of LML alone tells y; nu is logit(y) - x.
	y, err := Keep(weights)
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(a.g)
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	want := check.Copy[float64](floats(t, closed[0].Value()))
	solution, wide := make([]float64, 0, b*(n+1)), make([]float64, 0, b*(n+1))
	for i, w := range floats(t, y.Value()) {
		solution, wide = append(solution, w), append(wide, v[i])
		if i%n == n-1 {
			solution, wide = append(solution, math.Log(w/(1-w))-x[i]), append(wide, 0)
		}
	}
	vm.Close()

	a = &argmin{t: t, g: G.NewGraph(), dt: tensor.Float64}
	X = a.input("x", x, b, n)
	a.build(a.input("u", solution, b, n+1), wide, func(u *G.Node) (*G.Node, error) {
		y := G.Must(G.Slice(u, nil, G.S(0, n)))
		nu := G.Must(autodiff.Expand(G.Must(autodiff.Reshape(G.Must(G.Slice(u, nil, G.S(n, n+1))), b, 1)), b, n))
		one := G.NewConstant(1.0)
		logit := G.Must(G.Sub(G.Must(G.Log(y)), G.Must(G.Log(G.Must(G.Sub(one, y))))))
		first := G.Must(G.Sub(G.Must(G.Sub(logit, X)), nu))
		total := G.Must(G.Sub(G.Must(G.Sum(y, 1)), G.NewConstant(float64(k))))
		return G.Concat(1, first, G.Must(autodiff.Reshape(total, b, 1)))
	}, G.Nodes{X}, ImplicitConfig{})
	a.run()
	a.wantStatus(ImplicitOK, ImplicitOK, ImplicitOK)
	a.wantGrad(0, want, 1e-10) // y is as exact as LML gives it, the condition some 100
}

// A solve by CEM, hard, whose own gradient is 0, gets one.
func TestImplicitOfCEM(t *testing.T) {
	const b, d = 2, 2
	bv, v := []float64{0.3, -0.8, 1.1, 0.2}, []float64{1, 2, -1, 0.5}
	a := &argmin{t: t, g: G.NewGraph(), dt: tensor.Float64}
	B := a.input("b", bv, b, d)
	square := func(y *G.Node) (*G.Node, error) { return G.Sum(G.Must(G.Square(G.Must(G.Sub(y, B)))), 1) }
	u, err := Unroll(a.g, func(x *G.Node) (*G.Node, error) {
		wide, err := Expand(B, x.Shape()[1])
		if err != nil {
			return nil, err
		}
		return G.Sum(G.Must(G.Square(G.Must(G.Sub(x, wide)))), 2)
	}, Config{Batch: b, Dim: d, Samples: 100, Elites: 10, Iterations: 12, Hard: true, Dtype: a.dt})
	if err != nil {
		t.Fatal(err)
	}
	a.build(u.Answer, v, EnergyResidual(square), G.Nodes{B}, ImplicitConfig{})
	a.run()
	a.wantStatus(ImplicitOK, ImplicitOK)
	a.wantGrad(0, v, 1e-13) // y* = b
}

// Beyond a few hundred dimensions the Jacobian is never built.
func TestImplicitByConjugateGradients(t *testing.T) {
	const b, d = 2, 300
	c, bv, v := normals(9, b*d), normals(10, b*d), normals(11, b*d)
	y, want := make([]float64, b*d), make([]float64, b*d)
	for i := range c {
		c[i] = 1 + c[i]*c[i]
		y[i], want[i] = bv[i]/c[i], v[i]/c[i]
	}
	a := &argmin{t: t, g: G.NewGraph(), dt: tensor.Float64}
	C, B := a.input("c", c, b, d), a.input("b", bv, b, d)
	a.build(a.input("y", y, b, d), v, func(y *G.Node) (*G.Node, error) {
		return G.Sub(G.Must(G.HadamardProd(C, y)), B)
	}, G.Nodes{B}, ImplicitConfig{Tolerance: 1e-12})
	a.run()
	a.wantStatus(ImplicitOK, ImplicitOK)
	a.wantGrad(0, want, 1e-11) // the solve's tolerance, by the condition
	if n := len(a.g.AllNodes()); n > 2000 {
		t.Errorf("%d nodes: a Jacobian of %d rows?", n, d)
	}
}

// Far along a flat coordinate the residual is small, and so is a step along it where the other coordinates are steep;
// Newton's step is not. 1e-3 (sinh y - b) = 0 at y = b = 0, and y = b in the others.
func TestImplicitSeesFlatCoordinates(t *testing.T) {
	for _, c := range []struct {
		dt     tensor.Dtype
		d      int
		solver LinearSolver
		tol    float64 // of the linear solves
	}{
		{tensor.Float64, 300, AutoSolver, 1e-7},
		{tensor.Float32, 300, AutoSolver, 1e-3},
		{tensor.Float64, 20, ConjugateGradients, 1e-7},
		{tensor.Float64, 20, DenseSolver, 1e-12},
	} {
		const b = 2 // problem 0 is far from its solution, 1 is at it
		y, flat, steep, v := make([]float64, b*c.d), make([]float64, b*c.d), make([]float64, b*c.d), make([]float64, b*c.d)
		for i := range y {
			v[i], steep[i] = 1, 1
			if i%c.d == 0 {
				flat[i], steep[i] = 1e-3, 0
			} else if i < c.d {
				y[i] = 0.004
			}
		}
		y[0] = 3
		want := slices.Repeat([]float64{1}, b*c.d)
		want[0] = 1 / math.Cosh(3) // that of the point, which is not that of the solution, 1
		for _, iterations := range []int{6, 1} {
			a := &argmin{t: t, g: G.NewGraph(), dt: c.dt}
			B := a.input("b", make([]float64, b*c.d), b, c.d)
			flat, steep := a.input("flat", flat, b, c.d), a.input("steep", steep, b, c.d)
			if iterations == 1 {
				clear(v)
				v[1], v[c.d+1] = 1, 1 // of one curvature: its own system takes one iteration, Newton's step two
			}
			a.build(a.input("y", y, b, c.d), v, func(y *G.Node) (*G.Node, error) {
				sinh := G.Must(G.Sub(G.Must(G.Exp(y)), G.Must(G.Exp(G.Must(G.Neg(y))))))
				sinh = G.Must(G.Mul(number(y, 0.5), sinh))
				return G.Add(G.Must(G.HadamardProd(flat, G.Must(G.Sub(sinh, B)))),
					G.Must(G.HadamardProd(steep, G.Must(G.Sub(y, B)))))
			}, G.Nodes{B}, ImplicitConfig{Solver: c.solver, Iterations: iterations})
			a.run()
			if iterations == 1 && c.solver != DenseSolver {
				a.wantStatus(ImplicitUnsolved, ImplicitOK)
				continue
			}
			all := a.wantStatus(ImplicitNotStationary, ImplicitOK)
			if step := math.Tanh(3) / 3; !(math.Abs(all[0].Step-step) <= c.tol) {
				t.Errorf("%v: a step of %v, want %v", c, all[0].Step, step)
			}
			if iterations > 1 {
				a.wantGrad(0, want, c.tol)
			}
		}
	}
}

func TestImplicitSaysWhereItDoesNotHold(t *testing.T) {
	nan := math.NaN()
	for _, solver := range []LinearSolver{DenseSolver, ConjugateGradients} {
		// A valley, and a saddle: the first is singular, the second is a stationary point with a gradient of its own,
		// which conjugate gradients cannot find.
		valley, saddle := ImplicitSingular, ImplicitOK
		if solver == ConjugateGradients {
			valley, saddle = ImplicitUnsolved, ImplicitUnsolved
		}
		problems := []struct {
			y0, b, c1 float64 // energy (y0 - b)^2 + c1 y1^2 within [-1, 1], at y1 = 0
			want      ImplicitStatus
			held      int
			grad      float64 // d y0 / d b; NaN: not compared
		}{
			{0.5, 0.5, 1, ImplicitOK, 0, 1},
			{0.5, 0.5, 0, valley, 0, nan},
			{0.2, 0.5, 1, ImplicitNotStationary, 0, nan},
			{nan, 0, 1, ImplicitNotFinite, 0, nan},
			{0.5, 0.5, -1, saddle, 0, nan},
			{1, 3, 1, ImplicitAtBound, 1, 0},
			{-1, -3, 1, ImplicitAtBound, 1, 0},
			{1, 1, 1, ImplicitAtBound, 0, nan}, // the minimum lies just on the bound: min(b, 1) has a kink at b = 1
			{-1, -1, 1, ImplicitAtBound, 0, nan},
			{1, 0, 1, ImplicitNotStationary, 0, nan}, // the residual points inwards
			{-1, 0, 1, ImplicitNotStationary, 0, nan},
		}
		var y, b, c, v []float64
		var want []ImplicitStatus
		for _, p := range problems {
			y, b, c, v = append(y, p.y0, 0), append(b, p.b, 0), append(c, 1, p.c1), append(v, 1, 1)
			want = append(want, p.want)
		}
		a := &argmin{t: t, g: G.NewGraph(), dt: tensor.Float64}
		n := len(problems)
		B, C := a.input("b", b, n, 2), a.input("c", c, n, 2)
		a.build(a.input("y", y, n, 2), v, func(y *G.Node) (*G.Node, error) {
			return G.HadamardProd(C, G.Must(G.Sub(y, B)))
		}, G.Nodes{B}, ImplicitConfig{Solver: solver, Lower: []float64{-1}, Upper: []float64{1}})
		a.run()
		g := floats(t, a.grads[0].Value())
		for i, d := range a.wantStatus(want...) {
			p := problems[i]
			if d.Status != ImplicitNotFinite && d.Held != p.held {
				t.Errorf("problem %d: %d coordinates held, want %d", i, d.Held, p.held)
			}
			if p.grad == p.grad && (g[2*i] != p.grad || g[2*i+1] != 1) {
				t.Errorf("problem %d: gradients %v, want %v and 1", i, g[2*i:2*i+2], p.grad)
			}
		}
	}
}

func TestImplicitErrors(t *testing.T) {
	g := G.NewGraph()
	y := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("y"))
	b := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("b"))
	ok := func(y *G.Node) (*G.Node, error) { return G.Sub(y, b) }
	for _, c := range []struct {
		y        *G.Node
		residual Residual
		theta    G.Nodes
		c        ImplicitConfig
		want     string
	}{
		{nil, ok, G.Nodes{b}, ImplicitConfig{}, "Implicit: y is nil"},
		{G.NewVector(g, tensor.Float64, G.WithShape(3), G.WithName("u")), ok, G.Nodes{b}, ImplicitConfig{}, "y has shape (3), want (any, any)"},
		{y, nil, G.Nodes{b}, ImplicitConfig{}, "the residual must not be nil"},
		{y, ok, nil, ImplicitConfig{}, "theta not empty"},
		{y, ok, G.Nodes{nil}, ImplicitConfig{}, "theta[0] is nil"},
		{y, ok, G.Nodes{b}, ImplicitConfig{Solver: 9}, "Solver = 9"},
		{y, ok, G.Nodes{b}, ImplicitConfig{Tolerance: math.NaN()}, "Tolerance = NaN"},
		{y, ok, G.Nodes{b}, ImplicitConfig{Stationary: -1}, "Stationary = -1"},
		{y, ok, G.Nodes{b}, ImplicitConfig{Iterations: -1}, "Iterations = -1"},
		{y, ok, G.Nodes{b}, ImplicitConfig{Lower: []float64{1, 2}}, "Lower has 2 values"},
		{y, func(y *G.Node) (*G.Node, error) { return G.Sum(y, 1) }, G.Nodes{b}, ImplicitConfig{}, "shape (2), want float64 of shape (2, 3) like y"},
		{y, EnergyResidual(func(y *G.Node) (*G.Node, error) { return y, nil }), G.Nodes{b}, ImplicitConfig{}, "want one number for each of the 2 problems"},
	} {
		_, err := Implicit(c.y, c.residual, c.theta, c.c)
		wantError(t, err, c.want)
	}
	s, err := Implicit(y, ok, G.Nodes{b}, ImplicitConfig{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Diagnose()
	wantError(t, err, "no gradient of the answer was built")
	first, err := autodiff.Gradients(G.Must(G.Sum(G.Must(G.Square(s.Answer)))), b)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Diagnose()
	wantError(t, err, "has no value; run the graph first")
	if _, err = autodiff.Gradients(G.Must(G.Sum(first[0])), b); err == nil {
		t.Error("a second derivative: no error")
	}
}
