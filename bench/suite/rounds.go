package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/bench/step"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	"gorgonia.org/tensor"
)

// A bench is one process's measurement: one instruction set.
type bench struct {
	*settings
	dir   string
	peers []*peer
	on    engine.Device // nil: the CPU
	log   *log
	late  map[string]string // why a peer is not asked for a model again
	lost  []error           // of peers that a case was measured without

	running atomic.Pointer[os.Process] // of a cold start
}

// about is the beginning of a case's results.
func (b *bench) about(name string, batch int, dtype string) result {
	r := result{Case: name, Batch: batch, Dtype: dtype, ISA: b.isas[0], Threads: b.thread}
	if b.gpu() {
		r.Device, r.ISA = b.device, ""
	}
	return r
}

// A duration is in milliseconds.
type duration struct{ wall, cpu float64 }

// A contestant is ready to run a case.
type contestant struct {
	name   string
	errors deviation
	sound  bool          // its answer was compared, and is within the bounds
	ready  time.Duration // that it took to be ready, its answer checked
	run    func(n int) (duration, error)
	close  func() error
	rounds int
	each   int        // times that it runs in a round
	times  []duration // of one step, by round
	gone   bool       // it failed while it was timed
	total  duration
	busy   float64 // time that the cores were busy meanwhile
}

// timed makes a contestant's run of what runs in this process.
func timed(f func(n int) error) func(int) (duration, error) {
	return func(n int) (duration, error) {
		began, cpu := time.Now(), record.CPUSeconds()
		err := f(n)
		return duration{time.Since(began).Seconds() * 1e3, (record.CPUSeconds() - cpu) * 1e3}, err
	}
}

// stepPeers are those that are in the case of a training step, and why others are not.
func (b *bench) stepPeers(c stepCase) (names []string, absent map[string]string) {
	names, absent = []string{"godcem", "torch", "compile", "graphs", "jax", "tape"}, map[string]string{}
	leave := func(name, why string) {
		names = slices.DeleteFunc(names, func(n string) bool { return n == name })
		absent[name] = why
	}
	if c.Size().Model == step.Cartpole {
		leave("tape", "its graph of the cartpole takes minutes to compile")
	}
	if c.scaling {
		leave("compile", "where sizes scale each of them would have to be compiled")
		leave("tape", "where sizes scale it is in the cases of the paper's sizes alone")
	}
	if b.full && b.isas[0] == "avx2" {
		leave("tape", "what is claimed with AVX2 is about the Python peers")
	}
	for name := range absent {
		if !contains(b.only, name) {
			delete(absent, name) // nobody asked
		}
	}
	return b.racing(names), absent
}

// step measures a training step.
func (b *bench) step(about result, c stepCase) error {
	names, absent := b.stepPeers(c)
	about.Flops, about.Absent = c.Flops(), absent
	if b.log.recent(about, names, b.resume) {
		return nil
	}
	if c.Dtype == tensor.Float32 && c.Size().Iterations > step.Iterations {
		d := c
		d.Dtype = tensor.Float64
		if err := b.compete(about, d, names, false); err != nil {
			return err
		}
		// Whose answer is not known to be right is not compared within the bounds for those whose is.
		names = slices.DeleteFunc(names, func(n string) bool { return absent[n] != "" })
		c.known = true
	}
	return b.compete(about, c, names, true)
}

// compete checks the contestants' answers and, with race, times them and notes that. What a peer cannot compile is noted
// in about.Absent.
func (b *bench) compete(about result, c stepCase, names []string, race bool) error {
	began := time.Now()
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
		x.ready, began = time.Since(began), time.Now()
		x.errors = got.against(want)
		if err := c.judge(x); err != nil {
			return err
		}
		x.sound = true
		return nil
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
		about.Bytes = float64(e.vm.Explain().Bytes)
		if err := add(&contestant{name: "godcem", run: timed(e.run), close: e.close, rounds: b.rounds},
			e.first); err != nil {
			return err
		}
	}
	for _, p := range b.peers {
		if !contains(names, p.name) {
			continue
		}
		began = time.Now()
		if err := b.enter(p, about, &all, func() error {
			return b.ready(p, about, c.Size().Model, c.Dtype.String(), file, c.numbers()...)
		}, func() error {
			x := &contestant{name: p.name, run: p.run, rounds: b.rounds}
			return add(x, func() (*outcome, error) { return c.peerFirst(p) })
		}); err != nil {
			return err
		}
	}
	if contains(names, "tape") {
		began = time.Now()
		x := &contestant{name: "tape", rounds: b.roundsOf(about, "tape")}
		first, err := c.tape(x)
		if err == nil {
			err = add(x, first)
		}
		if err != nil {
			if x.close != nil {
				err = errors.Join(err, x.close())
			}
			all = slices.DeleteFunc(all, func(y *contestant) bool { return x == y })
			if err := b.leave(x.name, about, err); err != nil {
				return err
			}
		}
	}
	if !race {
		return nil
	}
	return b.raceAndNote(about, all)
}

