//go:build gpu

package cuda

import (
	_ "embed"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/cpu"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

//go:embed testdata/cublas.cc.txt
var standIn string

// TestCuBLAS gives products to a stand-in for cuBLAS on the simulated driver, which takes the library's arguments,
// and compares them with the CPU's.
func TestCuBLAS(t *testing.T) {
	simulated(t)
	lib := os.Getenv(CuBLASEnv)
	if os.Getenv(childEnv) != t.Name() {
		dir := t.TempDir()
		source := filepath.Join(dir, "cublas.cc")
		lib = filepath.Join(dir, "libcublas.so")
		if err := os.WriteFile(source, []byte(standIn), 0o644); err != nil {
			t.Fatal(err)
		}
		c := exec.Command("g++", "-std=c++17", "-O1", "-fPIC", "-shared", "-o", lib, source, "-ldl")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("g++: %v\n%s", err, out)
		}
	}
	if !child(t, CuBLASEnv+"="+lib) {
		return
	}
	defer func(n int64) { bigProduct = n }(bigProduct)
	bigProduct = 1
	d := open(t)
	build := func(b *ir.Builder) {
		for i, typ := range []ir.DType{ir.F32, ir.F64} {
			for j, tr := range []ir.Trans{{}, {A: true}, {B: true}, {A: true, B: true}} {
				for _, batch := range [][]int{nil, {3}} {
					shape := func(r, c int, trans bool) []int {
						if trans {
							r, c = c, r
						}
						return append(append([]int{}, batch...), r, c)
					}
					name := fmt.Sprint(i, j, len(batch))
					x := b.Input(typ, shape(65, 70, tr.A), ir.InputAttr{Name: "x" + name})
					y := b.Input(typ, shape(70, 68, tr.B), ir.InputAttr{Name: "y" + name})
					b.Output(b.Dot(x, y, tr))
				}
			}
		}
	}
	p := program(t, d, build)
	e := compile(t, d, p)
	defer e.Close()
	products := 0
	for _, l := range e.e.Launches {
		if l.Product != nil {
			products++
		}
	}
	if products != 16 {
		t.Errorf("%d launches of the library, want 16", products)
	}
	want, err := cpu.New().Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	for run := range 2 {
		for _, x := range []backend.Executable{e, want} {
			for k, in := range p.Inputs {
				b := &p.Buffers[in.Buf]
				v := ir.MakeSlice(b.Type, b.Count())
				for i := range b.Count() {
					f := math.Sin(float64(i*7 + k + run))
					switch v := v.(type) {
					case []float32:
						v[i] = float32(f)
					case []float64:
						v[i] = f
					}
				}
				if err := x.Write(in.Buf, v); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(x.Run(nil), x.Sync()); err != nil {
				t.Fatal(err)
			}
		}
		for _, out := range p.Outputs {
			if err := near(&p.Buffers[out.Buf], out.Buf, e, want); err != nil {
				t.Errorf("run %d, output %d: %v", run, out.Node, err)
			}
		}
	}
}

// near compares sums of 70 products of up to 1.
func near(b *plan.Buffer, id plan.BufID, x, y backend.Executable) error {
	got, want := ir.MakeSlice(b.Type, b.Count()), ir.MakeSlice(b.Type, b.Count())
	if err := errors.Join(x.Read(id, got), y.Read(id, want)); err != nil {
		return err
	}
	for i := range b.Count() {
		var g, w, tol float64
		switch v := got.(type) {
		case []float32:
			g, w, tol = float64(v[i]), float64(want.([]float32)[i]), 70*0x1p-23
		case []float64:
			g, w, tol = v[i], want.([]float64)[i], 70*0x1p-52
		}
		if !(math.Abs(g-w) <= tol) {
			return fmt.Errorf("element %d is %v, want %v", i, g, w)
		}
	}
	return nil
}

// TestNoCuBLAS: an absent library is an error that says what to do.
func TestNoCuBLAS(t *testing.T) {
	if !child(t, CuBLASEnv+"=/nowhere/libcublas.so") {
		return
	}
	defer func(n int64) { bigProduct = n }(bigProduct)
	bigProduct = 1
	d := open(t)
	p := program(t, d, func(b *ir.Builder) {
		x := b.Input(ir.F32, []int{64, 64}, ir.InputAttr{Name: "x"})
		b.Output(b.Dot(x, x, ir.Trans{}))
	})
	_, err := d.Compile(p)
	const file = "/nowhere/libcublas.so"
	if err == nil || !strings.Contains(err.Error(), CuBLASEnv) || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v, want one that names %s and %s", err, CuBLASEnv, file)
	}
}
