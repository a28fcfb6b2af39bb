//go:build gpu

package engine

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// openGPU is the first GPU, closed at the end of the test.
func openGPU(t *testing.T) Device {
	t.Helper()
	d, err := Open("cuda:0")
	must(t, err)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

func TestOpenGPU(t *testing.T) {
	d := openGPU(t)
	info := d.Info()
	if info.Name != "cuda:0" || info.Model == "" || info.Memory < 1<<20 ||
		!strings.Contains(info.Detail, "compute capability "+info.Compute) || info.Compute < "7.5" && len(info.Compute) == 3 {
		t.Errorf("the device is %+v", info)
	}
	if !slices.ContainsFunc(Devices(), func(i Info) bool { return i == info }) {
		t.Errorf("%+v is not among %+v", info, Devices())
	}
	for _, name := range []string{"cuda:99", "cuda:-1", "cuda:", "cuda:01", "cuda:x"} {
		if _, err := Open(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Open(%q): error %v", name, err)
		}
	}
}

// Values stay on a GPU until they are asked for, and go from VM to VM there.
func TestKeepOnGPU(t *testing.T) {
	d := openGPU(t)
	g, x, y, z := doubler(t)
	vm, err := NewVM(g, On(d), KeepOnDevice(y))
	must(t, err)
	defer vm.Close()
	must(t, G.Let(x, vector(1, 2, 3)))
	must(t, vm.RunAll())
	if y.Value() != nil || !slices.Equal(z.Value().Data().([]float32), []float32{3, 6, 9}) {
		t.Errorf("y = %v, z = %v", y.Value(), z.Value())
	}
	on, err := vm.Device(y)
	must(t, err)
	host, err := on.Host()
	must(t, err)
	if !slices.Equal(host.Float32s(), []float32{2, 4, 6}) || on.String() != "float32 (3) on cuda:0" {
		t.Errorf("%v is %v", on, host)
	}
	g2, x2, _, z2 := doubler(t)
	vm2, err := NewVM(g2, On(d))
	must(t, err)
	defer vm2.Close()
	must(t, G.Let(x2, on))
	must(t, vm2.RunAll())
	if got := z2.Value().Data().([]float32); !slices.Equal(got, []float32{6, 12, 18}) {
		t.Errorf("z of the second VM = %v", got)
	}
	l := vm.Explain().Launches
	if l == nil || l.Graphs != 1 || l.HostSteps != 0 {
		t.Errorf("Explain: %+v, want one graph of launches", l)
	}
}

// square is a graph of loss = sum (w x)^2 with the parameter w.
func square(t *testing.T, n int) (w, loss *G.Node) {
	t.Helper()
	g := G.NewGraph()
	w = G.NewVector(g, tensor.Float32, G.WithShape(n), G.WithName("w"), G.WithInit(G.Ones()))
	loss = G.Must(G.Sum(G.Must(G.Square(w))))
	return w, loss
}

// The checks of every value run launch by launch, and name the node.
func TestCheckNumericsOnGPU(t *testing.T) {
	d := openGPU(t)
	g, x, _, _ := doubler(t)
	vm, err := NewVM(g, On(d), CheckNumerics())
	must(t, err)
	defer vm.Close()
	must(t, G.Let(x, vector(1, float32(math.Inf(1)), 3)))
	var n *NumericsError
	if err := vm.RunAll(); !errors.As(err, &n) {
		t.Errorf("an infinite input: error %v", err)
	}
	must(t, G.Let(x, vector(1, 2, 3)))
	must(t, vm.RunAll())
}

// Losses are those of a VM on the CPU, whenever they are asked for.
func TestLossesOnGPU(t *testing.T) {
	cpu, err := Open("cpu")
	must(t, err)
	d := openGPU(t)
	var all [2][]float64
	for k, on := range []Device{cpu, d} {
		w, loss := square(t, 5)
		vm, err := NewVM(loss.Graph(), On(on), KeepOnDevice(loss), WithUpdate(kernels.Optimizer{Rate: 0.01}, loss, w))
		must(t, err)
		for i := range 50 {
			must(t, vm.RunAll())
			if i == 7 || i == 30 {
				l, err := vm.Losses()
				must(t, err)
				all[k] = append(all[k], l...)
			}
			if i == 20 {
				l, err := vm.Loss()
				must(t, err)
				all[k] = append(all[k], l)
			}
		}
		must(t, vm.Sync())
		l, err := vm.Losses()
		must(t, err)
		all[k] = append(all[k], l...)
		must(t, vm.Close())
	}
	if len(all[0]) != 51 || len(all[1]) != 51 {
		t.Fatalf("%d and %d losses, want 51", len(all[0]), len(all[1]))
	}
	for i := range all[0] {
		if !(math.Abs(all[0][i]-all[1][i]) <= 1e-5*all[0][0]) {
			t.Errorf("loss %d is %v on the GPU, %v on the CPU", i, all[1][i], all[0][i])
		}
	}
}

// gpuChild reports whether the process is the one of its own that the test works in: the simulated driver reads these
// variables when it is initialised.
func gpuChild(t *testing.T, env ...string) bool {
	t.Helper()
	const mark = "GODCEM_TEST_CHILD"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	if maps, err := os.ReadFile("/proc/self/maps"); err != nil || !strings.Contains(string(maps), "simcuda") {
		t.Skip("the driver is not the simulated one: this needs LD_LIBRARY_PATH=$(go run ./internal/simcuda/cmd/simcuda)")
	}
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	c.Env = append(append(os.Environ(), env...), mark+"="+t.Name())
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("with %v: %v\n%s", env, err, out)
	}
	return false
}

