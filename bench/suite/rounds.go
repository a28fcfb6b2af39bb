package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/bench/step"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	"gorgonia.org/tensor"
)

// A result is one contestant in one case.
type result struct {
	Case       string  `json:"case"`
	Batch      int     `json:"batch,omitempty"`
	Dtype      string  `json:"dtype"`
	Device     string  `json:"device,omitempty"` // "": the CPU
	ISA        string  `json:"isa,omitempty"`
	Threads    int     `json:"threads"`
	Contestant string  `json:"contestant"`
	Median     float64 `json:"median_ms"`
	Low        float64 `json:"low"`  // quartiles
	High       float64 `json:"high"` // of the rounds
	Least      float64 `json:"least_ms"`
	CPU        float64 `json:"cpu_ms"` // median of the CPU time, that of spinning threads too
	Others     float64 `json:"others"` // share of the cores' time that other processes took while it ran
	Rounds     int     `json:"rounds"`
	Checked    bool    `json:"checked"`
	LossError  float64 `json:"loss_error,omitempty"` // relative, to godcem's float64 answer
	Error      float64 `json:"error"`                // of the gradient or the kernel's result, relative in the 2-norm
	// Ratio is this contestant's time over that of the fastest Python peer of the round, its median and quartiles.
	Ratio    *record.Spread `json:"ratio,omitempty"`
	CPURatio *record.Spread `json:"cpu_ratio,omitempty"` // the same of CPU times
}

type results struct {
	Versions map[string]string `json:"versions"`
	Cases    []result          `json:"cases"`
}

// A bench is one process's measurement: one instruction set.
type bench struct {
	*settings
	dir   string
	peers []*peer
	on    engine.Device // nil: the CPU
	results
}

