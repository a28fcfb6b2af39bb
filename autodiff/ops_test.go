package autodiff

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

var update = flag.Bool("update", false, "rewrite the table in README.md")

// Every op against finite differences: first derivatives with inputs as operands and with operands that the
// TapeMachine may overwrite, second derivatives with the latter.
func TestOps(t *testing.T) {
	for _, c := range opCases() {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []struct {
				order int
				fed   bool
			}{{1, false}, {1, true}, {2, true}} {
				err := verify(c, r.order, r.fed, Gradients)
				if c.refused {
					if !errors.Is(err, errNoByIndices) {
						t.Errorf("order %d: %v, want a refusal", r.order, err)
					}
					continue
				}
				if c.bad == "" && err != nil {
					t.Errorf("order %d, fed %v: %v", r.order, r.fed, err)
				}
				if c.bad != "" && r.order == 1 && !errors.Is(err, errWrong) {
					t.Errorf("order 1: %v, want a wrong value (%s)", err, c.bad)
				}
			}
		})
	}
}

// The same gradients in float32, against those in float64.
func TestFloat32(t *testing.T) {
	for _, c := range opCases() {
		if c.refused {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			for order := 1; order <= 2; order++ {
				var got [2][]float64
				for i, dt := range []tensor.Dtype{tensor.Float64, tensor.Float32} {
					s, err := makeStage(c, dt, order, false, Gradients)
					if err != nil {
						if dt == tensor.Float32 && strings.HasPrefix(c.name, "Pow x^3") {
							return // the constant of that case is a float64
						}
						t.Fatal(err)
					}
					inputs := slices.Concat(s.x, s.weights)
					m, err := newMachine(s.g, inputs, s.grads...)
					if err != nil {
						t.Fatal(err)
					}
					all := c.point(rand.New(rand.NewPCG(5, uint64(order))), size(s.x...), size(inputs...))
					for j := range all {
						all[j] = float64(float32(all[j]))
					}
					if got[i], err = m.run(all); err != nil {
						t.Fatal(err)
					}
				}
				// A few roundings of 6e-8 each, and sums of a few dozen terms.
				check.Close(t, fmt.Sprintf("order %d", order), got[1], got[0], 2e-5)
			}
		})
	}
}

// The table in README.md says what Gorgonia's own SymDiffs do; this recomputes it.
func TestTable(t *testing.T) {
	type tally struct{ right, wrong, fails, bad, refused int }
	ops := []string{}
	tallies := make(map[string]*[2]tally)
	for _, c := range opCases() {
		op := strings.Fields(c.name)[0]
		if tallies[op] == nil {
			ops = append(ops, op)
			tallies[op] = new([2]tally)
		}
		for i := range 2 {
			t := &tallies[op][i]
			if c.bad != "" {
				t.bad++
				continue
			}
			if c.refused {
				t.refused++
			}
			err := verify(c, 1, true, stock)
			if i == 1 && err == nil {
				err = verify(c, 2, true, stock) // of a wrong first derivative the second is wrong, too
			}
			switch {
			case err == nil:
				t.right++
			case errors.Is(err, errWrong):
				t.wrong++
			default:
				t.fails++
			}
		}
	}
	describe := func(t tally) string {
		total := t.right + t.wrong + t.fails + t.bad
		var parts []string
		for _, p := range []struct {
			n    int
			what string
		}{{t.wrong, "wrong"}, {t.fails, "fails"}, {t.bad, "wrong already as a value"}} {
			switch {
			case p.n == total:
				parts = append(parts, p.what)
			case p.n > 0:
				parts = append(parts, fmt.Sprintf("%s in %d of %d cases", p.what, p.n, total))
			}
		}
		if len(parts) == 0 {
			return "right"
		}
		return strings.Join(parts, ", ")
	}
	var rows, fine []string
	for _, op := range ops {
		first, second := describe(tallies[op][0]), describe(tallies[op][1])
		if first == "right" && second == "right" {
			fine = append(fine, op)
			continue
		}
		here := "right"
		if bad := tallies[op][0].bad; bad > 0 {
			here = fmt.Sprintf("right but for %d case (see below)", bad)
		}
		if tallies[op][0].refused > 0 {
			here = "an error"
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s |\n", op, first, second, here))
	}
	table := "| op | first derivative | second derivative | both in this package |\n|--|--|--|--|\n" + strings.Join(rows, "") +
		"\nRight upstream in all cases, to second order: " + strings.Join(fine, ", ") + ".\n"
	const begin, end = "<!-- table -->\n", "<!-- end of table -->\n"
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(readme), begin)
	old, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("README.md has no %q ... %q", begin, end)
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(head+begin+table+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != table {
		t.Errorf("the table in README.md is out of date (go test -run TestTable -update writes it):\n%s", table)
	}
}

// Gorgonia's ops that this package will not differentiate say so; the sweep does not pass them over.
func TestNoGradient(t *testing.T) {
	g := G.NewGraph()
	x := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("x"))
	at := G.Must(G.At(x, 1, 2))
	if _, err := Gradients(at, x); err == nil || !strings.Contains(err.Error(), "At") {
		t.Errorf("At: %v, want an error that names it", err)
	}
	v := G.NewVector(g, tensor.Float64, G.WithShape(3), G.WithName("v"))
	d, err := G.ApplyOp(opaque{}, v)
	if err != nil {
		t.Fatal(err)
	}
	sum := G.Must(G.Sum(d))
	if _, err := Gradients(sum, v); err == nil || !strings.Contains(err.Error(), "opaque") {
		t.Errorf("an op that is not an SDOp: %v, want an error that names it", err)
	}
	// Off the path it does not matter.
	out := G.Must(G.Add(sum, G.Must(G.Sum(x))))
	if _, err := Gradients(out, x); err != nil {
		t.Errorf("an op that is not an SDOp, off the path: %v", err)
	}
}
