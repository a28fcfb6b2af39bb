package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godcem/godcem/bench/step"
	"gorgonia.org/tensor"
)

// coldFlag as the only argument makes the command take one training step and print its loss.
const coldFlag = "-cold"

// coldCase is the training step whose first is waited for.
func coldCase() stepCase { return stepCase{Case: step.Case{Batch: 1, Dtype: tensor.Float32}} }

func coldStep() error {
	c := coldCase()
	s, err := c.Build(nil)
	if err != nil {
		return err
	}
	e, err := newEngine(c, s)
	if err != nil {
		return err
	}
	if err := e.run(1); err != nil {
		return err
	}
	loss, err := e.vm.Loss()
	fmt.Println(loss)
	return err
}

// The cases of a cold start.
const (
	coldStart = "cold start"
	coldKept  = "cold start, caches kept"
)

// cold measures from before a process is started to its end, after one training step: with nothing compiled before,
// or, kept, with what the peers keep on disk from earlier processes (godcem keeps nothing).
func (b *bench) cold(about result, kept bool) error {
	about.Absent = map[string]string{}
	names := []string{"godcem", "torch", "compile", "jax"}
	if kept {
		names = slices.Delete(names, 1, 2) // it keeps nothing either
	}
	if b.log.recent(about, b.racing(names), b.resume) {
		return nil
	}
	c := coldCase()
	file, err := c.write(b.dir)
	if err != nil {
		return err
	}
	want, err := c.reference()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var all []*contestant
	for _, name := range names {
		if !contains(b.only, name) || isScript(name) && !b.has(name) {
			continue
		}
		command := []string{self, coldFlag}
		if name != "godcem" {
			command = []string{b.python, filepath.Join(b.scripts, "cold.py"), name, file}
			for _, n := range c.numbers() {
				command = append(command, strconv.Itoa(n))
			}
		}
		x := &contestant{name: name, rounds: b.roundsOf(about, name)}
		x.run = b.process(x, command, want.loss, kept)
		all = append(all, x)
	}
	all, err = b.coldRace(about, all, kept)
	if err != nil {
		return err
	}
	return b.note(about, all)
}

// coldRace is race without repetitions; where caches are kept, the first run fills them.
func (b *bench) coldRace(about result, all []*contestant, kept bool) ([]*contestant, error) {
	for _, x := range all {
		if kept {
			began := time.Now()
			if _, err := x.run(1); err != nil {
				if err := b.failed(x, about, err); err != nil {
					return nil, err
				}
			}
			x.ready = time.Since(began)
		}
	}
	for round := range b.rounds {
		for j := range all {
			x := all[(j+round)%len(all)]
			if round >= x.rounds || x.gone {
				continue
			}
			d, err := x.undisturbed(1, time.Now().Add(b.patience/time.Duration(b.rounds)))
			if err != nil {
				if err := b.failed(x, about, err); err != nil {
					return nil, err
				}
				continue
			}
			x.times = append(x.times, d)
		}
	}
	return slices.DeleteFunc(all, func(x *contestant) bool { return x.gone }), nil
}

// process runs a contestant that is a process, and checks the loss that it prints.
func (b *bench) process(x *contestant, command []string, loss float64, kept bool) func(int) (duration, error) {
	return func(int) (d duration, err error) {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Env = append(os.Environ(), "GODCEM_PEER_DEVICE=cpu")
		if !kept {
			dir, err := os.MkdirTemp("", "cold")
			if err != nil {
				return d, err
			}
			defer os.RemoveAll(dir)
			cmd.Env = append(cmd.Env, "TORCHINDUCTOR_CACHE_DIR="+dir, "JAX_COMPILATION_CACHE_DIR="+dir)
		}
		var out, log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &log
		began := time.Now()
		err = cmd.Start()
		if err == nil {
			b.running.Store(cmd.Process)
			err = cmd.Wait()
			b.running.Store(nil)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n%s\n", strings.Join(command, " "), err, log.String())
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			return d, fmt.Errorf("a process of it: %w: %s", err, lines[len(lines)-1])
		}
		d.wall = time.Since(began).Seconds() * 1e3
		d.cpu = float64((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Microseconds()) / 1e3
		got, err := strconv.ParseFloat(strings.TrimSpace(out.String()), 64)
		if err != nil {
			return d, err
		}
		x.errors.Loss = math.Abs(got-loss) / math.Abs(loss)
		if !(x.errors.Loss <= 3e-5) { // as in judge
			return d, fmt.Errorf("loss %v, want %v", got, loss)
		}
		x.sound = true
		return d, nil
	}
}
