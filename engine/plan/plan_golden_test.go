package plan_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

var update = flag.Bool("update", false, "write the golden files anew")

// mlp is a net of two layers with softplus between them, its squared loss and the gradients.
func mlp() *ir.Graph {
	b := ir.NewBuilder()
	in := func(name string, s ...int) ir.ID { return b.Input(ir.F32, s, ir.InputAttr{Name: name}) }
	par := func(name string, s ...int) ir.ID {
		return b.Input(ir.F32, s, ir.InputAttr{Name: name, Resident: true})
	}
	x, w1, b1, w2, b2 := in("x", 64, 8), par("w1", 8, 32), par("b1", 32), par("w2", 32, 4), par("b2", 4)
	y := in("y", 64, 4)
	p1 := b.Binary(ir.Add, b.Dot(x, w1, ir.Trans{}), b.BroadcastTo(b1, []int{64, 32}))
	z1 := b.Unary(ir.Softplus, p1)
	out := b.Binary(ir.Add, b.Dot(z1, w2, ir.Trans{}), b.BroadcastTo(b2, []int{64, 4}))
	d := b.Binary(ir.Sub, out, y)
	loss := b.BinaryS(ir.Mul, b.Reduce(ir.ReduceSum, b.Unary(ir.Square, d), 0, 1), 1.0/256)
	g := b.BinaryS(ir.Mul, d, 2.0/256)
	gb2 := b.Reduce(ir.ReduceSum, g, 0)
	gw2 := b.Dot(z1, g, ir.Trans{A: true})
	gz := b.Dot(g, w2, ir.Trans{B: true})
	gp := b.Binary(ir.Mul, gz, b.Unary(ir.Sigmoid, p1))
	gb1 := b.Reduce(ir.ReduceSum, gp, 0)
	gw1 := b.Dot(x, gp, ir.Trans{A: true})
	b.Output(loss, gw1, gb1, gw2, gb2)
	return must(b)
}

func must(b *ir.Builder) *ir.Graph {
	if b.Err() != nil {
		panic(b.Err())
	}
	return b.G
}

// softmax of the rows of a matrix.
func softmax() *ir.Graph {
	b := ir.NewBuilder()
	x := b.Input(ir.F32, []int{6, 10}, ir.InputAttr{Name: "x"})
	rows := func(v ir.ID) ir.ID { return b.BroadcastTo(b.Reshape(v, []int{6, 1}), []int{6, 10}) }
	e := b.Unary(ir.Exp, b.Binary(ir.Sub, x, rows(b.Reduce(ir.ReduceMax, x, 1))))
	b.Output(b.Binary(ir.Div, e, rows(b.Reduce(ir.ReduceSum, e, 1))))
	return must(b)
}

// rollout takes steps of a damped pendulum, whose controls are columns of u, and gives the cost and its gradient. The
// gradient of the cost per problem begins with weights that depend on all costs, so that it cannot share a loop with
// the way forward.
func rollout(n, steps int) *ir.Graph {
	b := ir.NewBuilder()
	u := b.Input(ir.F32, []int{n, steps}, ir.InputAttr{Name: "u"})
	th := b.Input(ir.F32, []int{n, 1}, ir.InputAttr{Name: "theta"})
	om := b.Input(ir.F32, []int{n, 1}, ir.InputAttr{Name: "omega"})
	bin, un, s := b.Binary, b.Unary, b.BinaryS
	type state struct{ th, om, u, sin, cos, tanh ir.ID }
	var at []state
	cost := ir.ID(-1)
	for t := range steps {
		c := b.Slice(u, []int{0, t}, []int{1, 1}, []int{n, 1})
		v := state{th: th, om: om, u: c, sin: un(ir.Sin, th), tanh: un(ir.Tanh, c)}
		at = append(at, v)
		om = bin(ir.Add, s(ir.Mul, om, 0.99), s(ir.Mul, bin(ir.Sub, v.tanh, v.sin), 0.05))
		th = bin(ir.Add, th, s(ir.Mul, om, 0.05))
		k := bin(ir.Add, un(ir.Square, th), s(ir.Mul, un(ir.Square, om), 0.1))
		if t > 0 {
			k = bin(ir.Add, cost, k)
		}
		cost = k
		at[t].th, at[t].om = th, om // after the step
		at[t].cos = v.th
	}
	total := b.Reduce(ir.ReduceSum, cost, 0)
	g := bin(ir.Div, un(ir.Exp, cost), b.BroadcastTo(un(ir.Exp, b.Reshape(total, []int{1, 1})), []int{n, 1}))
	gth, gom := b.Full(ir.F32, []int{n, 1}, 0), b.Full(ir.F32, []int{n, 1}, 0)
	parts := make([]ir.ID, steps)
	for t := steps - 1; t >= 0; t-- {
		v := at[t]
		gth = bin(ir.Add, gth, bin(ir.Mul, g, s(ir.Mul, v.th, 2)))
		gom = bin(ir.Add, bin(ir.Add, gom, bin(ir.Mul, g, s(ir.Mul, v.om, 0.2))), s(ir.Mul, gth, 0.05))
		ga := s(ir.Mul, gom, 0.05)
		parts[t] = bin(ir.Mul, ga, bin(ir.Sub, b.Full(ir.F32, []int{n, 1}, 1), un(ir.Square, v.tanh)))
		gth = bin(ir.Sub, gth, bin(ir.Mul, ga, un(ir.Cos, v.cos)))
		gom = s(ir.Mul, gom, 0.99)
	}
	b.Output(total, b.Concat(1, parts...))
	return must(b)
}

