package engine_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend/null"
	"github.com/godcem/godcem/engine/emit"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// An explanation for a device with launches counts and models them; it has none for others.
func TestExplainLaunches(t *testing.T) {
	engine.OnCPU(t)
	g := G.NewGraph()
	matrix := func(name string) *G.Node {
		v := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(50, 50))
		return G.NewMatrix(g, tensor.Float32, G.WithShape(50, 50), G.WithName(name), G.WithValue(v))
	}
	x, w := matrix("x"), matrix("w")
	y := x
	for range 5 {
		y = G.Must(G.Tanh(G.Must(G.Mul(y, w))))
	}
	vm, err := engine.NewVM(g, engine.On(null.Emitted(emit.Options{})), engine.Outputs(y))
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	e := vm.Explain()
	l := e.Launches
	if l == nil {
		t.Fatal("no launches")
	}
	if l.Graphs != 1 || l.HostSteps != 0 || l.Inputs != 2 || l.InputBytes != 2*4*2500 || len(l.List) != 5 {
		t.Errorf("%+v, want 1 graph of 5 launches and 2 inputs of 10 kB", l)
	}
	// An epilogue per product, all alike.
	if len(l.Repeats) != 1 || l.Repeats[0].Length != 1 || l.Repeats[0].Times != 5 || l.Kernels != 1 {
		t.Errorf("%d kernels, repeats %+v, want one kernel 5 times", l.Kernels, l.Repeats)
	}
	// The inputs are copied together, the output alone.
	if l.Outputs != 1 || l.OutputBytes != 4*2500 || l.Copies != 2 || l.Report {
		t.Errorf("%+v, want an output of 10 kB, and 2 copies", l)
	}
	sum, least := 2*2e-6, 2*2e-6
	for _, x := range l.List {
		sum += x.Seconds
		least += x.Least
		work, traffic := float64(x.Flops)/60e12, float64(x.Bytes)/4.3e12
		want, model := 2e-6+max(work, traffic), 2e-6+max(work*132/float64(min(x.Blocks, 132)), traffic)
		if !(math.Abs(x.Least-want) < 1e-12) || !(math.Abs(x.Seconds-model) < 1e-12) || x.Stages != 0 ||
			x.Flops <= 2*50*50*50 || x.Bytes < 3*4*2500 || x.Blocks < 1 || x.Threads < 32 || x.Kernel == "" {
			t.Errorf("%+v: want %v and %v seconds, a kernel, and its work", x, want, model)
		}
	}
	if !(math.Abs(l.Seconds-sum) < 1e-12) || !(math.Abs(l.Least-least) < 1e-12) {
		t.Errorf("%v and %v seconds in all, the launches and copies take %v and %v", l.Least, l.Seconds, least, sum)
	}
	for _, want := range []string{"5 of 1 kernels in 1 graph launch", "host copies: 2 a run, of 2 inputs (20.0 kB), 1 output (10.0 kB)\n",
		"5 times 1 launch from #0", "\nlaunches:\n"} {
		if s := e.String(); !strings.Contains(s, want) {
			t.Errorf("no %q in\n%s", want, s)
		}
	}
	text, err := e.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var back engine.Explanation
	if err := json.Unmarshal(text, &back); err != nil || back.Launches == nil || len(back.Launches.List) != 5 {
		t.Errorf("JSON: %v, %+v", err, back.Launches)
	}
	plain, err := engine.NewVM(g, engine.Outputs(y))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if e := plain.Explain(); e.Launches != nil || strings.Contains(e.String(), "\nlaunches") {
		t.Errorf("the CPU launches: %+v", e.Launches)
	}
}
