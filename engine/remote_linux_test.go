package engine

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/cpu"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// far is the CPU behind a wall: addresses that the host must not touch stand for its memory.
type far struct {
	backend.Device
	fetched int // by Read and Fetch
	taken   int
}

type farRun struct {
	backend.Executable
	d    *far
	p    *plan.Program
	wall []byte
}

func (d *far) Compile(p *plan.Program) (backend.Executable, error) {
	e, err := d.Device.Compile(p)
	if err != nil {
		return nil, err
	}
	wall, err := syscall.Mmap(-1, 0, p.Arena+1, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	return &farRun{e, d, p, wall}, nil
}

func (e *farRun) Memory(plan.BufID) any { return nil }

func (e *farRun) base() uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(e.wall))) }

func (e *farRun) Address(b plan.BufID) uintptr { return e.base() + uintptr(e.p.Buffers[b].Offset) }

func (e *farRun) Read(b plan.BufID, dst any) error {
	e.d.fetched++
	return e.Executable.Read(b, dst)
}

func (e *farRun) Fetch(dst []byte, from uintptr) error {
	e.d.fetched++
	for i := range e.p.Buffers {
		b := plan.BufID(i)
		if e.p.Buffers[i].Role != plan.Temp && e.Address(b) == from && e.p.Buffers[i].Bytes() == len(dst) {
			data := ir.MakeSlice(e.p.Buffers[i].Type, e.p.Buffers[i].Count())
			if err := e.Executable.Read(b, data); err != nil {
				return err
			}
			copy(dst, bytesOf(data))
			return nil
		}
	}
	return fmt.Errorf("far: no buffer at %#x", from)
}

func (e *farRun) Take(b plan.BufID, other backend.Executable, from uintptr) (bool, error) {
	o, ok := other.(*farRun)
	if !ok || o.d != e.d {
		return false, nil
	}
	data := ir.MakeSlice(e.p.Buffers[b].Type, e.p.Buffers[b].Count())
	if err := o.Fetch(bytesOf(data), from); err != nil {
		return true, err
	}
	e.d.fetched--
	e.d.taken++
	return true, e.Write(b, data)
}

func (e *farRun) Close() error {
	if e.wall == nil {
		return nil
	}
	err := syscall.Munmap(e.wall)
	e.wall = nil
	if e2 := e.Executable.Close(); err == nil {
		err = e2
	}
	return err
}

// doubler is a graph of y = 2x and z = x + y on vectors of three.
func doubler(t *testing.T) (g *G.ExprGraph, x, y, z *G.Node) {
	t.Helper()
	g = G.NewGraph()
	x = G.NewVector(g, tensor.Float32, G.WithShape(3), G.WithName("x"))
	y = G.Must(G.Add(x, x))
	z = G.Must(G.Add(x, y))
	return g, x, y, z
}

func vector(v ...float32) *tensor.Dense {
	return tensor.New(tensor.WithShape(len(v)), tensor.WithBacking(v))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Values of KeepOnDevice are copied when they are asked for and at no other time, go from VM to VM on the device, and
// are never stale.
func TestKeepOnDevice(t *testing.T) {
	d := &far{Device: cpu.New()}
	g, x, y, z := doubler(t)
	vm, err := NewVM(g, On(d), KeepOnDevice(y))
	must(t, err)
	defer vm.Close()
	if _, err := vm.Device(y); err == nil {
		t.Error("Device before the first RunAll: no error")
	}
	must(t, G.Let(x, vector(1, 2, 3)))
	must(t, vm.RunAll())
	if got := z.Value().Data(); !slices.Equal(got.([]float32), []float32{3, 6, 9}) {
		t.Errorf("z = %v", got)
	}
	if y.Value() != nil {
		t.Errorf("y, which stays on the device, has the value %v", y.Value())
	}
	if d.fetched != 1 {
		t.Errorf("%d values were copied to the host, want z alone", d.fetched)
	}
	on, err := vm.Device(y)
	must(t, err)
	if on.IsNativelyAccessible() || !strings.Contains(fmt.Sprintf("%v", on), "float32 (3) on cpu") {
		t.Errorf("the tensor on the device is accessible: %v", on)
	}
	host := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(3))
	must(t, tensor.Copy(host, on.Dense))
	if !slices.Equal(host.Data().([]float32), []float32{2, 4, 6}) {
		t.Errorf("the copy of y is %v", host)
	}
	if got := on.Data(); !slices.Equal(got.([]float32), []float32{2, 4, 6}) {
		t.Errorf("the data of y is %v", got)
	}
	v, err := vm.Value(y)
	must(t, err)
	if !slices.Equal(v.Data().([]float32), []float32{2, 4, 6}) {
		t.Errorf("Value(y) = %v", v)
	}
	must(t, vm.RunAll())
	if y.Value() != nil {
		t.Error("y has the value of an earlier run")
	}

	// To another VM, over the device and over the host.
	for _, other := range []*far{d, {Device: cpu.New()}} {
		g2, x2, _, z2 := doubler(t)
		vm2, err := NewVM(g2, On(other))
		must(t, err)
		must(t, G.Let(x2, on))
		before := other.taken
		must(t, vm2.RunAll())
		if got := z2.Value().Data(); !slices.Equal(got.([]float32), []float32{6, 12, 18}) {
			t.Errorf("z of the second VM = %v", got)
		}
		if took := other.taken - before; (took == 1) != (other == d) {
			t.Errorf("%d values went over the device", took)
		}
		must(t, vm2.Close())
	}
	// To itself.
	must(t, G.Let(x, on))
	must(t, vm.RunAll())
	if got := z.Value().Data(); !slices.Equal(got.([]float32), []float32{6, 12, 18}) {
		t.Errorf("z of y as x = %v", got)
	}
	must(t, G.Let(x, vector(1, 2, 3)))
	must(t, vm.Close())
	if _, err := on.Host(); err == nil {
		t.Error("a copy from the device after Close: no error")
	}
}

// Where the device's memory is the host's, KeepOnDevice is Outputs and Device gives a plain tensor.
func TestKeepOnDeviceNear(t *testing.T) {
	OnCPU(t) // a device whose memory the host sees
	g, x, y, z := doubler(t)
	vm, err := NewVM(g, KeepOnDevice(y))
	must(t, err)
	defer vm.Close()
	must(t, G.Let(x, vector(1, 2, 3)))
	must(t, vm.RunAll())
	for _, n := range []*G.Node{y, z} {
		on, err := vm.Device(n)
		must(t, err)
		if !on.IsNativelyAccessible() || !slices.Equal(on.Data().([]float32), n.Value().Data().([]float32)) {
			t.Errorf("%v on the device is %v, want %v", n, on, n.Value())
		}
	}
	if _, err := vm.Device(x); err == nil {
		t.Error("Device of an input: no error")
	}
	if _, err := vm.Device(nil); err == nil {
		t.Error("Device of nil: no error")
	}
}

// The whole engine works on a device whose memory the host cannot see.
func TestFarDevice(t *testing.T) {
	g, x, y, z := doubler(t)
	vm, err := NewVM(g, On(&far{Device: cpu.New()}))
	must(t, err)
	defer vm.Close()
	for _, v := range [][]float32{{1, 2, 3}, {-4, 5, 6}} {
		must(t, G.Let(x, vector(v...)))
		must(t, vm.RunAll())
		for i := range v {
			if y.Value().Data().([]float32)[i] != 2*v[i] || z.Value().Data().([]float32)[i] != 3*v[i] {
				t.Errorf("of %v: y = %v, z = %v", v, y.Value(), z.Value())
			}
		}
	}
}