// noisy samples twice around a mean and a width, with a product between, and takes the gradient of the width: the
// noise is drawn again.
func noisy() *ir.Graph {
	b := ir.NewBuilder()
	run := b.Input(ir.Int64, nil, ir.InputAttr{Name: "run", RunNumber: true})
	mu := b.Input(ir.F32, []int{3, 1, 5}, ir.InputAttr{Name: "mu"})
	sigma := b.Input(ir.F32, []int{3, 1, 5}, ir.InputAttr{Name: "sigma"})
	w := b.Input(ir.F32, []int{5, 2}, ir.InputAttr{Name: "w"})
	shape := []int{3, 7, 5}
	eps := b.Random(ir.Normal, ir.F32, shape, ir.Rand{Seed: 1, Draw: 2}, run)
	x := b.Binary(ir.Add, b.BroadcastTo(mu, shape), b.Binary(ir.Mul, b.BroadcastTo(sigma, shape), eps))
	h := b.Unary(ir.Tanh, b.Dot(b.Reshape(x, []int{21, 5}), w, ir.Trans{}))
	gh := b.Binary(ir.Sub, b.Full(ir.F32, []int{21, 2}, 1), b.Unary(ir.Square, h))
	gx := b.Reshape(b.Dot(gh, w, ir.Trans{B: true}), shape)
	b.Output(b.Reduce(ir.ReduceSum, b.Binary(ir.Mul, gx, eps), 1), b.Reduce(ir.ReduceSum, gx, 1))
	return must(b)
}

// listing is what a program says of its steps and buffers, without places and lives.
func listing(p *plan.Program) string {
	var s strings.Builder
	for _, line := range strings.Split(p.String(), "\n")[1:] {
		if strings.HasPrefix(line, "b") {
			line, _, _ = strings.Cut(line, " @")
		}
		s.WriteString(line + "\n")
	}
	return s.String()
}

func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name string
		g    *ir.Graph
	}{{"mlp", mlp()}, {"softmax", softmax()}, {"rollout", rollout(50, 3)}, {"noisy", noisy()}} {
		p, err := plan.New(c.g, plan.Options{Disable: []string{"schedule"}})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err := p.Verify(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := same(p, c.g, graphs.Feed(c.g, 1), graphs.Tol32); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		file := filepath.Join("testdata", c.name+".txt")
		got := listing(p)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: the listing is not that of %s (go test -run Golden -update writes it):\n%s",
				c.name, file, got)
		}
	}
}

// chain is nodes long: mul, add and tanh in turn, and the gradient.
func chain(nodes int) *ir.Graph {
	b := ir.NewBuilder()
	shape := []int{64, 16}
	x := b.Input(ir.F32, shape, ir.InputAttr{Name: "x"})
	a := b.Input(ir.F32, shape, ir.InputAttr{Name: "a"})
	c := b.Input(ir.F32, shape, ir.InputAttr{Name: "c"})
	var ys []ir.ID
	v := x
	for len(b.G.Nodes) < nodes/2 {
		v = b.Unary(ir.Tanh, b.Binary(ir.Add, b.Binary(ir.Mul, v, a), c))
		ys = append(ys, v)
	}
	loss := b.Reduce(ir.ReduceSum, v, 0, 1)
	g := b.Full(ir.F32, shape, 1)
	one := b.Full(ir.F32, shape, 1)
	for i := len(ys) - 1; i >= 0; i-- {
		g = b.Binary(ir.Mul, b.Binary(ir.Mul, g, b.Binary(ir.Sub, one, b.Unary(ir.Square, ys[i]))), a)
	}
	b.Output(loss, g)
	return must(b)
}

// Planning takes time in proportion to the graph.
func BenchmarkNew(b *testing.B) {
	for _, nodes := range []int{1000, 10000, 30000} {
		for _, all := range []bool{false, true} {
			g := chain(nodes)
			if all {
				g.Outputs = nil
				for i := range g.Nodes {
					g.Outputs = append(g.Outputs, ir.ID(i))
				}
			}
			b.Run(fmt.Sprintf("nodes=%d/all=%v", nodes, all), func(b *testing.B) {
				for b.Loop() {
					if _, err := plan.New(g, plan.Options{}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*nodes), "ns/node")
			})
		}
	}
}