// A VM on a device that is lost refuses with the first cause; what the host has stays.
func TestLostGPU(t *testing.T) {
	if !gpuChild(t, "GODCEM_SIM_FAIL=fault@7") {
		return
	}
	d, err := Open("cuda:0")
	must(t, err)
	w, loss := square(t, 5)
	vm, err := NewVM(loss.Graph(), On(d), WithUpdate(kernels.Optimizer{Rate: 0.1}, loss, w))
	must(t, err)
	must(t, vm.RunAll())
	must(t, vm.Sync())
	kept := slices.Clone(w.Value().Data().([]float32))
	var first error
	for range 10 {
		if first = errors.Join(vm.RunAll(), vm.Sync()); first != nil {
			break
		}
		kept = slices.Clone(w.Value().Data().([]float32))
	}
	if !errors.Is(first, ErrDeviceLost) {
		t.Fatalf("the run that loses the device: error %v", first)
	}
	if err := vm.RunAll(); !errors.Is(err, ErrDeviceLost) || !strings.Contains(err.Error(), "refused after an earlier error") {
		t.Errorf("RunAll afterwards: error %v", err)
	}
	if err := vm.Close(); !errors.Is(err, ErrDeviceLost) {
		t.Errorf("Close, which cannot fetch the parameters: error %v", err)
	}
	if got := w.Value().Data().([]float32); !slices.Equal(got, kept) {
		t.Errorf("the host's parameters are %v, want %v as they were synced last", got, kept)
	}
	must(t, d.Close())
	// The training goes on with what the host has.
	vm, err = NewVM(loss.Graph(), On(openGPU(t)), WithUpdate(kernels.Optimizer{Rate: 0.1}, loss, w))
	must(t, err)
	must(t, vm.RunAll())
	must(t, vm.Close())
	if got := w.Value().Data().([]float32); !(got[0] < kept[0]) {
		t.Errorf("after another step the parameters are %v, before %v", got, kept)
	}
}

// A graph that does not fit is an error that says what it needs; the host's values stay, and a device that has room
// takes the graph.
func TestGPUOutOfMemory(t *testing.T) {
	if !gpuChild(t, "GODCEM_SIM_MEMORY=16777216") {
		return
	}
	d := openGPU(t)
	w, loss := square(t, 8<<20)
	_, err := NewVM(loss.Graph(), On(d), WithUpdate(kernels.Optimizer{Rate: 0.1}, loss, w))
	if !errors.Is(err, ErrOutOfMemory) || !errors.Is(err, backend.ErrOutOfMemory) || !strings.Contains(err.Error(), "free of 16.0 MiB") {
		t.Fatalf("a parameter of 32 MiB on a device of 16 MiB: error %v", err)
	}
	if got := w.Value().Data().([]float32)[1]; got != 1 {
		t.Errorf("the host's parameter is %v, want 1", got)
	}
	cpu, err := Open("cpu")
	must(t, err)
	vm, err := NewVM(loss.Graph(), On(cpu), WithUpdate(kernels.Optimizer{Rate: 0.1}, loss, w))
	must(t, err)
	must(t, vm.RunAll())
	must(t, vm.Close())
	if got := w.Value().Data().([]float32)[1]; !(got < 1) {
		t.Errorf("after a step on the CPU the parameter is %v", got)
	}
}
