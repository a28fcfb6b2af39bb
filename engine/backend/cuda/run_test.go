//go:build gpu

package cuda

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
)

// want is what halves gives for an input of v everywhere, in columns of rows elements, within a few units.
func checkHalves(t *testing.T, sum float32, v float32, rows int) {
	t.Helper()
	if want := float64(rows) * math.Tanh(float64(v)) / 2; !(math.Abs(float64(sum)-want) <= 1e-6*math.Abs(want)) {
		t.Errorf("the sum of %d halves of tanh %v is %v, want %v", rows, v, sum, want)
	}
}

// A run is one launch of one graph: no waiting, no copy but the inputs'. Reading an output is one copy.
func TestOneGraphPerRun(t *testing.T) {
	s, d := simulated(t), open(t)
	p := program(t, d, halves(50, 30))
	e := compile(t, d, p)
	defer e.Close()
	if _, graphs := e.Launches(); graphs != 1 {
		t.Errorf("%d graphs, want 1", graphs)
	}
	kinds := []string{"graphLaunch", "launch", "h2d", "d2h", "d2d", "memset", "sync", "alloc", "pinned", "capture"}
	counts := func(f func()) map[string]uint64 {
		before := map[string]uint64{}
		for _, k := range kinds {
			before[k] = s.count(k)
		}
		f()
		for _, k := range kinds {
			if before[k] = s.count(k) - before[k]; before[k] == 0 {
				delete(before, k)
			}
		}
		return before
	}
	for i := range 3 {
		v := float32(i) + 0.25
		got := counts(func() {
			feed(t, e, p, v)
			if err := e.Run(nil); err != nil {
				t.Fatal(err)
			}
		})
		if want := "map[graphLaunch:1 h2d:1]"; fmt.Sprint(got) != want {
			t.Errorf("run %d: %v, want %s", i, got, want)
		}
		got = counts(func() {
			sum, err := first(e, p, 1)
			if err != nil {
				t.Fatal(err)
			}
			checkHalves(t, sum, v, 50)
		})
		if got["d2h"] != 1 || got["graphLaunch"] != 0 || got["h2d"] != 0 {
			t.Errorf("reading an output: %v, want one copy", got)
		}
	}
}

