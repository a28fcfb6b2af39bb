package dcem

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/backend/ref"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
)

// A deviceCase is a kernel with operands: every kernel of the package must be words of the representation, or have
// CUDA C, or else each run on a device would go through the host.
type deviceCase struct {
	name  string
	k     graphop.Kernel
	out   []int
	in    [][]int
	ulp   float64 // of the result's own type, where functions are involved
	words bool    // lowered
}

const devB, devN, devD = 4, 9, 3

// deviceCases are the kernels that are not DCEM's own arithmetic on rows of costs, for one element type.
func deviceCases[T kernels.Float]() []deviceCase {
	s := size{devB, devN, devD}
	b, bd, bn, bnd := []int{devB}, []int{devB, devD}, []int{devB, devN}, []int{devB, devN, devD}
	limits := bounds[T]{[]T{-1, 0, -1}, []T{1, 0, 1}}
	var cases []deviceCase
	add := func(words bool, k graphop.Kernel, out []int, in ...[]int) {
		cases = append(cases, deviceCase{name: strings.Fields(k.String())[0], k: k, out: out, in: in, words: words})
	}
	add(true, keptOp[T]{s}, bd, bn, bd)
	add(true, powerOp[T]{c: 0.75, p: 0.5, cut: 0.5}, bd, bd)
	add(true, powerOp[T]{c: -0.25, p: -1.5, cut: 0, factors: 2}, bd, bd, bd, bd)
	cases[len(cases)-1].ulp, cases[len(cases)-2].ulp = 1, 1
	add(true, selectOp[T]{devD}, bd, b, bd, bd)
	add(true, selectOp[T]{1}, b, b, b, b)
	add(true, selectOp[T]{devN * devD}, bnd, b, bnd, bnd)
	add(true, maskOp[T]{1, true}, b, b, b)
	add(true, maskOp[T]{devD, true}, bd, b, bd)
	add(true, maskOp[T]{devD, false}, bd, b, bd)
	add(true, lessOp[T]{}, b, b, b)
	add(true, leastOp[T]{devN}, b, bn)
	add(true, smoothOp[T]{0, 0.5}, bd, bd, bd)
	add(true, smoothOp[T]{0.3, 0.5}, bd, bd, bd)
	add(true, smoothOp[T]{0.3, math.Inf(-1)}, bd, bd, bd)
	add(true, smoothGradOp[T]{smoothOp[T]{0.3, 0.5}, 0.7}, bd, bd, bd, bd)
	for _, v := range [][3]float64{{0.5, 0, 0}, {0, 0.5, 0.25}, {0.5, 0.5, 0.25}, {0, 0, 0}} {
		add(true, stopOp[T]{s, bounds[T]{}, v[0], v[1], v[2]}, b, b, bd, bd, bd, bd, bn)
		add(true, stopOp[T]{s, limits, v[0], v[1], v[2]}, b, b, bd, bd, bd, bd, bn)
	}
	add(true, cgFiguresOp[T]{devB, devD}, []int{devB, 3}, bd, bd, bd, bd, bd, bd)
	g := &gateState{count: &gradientCount{}}
	add(false, gateGradOp[T]{s, g}, bnd, bn, bnd)
	add(false, costGateGradOp[T]{g}, bn, bn, bn)
	for _, m := range []int{1, 4, devN} {
		bmd := []int{devB, m, devD}
		add(false, gatherOp[T]{s, m}, bmd, bn, bnd)
		add(false, scatterOp[T]{s, m}, bnd, bn, bmd)
	}
	for _, w := range [][]float64{riskWeights(RiskMean, 0, devN), riskWeights(RiskWorst, 0, devN),
		riskWeights(RiskCVaR, 0.4, devN), riskWeights(RiskCVaR, 0.95, devN)} {
		add(false, riskOp[T]{devN, w}, b, bn)
		add(false, riskGradOp[T]{devN, w}, bn, bn, b)
		add(false, riskTangentOp[T]{devN, w}, b, bn, bn)
		// Sums of some terms in another order.
		cases[len(cases)-1].ulp, cases[len(cases)-3].ulp = 64, 64
	}
	return cases
}

