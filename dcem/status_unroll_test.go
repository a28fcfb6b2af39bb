package dcem

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine"
	G "gorgonia.org/gorgonia"
)

// Unroll's diagnosis of a solve with bad costs is the solver's, and says which node has no value.
func TestUnrolledDiagnose(t *testing.T) {
	// The root is NaN left of 0, so that problem 1 has no finite cost where it starts.
	objective := func(x *G.Node) (*G.Node, error) { return G.Sum(G.Must(G.Sqrt(x)), 2) }
	c := Config{Batch: 2, Dim: 2, Samples: 20, Elites: 3, Iterations: 4, Mu: []float64{1, 1, -90, -90},
		Dtype: dtypeOf[float64]()}
	for _, iterations := range []int{1, 4} {
		c.Iterations = iterations
		g := G.NewGraph()
		u, err := Unroll(g, objective, c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = u.Diagnose()
		wantError(t, err, "Diagnose: Iterates[0].F: no value; run the graph first")
		vm, err := engine.NewVM(g)
		if err != nil {
			t.Fatal(err)
		}
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		got, err := u.Diagnose()
		if err != nil {
			t.Fatal(err)
		}
		sol := solveEach(t, func(_ int, x []float64) float64 { return math.Sqrt(x[0]) + math.Sqrt(x[1]) }, c,
			SolverOptions[float64]{})
		if !slices.Equal(got, sol.Diagnoses) {
			t.Errorf("%d iterations: got  %+v\nwant %+v", iterations, got, sol.Diagnoses)
		}
		if got[1].Status != TooFewFinite || got[1].ExcludedTotal != 20*iterations || got[0].ExcludedTotal == 0 ||
			got[0].Status == TooFewFinite {
			t.Errorf("%d iterations: %v", iterations, got)
		}
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
	}
}

// An input that the diagnosis needs is named as well.
func TestUnrolledDiagnoseNamesInputs(t *testing.T) {
	g := G.NewGraph()
	sigma := G.NewMatrix(g, dtypeOf[float32](), G.WithShape(1, 2), G.WithName("sigma"), G.WithInit(G.Ones()))
	u, err := Unroll(g, ripples, Config{Dim: 2, Iterations: 2, SigmaNode: sigma})
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	for node, name := range map[*G.Node]string{u.Iterates[0].F: "Iterates[0].F", u.Iterates[1].F: "Iterates[1].F",
		u.Iterates[1].I:  "Iterates[1].I",
		u.Iterates[1].Mu: "Iterates[1].Mu", u.Iterates[0].Mu: "Iterates[0].Mu", u.Iterates[1].Sigma: "Iterates[1].Sigma"} {
		broken := copyOf(u)
		for t := range broken.Iterates {
			it := &broken.Iterates[t]
			for _, n := range []**G.Node{&it.F, &it.I, &it.Mu, &it.Sigma} {
				if *n == node {
					*n = G.NewMatrix(g, dtypeOf[float32](), G.WithShape(node.Shape()...),
						G.WithName(fmt.Sprint("empty ", name)))
				}
			}
		}
		_, err := broken.Diagnose()
		wantError(t, err, name+": no value")
	}
	if _, err := u.Diagnose(); err != nil {
		t.Error(err)
	}
	if d := strings.Count(fmt.Sprint(u.Iterates), "empty"); d != 0 {
		t.Errorf("the test changed %d nodes of the original", d)
	}
}

// copyOf is a copy of u whose iterates can be changed.
func copyOf(u *Unrolled) *Unrolled {
	return &Unrolled{Mu0: u.Mu0, Sigma0: u.Sigma0, Iterates: slices.Clone(u.Iterates), Config: u.Config}
}

// A value that an op further on may have taken over is refused, and read from its copy once there is one.
func TestUnrolledDiagnoseOverwritten(t *testing.T) {
	c := Config{Dim: 2, Iterations: 2}
	two := G.NewConstant(float32(2))
	for _, v := range []struct {
		name    string
		keep    bool
		goOn    func(u *Unrolled) *G.Node // without bounds the answer is the mean itself
		refused string
	}{
		{"written over", false, func(u *Unrolled) *G.Node { return G.Must(G.Sub(u.Answer, two)) },
			"Iterates[1].Mu may have been overwritten by "},
		{"sigma written over", false, func(u *Unrolled) *G.Node { return G.Must(G.Square(u.Sigma())) },
			"Iterates[1].Sigma may have been"},
		{"costs written over", false, func(u *Unrolled) *G.Node { return G.Must(G.Neg(u.Iterates[0].F)) },
			"Iterates[0].F may have been"},
		{"copied", true, func(u *Unrolled) *G.Node { return G.Must(G.Sub(u.Answer, two)) }, ""},
		{"the other operand", false, func(u *Unrolled) *G.Node { return G.Must(G.Sub(u.Sigma0, u.Answer)) }, ""},
		{"an input", false, func(u *Unrolled) *G.Node { return G.Must(G.Sub(u.Sigma0, two)) }, ""},
	} {
		t.Run(v.name, func(t *testing.T) {
			g := G.NewGraph()
			u, err := Unroll(g, ripples, c)
			if err != nil {
				t.Fatal(err)
			}
			if v.keep {
				if _, err := u.Keep(); err != nil {
					t.Fatal(err)
				}
			}
			G.Must(G.Sum(G.Must(G.Square(v.goOn(u)))))
			vm, err := engine.NewVM(g)
			if err != nil {
				t.Fatal(err)
			}
			defer vm.Close()
			if err := vm.RunAll(); err != nil {
				t.Fatal(err)
			}
			got, err := u.Diagnose()
			if v.refused != "" {
				wantError(t, err, v.refused)
				wantError(t, err, "call Keep before the graph is compiled")
				return
			}
			sol := mustSolve(t, mustSolver(t, ripplesObjective[float32](t, 1, 100, 2), c, SolverOptions[float32]{}))
			if err != nil || !slices.Equal(got, sol.Diagnoses) {
				t.Errorf("error %v, got  %+v\nwant %+v", err, got, sol.Diagnoses)
			}
		})
	}
}
