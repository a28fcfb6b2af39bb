package engine

import (
	"errors"
	"fmt"
	"math"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// errNoUpdate is the error of what only a VM with an update can do.
var errNoUpdate = errors.New("the VM has no update, see engine.WithUpdate")

// lossesKept is how many losses wait for [VM.Losses].
const lossesKept = 4096

// losses remembers what updates report, so that nobody has to wait for a run to end.
type losses struct {
	info    []float64 // gradient norm, clipped, skipped, loss: of the last run that was looked at
	host    any       // info
	pending bool      // a run has ended that was not looked at
	waiting int       // runs that the device keeps the reports of
	ring    []float64
	first   int
	count   int
}

// startUpdate writes the learning rate and those parameters that have values.
func (vm *VM) startUpdate() error {
	if vm.update == nil {
		return nil
	}
	vm.losses = losses{info: make([]float64, 4), ring: make([]float64, lossesKept)}
	vm.losses.host = vm.losses.info
	rate := vm.config.update.optimizer.Rate
	if rate == 0 {
		rate = defaultRate
	}
	if err := vm.writeRate(rate); err != nil {
		return err
	}
	for i := range vm.params {
		if p := &vm.params[i]; p.node.Value() != nil && !vm.blind {
			if err := vm.writeParam(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// defaultRate is what a Rate of 0 means to kernels.Optimizer.
const defaultRate = 1e-3

// writeParam copies a parameter's value to the device.
func (vm *VM) writeParam(p *param) error {
	v := p.node.Value()
	if err := vm.write(&p.input, v); err != nil {
		return err
	}
	p.seen, p.loaded = v, true
	return nil
}

func (vm *VM) writeRate(rate float64) error {
	if err := vm.exec.Write(vm.update.Rate, []float64{rate}); err != nil {
		return fmt.Errorf("engine: the learning rate: %w", err)
	}
	vm.rate = rate
	return nil
}

// enterUpdate is enter for what needs an update.
func (vm *VM) enterUpdate(method string) error {
	if err := vm.enter(method); err != nil {
		return err
	}
	if vm.update == nil {
		vm.leave()
		return fmt.Errorf("engine: %s: %w", method, errNoUpdate)
	}
	return nil
}

// SetRate sets the learning rate from the next RunAll on: a finite number above 0. Nothing is compiled again.
func (vm *VM) SetRate(rate float64) error {
	if err := vm.enterUpdate("SetRate"); err != nil {
		return err
	}
	defer vm.leave()
	if !(rate > 0 && rate <= math.MaxFloat64) {
		return fmt.Errorf("engine: SetRate: %v, want a finite number above 0", rate)
	}
	return vm.writeRate(rate)
}

// Rate is the learning rate; 0 without an update. It waits while another goroutine uses the VM.
func (vm *VM) Rate() float64 {
	defer vm.wait()()
	return vm.rate
}

// Load writes the nodes' values to the device: of parameters whose values were changed in place.
func (vm *VM) Load(params ...*G.Node) error {
	if err := vm.enterUpdate("Load"); err != nil {
		return err
	}
	defer vm.leave()
next:
	for _, n := range params {
		for i := range vm.params {
			if p := &vm.params[i]; p.node == n {
				if err := vm.writeParam(p); err != nil {
					return err
				}
				continue next
			}
		}
		if n == nil {
			return errors.New("engine: Load: a node is nil")
		}
		return fmt.Errorf("engine: Load: %s is not a parameter of the VM's update", describe(n))
	}
	return nil
}

// Sync waits for the last RunAll and writes the parameters to the values of their nodes, in place. A parameter that
// was bound to a new value since the last RunAll keeps that: it is on its way to the device. Without an update Sync
// only waits.
func (vm *VM) Sync() error {
	if err := vm.enter("Sync"); err != nil {
		return err
	}
	defer vm.leave()
	return vm.sync()
}

func (vm *VM) sync() error {
	if err := vm.exec.Sync(); err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	if vm.blind {
		return nil
	}
	for i := range vm.params {
		if err := vm.syncParam(&vm.params[i]); err != nil {
			return err
		}
	}
	return nil
}

func (vm *VM) syncParam(p *param) error {
	v := p.node.Value()
	if v != p.seen || !p.loaded {
		return nil
	}
	if err := p.fetch(vm.exec); err != nil {
		return fmt.Errorf("engine: the parameter %s: %w", describe(p.node), err)
	}
	if v == nil { // restored from a state
		mem := ir.MakeSlice(p.typ, p.count)
		copy(bytesOf(mem), p.bytes())
		v = view(mem, p.shape)
		if err := G.Let(p.node, v); err != nil {
			return fmt.Errorf("engine: the parameter %s: %w", describe(p.node), err)
		}
		p.seen = v
		return nil
	}
	if !p.store(v, p.bytes()) {
		return p.misfit(v)
	}
	return nil
}

// takeLoss notes what the last run's update reported, unless that was done.
func (vm *VM) takeLoss() error {
	l := &vm.losses
	for l.waiting > 0 {
		if err := vm.nextReport(); err != nil {
			return err
		}
	}
	if !l.pending {
		return nil
	}
	if err := vm.exec.Read(vm.update.Info, l.host); err != nil {
		return fmt.Errorf("engine: the update's report: %w", err)
	}
	l.pending = false
	l.note()
	return nil
}

// keepReport has the device keep what the run that was just begun will report, or notes that it must be read before
// the next run. The reports of the last few runs wait on the device, so that no run waits for the one before it.
func (vm *VM) keepReport() error {
	r, ok := vm.exec.(backend.Reporter)
	if !ok {
		vm.losses.pending = true
		return nil
	}
	if vm.losses.waiting == backend.Reports {
		if err := vm.nextReport(); err != nil {
			return err
		}
	}
	if err := r.Report(vm.update.Info); err != nil {
		return fmt.Errorf("engine: the update's report: %w", err)
	}
	vm.losses.waiting++
	return nil
}

// nextReport takes the oldest report that waits.
func (vm *VM) nextReport() error {
	l := &vm.losses
	l.waiting-- // it cannot be asked for again
	if err := vm.exec.(backend.Reporter).NextReport(l.host); err != nil {
		return fmt.Errorf("engine: the update's report: %w", err)
	}
	l.note()
	return nil
}

// note adds the loss of info to the ring.
func (l *losses) note() {
	if l.count == len(l.ring) {
		l.first, l.count = (l.first+1)%len(l.ring), l.count-1
	}
	l.ring[(l.first+l.count)%len(l.ring)] = l.info[3]
	l.count++
}

// report makes losses.info that of the last run.
func (vm *VM) report(method string) error {
	if vm.runs == 0 {
		return fmt.Errorf("engine: %s: nothing to report before the first RunAll", method)
	}
	return vm.takeLoss()
}

// Loss waits for the last RunAll and returns its loss, which was computed with the parameters as they were before its
// update.
func (vm *VM) Loss() (float64, error) {
	if err := vm.enterUpdate("Loss"); err != nil {
		return 0, err
	}
	defer vm.leave()
	if err := vm.report("Loss"); err != nil {
		return 0, err
	}
	return vm.losses.info[3], nil
}

// Losses returns the losses of the RunAlls since the last call, oldest first, at most the last 4096: fetched now and
// then, no step waits for them.
func (vm *VM) Losses() ([]float64, error) {
	if err := vm.enterUpdate("Losses"); err != nil {
		return nil, err
	}
	defer vm.leave()
	if err := vm.takeLoss(); err != nil {
		return nil, err
	}
	l := &vm.losses
	out := make([]float64, l.count)
	for i := range out {
		out[i] = l.ring[(l.first+i)%len(l.ring)]
	}
	l.first, l.count = 0, 0
	return out, nil
}

// Info waits for the last RunAll and says what its update did.
func (vm *VM) Info() (kernels.StepInfo, error) {
	if err := vm.enterUpdate("Info"); err != nil {
		return kernels.StepInfo{}, err
	}
	defer vm.leave()
	if err := vm.report("Info"); err != nil {
		return kernels.StepInfo{}, err
	}
	i := vm.losses.info
	return kernels.StepInfo{GradNorm: i[0], Clipped: i[1] != 0, Skipped: i[2] != 0}, nil
}

// Run is the number that the next RunAll's noise has, if no other value is bound to the run-number node until then:
// the number bound to the node, plus the RunAlls that succeeded since that value was bound. Binding a value anew,
// even of the same number, starts anew. Without noise it is 0; of several such nodes it is the first's.
//
// It waits while another goroutine uses the VM.
func (vm *VM) Run() int64 {
	defer vm.wait()()
	if len(vm.counters) == 0 {
		return 0
	}
	c := &vm.counters[0]
	if v := c.node.Value(); v != nil && c.load(raw(c.word), v) && (v != c.seen || c.word[0] != c.base) {
		return c.word[0]
	}
	return c.next
}

// SetRun makes n the number of the next RunAll's noise, whatever was bound before. The values of the nodes stay.
func (vm *VM) SetRun(n int64) error {
	if err := vm.enter("SetRun"); err != nil {
		return err
	}
	defer vm.leave()
	for i := range vm.counters {
		vm.counters[i].set(n)
	}
	return nil
}

// set makes n the next number, and what is bound now old.
func (c *counter) set(n int64) {
	c.seen, c.base = c.node.Value(), 0
	if c.seen != nil && c.load(raw(c.word), c.seen) {
		c.base = c.word[0]
	}
	c.next = n
}