// edgy are numbers among which the edges of every kernel are: ties, zeros of both signs, what is not finite.
func edgy[T kernels.Float](r *rand.Rand, n int) []T {
	odd := []float64{0, math.Copysign(0, -1), 1, 1, 0.5, 0.25, -1, math.NaN(), math.Inf(1), math.Inf(-1)}
	v := make([]T, n)
	plain := r.IntN(2) == 0
	for i := range v {
		v[i] = T(r.NormFloat64())
		if j := r.IntN(2 * len(odd)); !plain && j < len(odd) || j < 4 {
			v[i] = T(odd[j])
		}
	}
	if r.IntN(4) == 0 {
		clear(v)
	}
	return v
}

func TestLoweredKernels(t *testing.T) {
	t.Run("float32", testLoweredKernels[float32])
	t.Run("float64", testLoweredKernels[float64])
}

func testLoweredKernels[T kernels.Float](t *testing.T) {
	dt := ir.F32
	if _, ok := any(T(0)).(float64); ok {
		dt = ir.F64
	}
	for _, c := range deviceCases[T]() {
		if !c.words {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			b := ir.NewBuilder()
			feeds := make([]any, len(c.in))
			var in []ir.ID
			for i, s := range c.in {
				in = append(in, b.Input(dt, s, ir.InputAttr{Name: fmt.Sprint("in", i)}))
			}
			l, ok := c.k.(graphop.Lowerer)
			if !ok {
				t.Fatalf("%v has no words", c.k)
			}
			b.Output(l.Lower(b, dt, c.out, in))
			if err := b.Err(); err != nil {
				t.Fatal(err)
			}
			for seed := range uint64(200) {
				r := rand.New(rand.NewPCG(seed, 1))
				for i, s := range c.in {
					feeds[i] = edgy[T](r, ir.Count(s))
				}
				got, err := ref.EvalRounded(b.G, func(id ir.ID) any { return feeds[id] })
				if err != nil {
					t.Fatal(err)
				}
				want := make([]T, ir.Count(c.out))
				c.k.Run(want, feeds)
				for i, g := range got[0].([]T) {
					if w := want[i]; !alike(g, w, c.ulp) {
						t.Fatalf("seed %d: element %d is %v, want %v of %v", seed, i, g, w, feeds)
					}
				}
			}
		})
	}
}

// alike compares values: NaN with NaN, the zeros with each other, and the rest within some units in the last place.
func alike[T kernels.Float](x, y T, ulp float64) bool {
	eps := 0x1p-23
	if _, ok := any(x).(float64); ok {
		eps = 0x1p-52
	}
	return x == y || x != x && y != y || math.Abs(float64(x)-float64(y)) <= ulp*eps*math.Abs(float64(y))
}

// Every kernel of the package is one that the device knows; a new one fails here until it says how.
func TestEveryKernelRunsOnDevices(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	methods := map[string]map[string]bool{}
	embeds := map[string][]string{}
	base := func(e ast.Expr) string {
		for {
			switch v := e.(type) {
			case *ast.IndexExpr:
				e = v.X
			case *ast.StarExpr:
				e = v.X
			case *ast.Ident:
				return v.Name
			default:
				return ""
			}
		}
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if s, ok := n.Type.(*ast.StructType); ok {
					for _, field := range s.Fields.List {
						if len(field.Names) == 0 {
							embeds[n.Name.Name] = append(embeds[n.Name.Name], base(field.Type))
						}
					}
				}
			case *ast.FuncDecl:
				if n.Recv != nil {
					of := base(n.Recv.List[0].Type)
					if methods[of] == nil {
						methods[of] = map[string]bool{}
					}
					methods[of][n.Name.Name] = true
				}
			}
			return true
		})
	}
	var has func(of, method string) bool
	has = func(of, method string) bool {
		if methods[of][method] {
			return true
		}
		for _, e := range embeds[of] {
			if has(e, method) {
				return true
			}
		}
		return false
	}
	count := 0
	for of := range methods {
		if !methods[of]["Run"] || !has(of, "Rules") && !has(of, "Diff") {
			continue
		}
		count++
		if !has(of, "Lower") && !has(of, "Source") {
			t.Errorf("%s has neither Lower nor Source", of)
		}
	}
	if count < 30 {
		t.Errorf("%d kernels found, want at least 30: has this test lost them?", count)
	}
}