func (b *bench) measure(kind string) error {
	switch kind {
	case step.Regression, step.Cartpole:
		for _, dtype := range b.dtypes {
			for _, batch := range b.batch {
				c := stepCase{step.Case{Model: kind, Batch: batch, Dtype: map[string]tensor.Dtype{"float32": tensor.Float32, "float64": tensor.Float64}[dtype]}}
				if err := b.step(c); err != nil {
					return fmt.Errorf("%v: %w", c, err)
				}
			}
		}
	case "sgemm":
		for _, size := range [][3]int{{10000, 128, 128}, {1000, 256, 256}, {10000, 2, 128}, {100, 128, 128}, {1000, 256, 20}} {
			c := sgemm(size[0], size[1], size[2])
			if err := b.kernel(c); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	case "lml":
		c := lml(100, 100, 10)
		if err := b.kernel(c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// A duration is in milliseconds.
type duration struct{ wall, cpu float64 }

// A contestant is ready to run a case.
type contestant struct {
	name   string
	errors deviation
	run    func(n int) (duration, error)
	close  func() error
	rounds int
	times  []duration // of one step, by round
	total  duration
	busy   float64 // time that the cores were busy meanwhile
}

// timed makes a contestant's run of what runs in this process.
func timed(f func(n int) error) func(int) (duration, error) {
	return func(n int) (duration, error) {
		began, cpu := time.Now(), processTime()
		err := f(n)
		return duration{time.Since(began).Seconds() * 1e3, processTime() - cpu}, err
	}
}

// step measures a training step.
func (b *bench) step(c stepCase) error {
	want, err := c.reference()
	if err != nil {
		return err
	}
	file, err := c.write(b.dir)
	if err != nil {
		return err
	}
	var all []*contestant
	defer func() {
		for _, x := range all {
			if x.close != nil {
				x.close()
			}
		}
	}()
	add := func(x *contestant, first func() (*outcome, error)) error {
		all = append(all, x)
		got, err := first()
		if err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
		x.errors = got.against(want)
		return c.judge(x)
	}
	if contains(b.only, "godcem") {
		s, err := c.Build(nil)
		if err != nil {
			return err
		}
		var opts []engine.Option
		if b.on != nil {
			opts = append(opts, engine.On(b.on))
		}
		e, err := newEngine(c, s, opts...)
		if err != nil {
			return err
		}
		if err := add(&contestant{name: "godcem", run: timed(e.run), close: e.close, rounds: b.rounds}, e.first); err != nil {
			return err
		}
	}
	for _, p := range b.peers {
		began := time.Now()
		err := p.setup(c.Size().Model, c.Dtype.String(), file, c.numbers()...)
		x := &contestant{name: p.name, run: p.run, rounds: b.rounds}
		if err == nil {
			err = add(x, func() (*outcome, error) { return c.peerFirst(p) })
		}
		if err != nil && b.gpu() { // with the versions that the machine has, it may not even compile
			fmt.Fprintf(os.Stderr, "%v: left out: %v\n", c, err)
			all = slices.DeleteFunc(all, func(y *contestant) bool { return x == y })
			continue
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%v: %s is ready after %.1f s, errors %.1e\n", c, p.name, time.Since(began).Seconds(), x.errors)
	}
	if contains(b.only, "tape") {
		s, err := c.Build(nil)
		if err != nil {
			return err
		}
		x := &contestant{name: "tape", rounds: min(b.rounds, 2)}
		var first func() (*outcome, error)
		if c.Dtype == tensor.Float32 {
			first, err = tapeOf[float32](c, s, x)
		} else {
			first, err = tapeOf[float64](c, s, x)
		}
		if err != nil {
			return err
		}
		if err := add(x, first); err != nil {
			return err
		}
	}
	if err := b.race(all); err != nil {
		return err
	}
	b.note(result{Case: c.Name(), Batch: c.Batch, Dtype: c.Dtype.String()}, all)
	return nil
}

func tapeOf[T kernels.Float](c stepCase, s *step.Graph, x *contestant) (func() (*outcome, error), error) {
	t, err := newTape[T](c, s)
	if err != nil {
		return nil, err
	}
	x.run, x.close = timed(t.run), t.close
	return t.first, nil
}

// judge is an error if the contestant's answer is not the reference's.
func (c stepCase) judge(x *contestant) error {
	// Rounding errors grow through ten refits and back: a unit of the last place of a cost moves the weights, and these
	// the next samples. Seen were 1e-5 and 2e-3 of loss and gradient in float32, 1e-14 and 2e-13 in float64. Adam's
	// first step is the gradient's sign: elements that are nearly 0 differ more.
	loss, grad, move := 1e-11, 1e-10, 1e-6
	if c.Dtype == tensor.Float32 {
		loss, grad, move = 3e-5, 1e-2, 1e-1
	}
	if e := x.errors; !(e.Loss <= loss && e.Grad <= grad && e.Move <= move) {
		return fmt.Errorf("%s: relative errors of loss, gradient and update are %.2g, %.2g, %.2g, want at most %g, %g, %g",
			x.name, e.Loss, e.Grad, e.Move, loss, grad, move)
	}
	return nil
}

// race times the contestants in turn, in rounds that begin with another one each.
func (b *bench) race(all []*contestant) error {
	target := 300.0 // ms that a contestant runs in a round
	if b.quick {
		target = 150
	}
	patience := time.Now().Add(b.patience)
	repeat := make([]int, len(all))
	for i, x := range all { // what is compiled or allocated on first use is so now
		d, err := x.run(1)
		if err == nil && d.wall < target {
			d, err = x.run(1)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
		if d.wall < target { // a better guess, and another warm-up
			n := max(1, int(target/4/d.wall))
			if d, err = x.run(n); err != nil {
				return fmt.Errorf("%s: %w", x.name, err)
			}
			d.wall /= float64(n)
		}
		repeat[i] = max(1, int(math.Round(target/d.wall)))
	}
	for round := 0; ; round++ {
		ran := false
		for j := range all {
			i := (j + round) % len(all)
			x := all[i]
			if round >= x.rounds {
				continue
			}
			ran = true
			runtime.GC()                      // the last one's garbage is not this one's
			time.Sleep(20 * time.Millisecond) // nor are its spinning threads
			d, err := x.undisturbed(repeat[i], patience)
			if err != nil {
				return fmt.Errorf("%s: %w", x.name, err)
			}
			n := float64(repeat[i])
			x.times = append(x.times, duration{d.wall / n, d.cpu / n})
		}
		if !ran {
			return nil
		}
	}
}

// disturbed is the share of the cores' time that others may take of a run: what cannot be told from none, since time is
// counted in ticks.
const disturbed = 0.08

// undisturbed runs the contestant n times while the cores are its own; after the deadline it takes what it gets.
func (x *contestant) undisturbed(n int, deadline time.Time) (duration, error) {
	for {
		for time.Now().Before(deadline) && loadOf(100*time.Millisecond) > disturbed {
		}
		busy := busyTime()
		d, err := x.run(n)
		if err != nil {
			return d, err
		}
		busy = busyTime() - busy
		if time.Now().Before(deadline) && (busy-d.cpu)/d.wall/float64(cores) > disturbed {
			continue
		}
		x.busy += busy
		x.total.wall, x.total.cpu = x.total.wall+d.wall, x.total.cpu+d.cpu
		return d, nil
	}
}

// loadOf is the share of the cores' time that is taken, by anyone, in the next moment.
func loadOf(moment time.Duration) float64 {
	began, busy := time.Now(), busyTime()
	time.Sleep(moment)
	return (busyTime() - busy) / (time.Since(began).Seconds() * 1e3) / float64(cores)
}

// note adds the contestants' results.
func (b *bench) note(r result, all []*contestant) {
	r.ISA, r.Threads = b.isas[0], b.thread
	if b.gpu() {
		r.Device, r.ISA = b.device, ""
	}
	wall, cpu := fastest(all, (*contestant).walls), fastest(all, (*contestant).cpus)
	for _, x := range all {
		s := record.SpreadOf(x.walls())
		r.Contestant, r.Checked, r.Rounds = x.name, true, len(x.times)
		r.Median, r.Low, r.High, r.Least = s.Median, s.Low, s.High, slices.Min(x.walls())
		r.CPU = record.SpreadOf(x.cpus()).Median
		r.Others = max(0, (x.busy-x.total.cpu)/x.total.wall/float64(b.thread))
		r.LossError, r.Error = x.errors.Loss, x.errors.Grad
		r.Ratio, r.CPURatio = nil, nil
		if wall != nil {
			r.Ratio, r.CPURatio = ratios(x.walls(), wall.walls()), ratios(x.cpus(), cpu.cpus())
		}
		b.Cases = append(b.Cases, r)
	}
}

// ratios are taken within a round.
func ratios(a, b []float64) *record.Spread {
	var r []float64
	for i := range min(len(a), len(b)) {
		r = append(r, a[i]/b[i])
	}
	s := record.SpreadOf(r)
	return &s
}

func (x *contestant) walls() (ms []float64) {
	for _, d := range x.times {
		ms = append(ms, d.wall)
	}
	return ms
}

func (x *contestant) cpus() (ms []float64) {
	for _, d := range x.times {
		ms = append(ms, d.cpu)
	}
	return ms
}

// fastest is the Python peer of the least median of some times.
func fastest(all []*contestant, times func(*contestant) []float64) (best *contestant) {
	least := math.Inf(1)
	for _, x := range all {
		if !isPeer(x.name) {
			continue
		}
		if t := record.SpreadOf(times(x)).Median; best == nil || t < least {
			best, least = x, t
		}
	}
	return best
}

func isPeer(name string) bool {
	for _, s := range peerScripts {
		if s.name == name {
			return true
		}
	}
	return false
}

func contains(list []string, name string) bool { return slices.Contains(list, name) }