// tape makes the TapeMachine's contestant.
func (c stepCase) tape(x *contestant) (func() (*outcome, error), error) {
	s, err := c.Build(nil)
	if err != nil {
		return nil, err
	}
	if c.Dtype == tensor.Float32 {
		return tapeOf[float32](c, s, x)
	}
	return tapeOf[float64](c, s, x)
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
	// With 20 iterations PyTorch's gradient is off by 8 % and 1.7e-10, its loss by no more than with 10.
	loss, grad, move := 1e-11, 1e-10, 1e-6
	if c.Size().Iterations > step.Iterations {
		grad, move = 1e-8, 1e-4
	}
	if c.Dtype == tensor.Float32 {
		loss, grad, move = 3e-5, 1e-2, 1e-1
	}
	if c.known {
		grad, move = 0.5, 1
	}
	if e := x.errors; !(e.Loss <= loss && e.Grad <= grad && e.Move <= move) {
		return fmt.Errorf("%s: relative errors of loss, gradient and update are %.2g, %.2g, %.2g, want at most %g, %g, %g",
			x.name, e.Loss, e.Grad, e.Move, loss, grad, move)
	}
	return nil
}

// note adds the contestants' results to the record.
func (b *bench) note(r result, all []*contestant) error {
	var fresh []result
	flops, moved, absent := r.Flops, r.Bytes, r.Absent
	yard := slices.IndexFunc(all, func(x *contestant) bool { return x.name == yardstick })
	wall, cpu := fastest(all, (*contestant).walls), fastest(all, (*contestant).cpus)
	for _, x := range all {
		s := record.SpreadOf(x.walls())
		r.Contestant, r.Version, r.Checked, r.Rounds = x.name, b.log.version(x.name), x.sound, len(x.times)
		r.Median, r.Low, r.High, r.Least = s.Median, s.Low, s.High, slices.Min(x.walls())
		r.CPU = record.SpreadOf(x.cpus()).Median
		r.Others = max(0, (x.busy-x.total.cpu)/x.total.wall/float64(b.thread))
		r.LossError, r.Error, r.Setup = x.errors.Loss, x.errors.Grad, math.Round(x.ready.Seconds()*100)/100
		r.Ratio, r.CPURatio, r.Yard = nil, nil, nil
		if wall != nil {
			r.Ratio, r.CPURatio = ratios(x.walls(), wall.walls()), ratios(x.cpus(), cpu.cpus())
		}
		if yard >= 0 {
			r.Yard = ratios(x.walls(), all[yard].walls())
		}
		r.Over, r.Absent = nil, nil
		if x.name == "godcem" {
			r.Absent = absent
			r.Over = map[string]*ratio{}
			for _, y := range all {
				if y != x && y.name != yardstick {
					r.Over[y.name] = ratios(x.walls(), y.walls())
				}
			}
		}
		r.Flops, r.Bytes = flops, moved
		if x.name == yardstick {
			r.Flops, r.Bytes = 0, 0
		}
		fresh = append(fresh, r)
	}
	return b.log.add(fresh)
}

// ratios are taken within a round.
func ratios(a, b []float64) *ratio {
	var r []float64
	for i := range min(len(a), len(b)) {
		r = append(r, a[i]/b[i])
	}
	return ratioOf(r)
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

// isPeer says whether ratios are to this contestant, where it is the fastest.
func isPeer(name string) bool { return isScript(name) && name != "numpy" }

func isScript(name string) bool {
	for _, s := range peerScripts {
		if s.name == name {
			return true
		}
	}
	return false
}

func contains(list []string, name string) bool { return slices.Contains(list, name) }
