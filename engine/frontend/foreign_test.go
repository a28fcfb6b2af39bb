package frontend

import (
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"testing"

	"github.com/chewxy/hm"
	"github.com/godcem/godcem/engine/ir"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// failing is an op that panics, or fails, in Do.
type failing struct{ how string }

func (failing) Arity() int { return 1 }
func (failing) Type() hm.Type {
	return hm.NewFnType(hm.TypeVariable('a'),
		hm.TypeVariable('a'))
}
func (failing) InferShape(d ...G.DimSizer) (tensor.Shape, error) { return d[0].(tensor.Shape), nil }
func (failing) ReturnsPtr() bool                                 { return false }
func (failing) CallsExtern() bool                                { return false }
func (failing) OverwritesInput() int                             { return -1 }
func (f failing) WriteHash(h hash.Hash)                          { fmt.Fprint(h, "failing", f.how) }
func (f failing) Hashcode() uint32                               { return uint32(len(f.how)) }
func (f failing) String() string                                 { return "failing-" + f.how }

func (f failing) Do(v ...G.Value) (G.Value, error) {
	switch f.how {
	case "panic":
		panic("ouch")
	case "error":
		return nil, errors.New("ouch")
	case "nil":
		return nil, nil
	case "shape":
		return tensor.New(tensor.Of(tensor.Float64), tensor.WithShape(7)), nil
	case "type":
		return tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(v[0].Shape()...)), nil
	case "scribble": // what it gets is its own
		d := v[0].Data().([]float64)
		for i := range d {
			d[i] = -1
		}
	}
	return v[0], nil
}

// lowering is an op that says itself, or fails to.
type lowering struct {
	failing
	lower func(b *ir.Builder, in []ir.ID) (ir.ID, error)
}

func (l lowering) Lower(b *ir.Builder, in []ir.ID) (ir.ID, error) { return l.lower(b, in) }

func TestForeignOps(t *testing.T) {
	for how, want := range map[string]string{
		"panic": "ouch", "error": "ouch", "nil": "no value", "shape": "float64 (7), want float64 (3)",
		"type": "float32 (3), want float64 (3)", "scribble": "",
	} {
		g := G.NewGraph()
		x := vector(g, "x", 1, 2, 3)
		n := G.Must(G.Abs(x))
		y, err := G.ApplyOpWithName(failing{how}, "the culprit", n)
		if err != nil {
			t.Fatal(err)
		}
		z := G.Must(G.Add(n, n))
		m, err := Import(g, Options{All: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = devices[0].run(m)
		if want == "" {
			if got, twice := valueOf(t, m, y), valueOf(t, m, z); err != nil || !equal(got, []float64{-1, -1, -1}) ||
				!equal(twice, []float64{2, 4, 6}) {
				t.Errorf("%s: %v and %v, error %v", how, got, twice, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "the culprit") ||
			!strings.Contains(err.Error(), "failing-"+how) {
			t.Errorf("%s: error %v, want the op, the node and %q", how, err, want)
		}
	}
	for name, c := range map[string]struct {
		lower func(b *ir.Builder, in []ir.ID) (ir.ID, error)
		host  bool
	}{
		"right": {func(b *ir.Builder, in []ir.ID) (ir.ID, error) {
			return b.Unary(ir.Neg, b.Unary(ir.Neg, in[0])), b.Err()
		}, false},
		"an error": {func(b *ir.Builder, in []ir.ID) (ir.ID, error) {
			b.Unary(ir.Exp, in[0])
			return -1,
				errors.New("no")
		}, true},
		"the builder's": {func(b *ir.Builder, in []ir.ID) (ir.ID, error) {
			return b.Reshape(in[0], sh(17)),
				b.Err()
		}, true},
		"a wrong shape": {func(b *ir.Builder, in []ir.ID) (ir.ID, error) {
			return b.Reshape(in[0], sh(3, 1)),
				nil
		}, true},
		"a node of nowhere":  {func(b *ir.Builder, in []ir.ID) (ir.ID, error) { return 99, nil }, true},
		"its operand itself": {func(b *ir.Builder, in []ir.ID) (ir.ID, error) { return in[0], nil }, false},
	} {
		g := G.NewGraph()
		x := vector(g, "x", 1, 2, 3)
		y, err := G.ApplyOp(lowering{failing{"not"}, c.lower}, x)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Import(g, Options{All: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := valueOf(t, m, y); !equal(got, []float64{1, 2, 3}) || (len(hosts(m)) == 1) != c.host {
			t.Errorf("%s: %v on %v", name, got, hosts(m))
		}
		if c.host && len(m.Graph.Nodes) != 2 {
			t.Errorf("%s: %d nodes, want the input and the kernel", name, len(m.Graph.Nodes))
		}
	}
}

// TestHostOpGetsCopies: an op of another package may write to what the engine computed for it.
func TestHostOpGetsCopies(t *testing.T) {
	k := &hostOp{op: failing{"scribble"}, in: []operand{{shape: sh(2), t: ir.F64}}, out: sh(2), t: ir.F64}
	in, out := []float64{1, 2}, []float64{0, 0}
	if err := k.Run(out, []any{in}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(in, []float64{1, 2}) || !slices.Equal(out, []float64{-1, -1}) {
		t.Errorf("operand %v, result %v", in, out)
	}
}
