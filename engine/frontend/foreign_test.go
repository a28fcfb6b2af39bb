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
		"the builder's, not passed on": {func(b *ir.Builder, in []ir.ID) (ir.ID, error) {
			b.Reshape(in[0], sh(17))
			return in[0], nil
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
		k, _ := m.Graph.Nodes[m.IDs[m.Number(y)]].Attr.(ir.Kernel)
		if c.host && !strings.HasPrefix(Why(k), "Lower: ") {
			t.Errorf("%s: it runs on the host because of %q", name, Why(k))
		}
		if c.host && len(m.Graph.Nodes) != 2 {
			t.Errorf("%s: %d nodes, want the input and the kernel", name, len(m.Graph.Nodes))
		}
	}
}

// TestLowerPanics: a bug of an op is an error with its node, not a slower run.
func TestLowerPanics(t *testing.T) {
	g := G.NewGraph()
	op := lowering{failing{"not"}, func(*ir.Builder, []ir.ID) (ir.ID, error) { panic("oops") }}
	if _, err := G.ApplyOpWithName(op, "the culprit", vector(g, "x", 1)); err != nil {
		t.Fatal(err)
	}
	_, err := Import(g, Options{All: true})
	for _, part := range []string{"the culprit", "failing-not", "Lower", "oops"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %q in it", err, part)
		}
	}
}

// TestUnknownTypes: doc/ops.md says which element types there are.
func TestUnknownTypes(t *testing.T) {
	g := G.NewGraph()
	G.NewVector(g, tensor.Int8, G.WithShape(3), G.WithName("small"))
	_, err := Import(g, Options{All: true})
	for _, part := range []string{"small", "int8", "int64"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %q in it", err, part)
		}
	}
}

// TestHostOpsOnlyRead: the ops of rows.go that get no copies leave their operands as they are.
func TestHostOpsOnlyRead(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range opCases() {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			d := &gradients[0]
			if c.flat {
				d = nil
			}
			w, m, err := c.imported(dt, d)
			if err != nil {
				continue // TestOps says why
			}
			vals, err := devices[0].run(m)
			if err != nil {
				continue
			}
			value := map[ir.ID]any{}
			for i, id := range m.Graph.Outputs {
				value[id] = vals[i]
			}
			for i, x := range w.x {
				flat, err := Flat(x.Value())
				if err != nil {
					t.Fatal(err)
				}
				if c.inputs[i].ints == nil && !equal(floats(flat), w.vals[i]) {
					t.Errorf("%s %s: a run changes input %d", c.fn, c.name, i)
				}
			}
			for i := range m.Graph.Nodes {
				k, ok := m.Graph.Nodes[i].Attr.(*hostOp)
				if !ok || !shares(k) {
					continue
				}
				in := make([]any, len(k.in))
				for j := range in {
					if a := k.in[j].at; a >= 0 {
						in[a] = value[m.Graph.Nodes[i].In[a]]
					}
				}
				in = slices.DeleteFunc(in, func(a any) bool { return a == nil })
				before := make([]any, len(in))
				for j := range in {
					before[j] = clone(in[j])
				}
				out := ir.MakeSlice(k.t, ir.Count(k.out))
				if err := k.Run(out, in); err != nil {
					t.Errorf("%s %s: %v", c.fn, c.name, err)
				}
				for j := range in {
					if !equal(floats(before[j]), floats(in[j])) {
						t.Errorf("%s %s: %v changes operand %d", c.fn, c.name, k.op, j)
					}
				}
				seen[opName(k.op)] = true
			}
		}
	}
	for name, r := range rows {
		if r.reads && r.lower == nil && !seen[name] {
			t.Errorf("%s was not met", name)
		}
	}
}

// shares reports whether a kernel gets any operand without a copy.
func shares(k *hostOp) bool {
	return slices.ContainsFunc(k.in, func(o operand) bool { return o.view || o.input != nil })
}

// TestInputsOfHostOps: an op on the host takes an input where it is; nothing else needs it on the device.
func TestInputsOfHostOps(t *testing.T) {
	g := G.NewGraph()
	x := bound(g, tensor.Float64, sh(1000, 2), make([]float64, 2000), "x")
	at := G.NewVector(g, tensor.Int, G.WithShape(2), G.WithName("at"),
		G.WithValue(tensor.New(tensor.WithBacking([]int{7, 3}))))
	y := G.Must(G.ByIndices(x, at, 0))
	m, err := Import(g, Options{All: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Inputs) != 0 || !slices.Equal(m.Direct, []int32{m.Number(x), m.Number(at)}) {
		t.Errorf("inputs %v, direct %v, want none and both", m.Inputs, m.Direct)
	}
	x.Value().Data().([]float64)[14] = 5 // in place
	if got := valueOf(t, m, y); !equal(got, []float64{5, 0, 0, 0}) {
		t.Errorf("%v, want [5 0 0 0]", got)
	}
	// A value in another order.
	if v, err := tensor.Transpose(tensor.New(tensor.WithShape(2, 1000), tensor.WithBacking(
		ramp(tensor.Float64, 2000).Data()))); err != nil {
		t.Fatal(err)
	} else if err := G.Let(x, v); err != nil {
		t.Fatal(err)
	}
	if got := valueOf(t, m, y); !equal(got, []float64{4, 504, 2, 502}) {
		t.Errorf("%v, want [4 504 2 502]", got)
	}
	// A view that is not contiguous.
	wide := ramp(tensor.Float64, 1000, 3).(*tensor.Dense)
	part, err := wide.Slice(nil, G.S(0, 2))
	if err == nil {
		err = G.Let(x, part)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := valueOf(t, m, y); !equal(got, []float64{11, 11.5, 5, 5.5}) {
		t.Errorf("%v, want [11 11.5 5 5.5]", got)
	}
	// What lives on the device is not taken from the host.
	m, err = Import(g, Options{All: true, Resident: G.Nodes{x}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Direct, []int32{m.Number(at)}) {
		t.Errorf("resident: direct %v, want that of the indices", m.Direct)
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