// Whatever was allocated is gone after Close, and with the device the context.
func TestNothingIsLeft(t *testing.T) {
	s := simulated(t)
	before := s.alive()
	d, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	p := program(t, d, halves(50, 30))
	for range 2 {
		e := compile(t, d, p)
		feed(t, e, p, 1)
		for _, watch := range []func(int) error{nil, func(int) error { return nil }} {
			if err := e.Run(watch); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Close(); err == nil || !strings.Contains(err.Error(), "1 programs are still loaded") {
			t.Errorf("close of a device with a program: error %v", err)
		}
		for range 2 { // the second does nothing
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := e.Run(nil); err == nil {
			t.Error("a run after Close: no error")
		}
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.Compile(p); err == nil {
		t.Error("Compile after Close: no error")
	}
	if after := s.alive(); after != before {
		t.Errorf("left behind: %q, before it was %q", after, before)
	}
	if left := text(s.leaked); left != "" {
		t.Errorf("left at the context's end: %q", left)
	}
}

// Inputs that are too large for the stage go in pieces; what was written and not yet copied is not overwritten.
func TestLargeAndManyWrites(t *testing.T) {
	d := open(t)
	rows := 2*mostStage/4/64 + 100 // three parts of the stage: the first comes round again
	p := program(t, d, halves(rows, 64))
	e := compile(t, d, p)
	defer e.Close()
	data := make([]float32, rows*64)
	for i := range data {
		data[i] = float32(i%977) / 977
	}
	if err := e.Write(p.Inputs[0].Buf, data); err != nil {
		t.Fatal(err)
	}
	back := make([]float32, len(data))
	clear(data[:7]) // Write has returned: the slice may be changed
	if err := e.Read(p.Inputs[0].Buf, back); err != nil {
		t.Fatal(err)
	}
	for i, v := range back {
		if v != float32(i%977)/977 {
			t.Fatalf("element %d came back as %v", i, v)
		}
	}
	small := program(t, d, halves(3, 5000))
	f := compile(t, d, small)
	defer f.Close()
	var sums []float32
	for i := range 40 { // the stage goes around several times without a wait
		feed(t, f, small, float32(i))
		if err := f.Run(nil); err != nil {
			t.Fatal(err)
		}
		if i%13 == 12 {
			sum, err := first(f, small, 1)
			if err != nil {
				t.Fatal(err)
			}
			sums = append(sums, sum)
		}
	}
	for i, sum := range sums {
		checkHalves(t, sum, float32(13*i+12), 3)
	}
}

// Devices, and several programs on each, run in goroutines at once.
func TestDevicesAtOnce(t *testing.T) {
	if !child(t, "GODCEM_SIM_DEVICES=2") {
		return
	}
	if n, err := Count(); n != 2 || err != nil {
		t.Fatalf("%d devices, error %v", n, err)
	}
	if _, err := New(2); err == nil || !strings.Contains(err.Error(), "want one of 0 to 1") {
		t.Errorf("the third of two devices: error %v", err)
	}
	var wait sync.WaitGroup
	for n := range 2 {
		d, err := New(n)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for k := range 3 {
			wait.Go(func() {
				p := program(t, d, halves(20+k, 40))
				for i := range 4 {
					x, err := d.Compile(p)
					if err != nil {
						t.Error(err)
						return
					}
					e := x.(*executable)
					v := float32(1+i) / 8
					feed(t, e, p, v)
					if err := e.Run(nil); err != nil {
						t.Error(err)
					}
					sum, err := first(e, p, 1)
					if err != nil {
						t.Error(err)
					}
					checkHalves(t, sum, v, 20+k)
					if err := e.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wait.Wait()
}

// counting is a kernel whose rows count themselves.
type counting struct{ n *atomic.Int64 }

func (counting) String() string { return "counting" }

func (counting) Run(out any, in []any) error {
	copy(out.([]float32), in[0].([]float32))
	return nil
}

func (c counting) Source(out int, _ []int) *ir.Source {
	return &ir.Source{Rows: out, Width: 1, Counts: []*atomic.Int64{c.n},
		Call: "if (threadIdx.x == 0) { $0[row] = $1[row]; atomicAdd((unsigned long long*)$c, 1ull); }"}
}

// Counters of kernels come to the host when it waits, and each run's once.
func TestCounters(t *testing.T) {
	d := open(t)
	c := counting{new(atomic.Int64)}
	p := program(t, d, func(b *ir.Builder) {
		x := b.Input(ir.F32, []int{7}, ir.InputAttr{Name: "x"})
		b.Output(b.Custom(c, ir.F32, []int{7}, x))
	})
	e := compile(t, d, p)
	defer e.Close()
	feed(t, e, p, 1)
	for i := range 3 {
		for range 2 {
			if err := e.Run(nil); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := e.Sync(); err != nil {
				t.Fatal(err)
			}
			if got, want := c.n.Load(), int64(14*(i+1)); got != want {
				t.Errorf("after %d runs: %d counted, want %d", 2*(i+1), got, want)
			}
		}
	}
	if err := e.Run(func(int) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if got := c.n.Load(); got != 49 {
		t.Errorf("after a watched run: %d counted, want 49", got)
	}
}

// A program's memory may be read by its addresses, and no other; programs take values from each other.
func TestRemote(t *testing.T) {
	d := open(t)
	p := program(t, d, halves(4, 6))
	e, f := compile(t, d, p), compile(t, d, p)
	defer e.Close()
	defer f.Close()
	feed(t, e, p, 0.5)
	if err := e.Run(nil); err != nil {
		t.Fatal(err)
	}
	in, out := p.Inputs[0].Buf, p.Outputs[0].Buf
	got := make([]float32, 24)
	if err := e.Fetch(ir.Bytes(got), e.Address(out)); err != nil {
		t.Fatal(err)
	}
	checkHalves(t, got[23], 0.5, 1)
	for _, at := range []uintptr{0, e.Address(in) - 4096, uintptr(e.arena) + uintptr(p.Arena), math.MaxUint64} {
		if err := e.Fetch(make([]byte, 8), at); err == nil {
			t.Errorf("Fetch from %#x, which is not the program's: no error", at)
		}
	}
	if at := e.Address(-1); at != 0 {
		t.Errorf("buffer -1 lies at %#x", at)
	}
	half := got[0]
	for _, x := range []*executable{f, e} {
		if done, err := x.Take(in, e, e.Address(out)); !done || err != nil {
			t.Fatalf("Take: %v, error %v", done, err)
		}
		if err := x.Run(nil); err != nil {
			t.Fatal(err)
		}
		sum, err := first(x, p, 1)
		if err != nil {
			t.Fatal(err)
		}
		checkHalves(t, sum, half, 4)
	}
	if done, err := f.Take(in, backend.Executable(nil), 1); done || err != nil {
		t.Errorf("Take from nothing: %v, error %v", done, err)
	}
	if done, err := f.Take(out, e, e.Address(out)); !done || err != nil {
		t.Errorf("Take into an output, as Write: %v, error %v", done, err)
	}
}

// Reports are of the runs they were asked after, oldest first, and nobody waits for what is not asked for.
func TestReports(t *testing.T) {
	s, d := simulated(t), open(t)
	p := program(t, d, halves(50, 30))
	e := compile(t, d, p)
	defer e.Close()
	sum := p.Outputs[1].Buf
	got := make([]float32, 30)
	if err := e.NextReport(got); err == nil {
		t.Error("a report of nothing: no error")
	}
	for round := range 2 {
		waits := s.count("sync")
		for i := range backend.Reports {
			feed(t, e, p, float32(round*100+i)/64)
			if err := e.Run(nil); err != nil {
				t.Fatal(err)
			}
			if err := e.Report(sum); err != nil {
				t.Fatal(err)
			}
		}
		if waits = s.count("sync") - waits; waits > 2 { // the stage may go around
			t.Errorf("%d waits in %d runs", waits, backend.Reports)
		}
		if err := e.Report(sum); err == nil {
			t.Error("a report too many: no error")
		}
		for i := range backend.Reports {
			if i == 3 {
				if err := e.NextReport(got[:29]); err == nil {
					t.Error("a report into too short a slice: no error")
				}
			}
			if err := e.NextReport(got); err != nil {
				t.Fatal(err)
			}
			checkHalves(t, got[29], float32(round*100+i)/64, 50)
		}
	}
}
