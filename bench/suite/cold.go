package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
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

// cold measures from before a process is started to its end, after one training step: with nothing compiled before, and
// with what the peers keep on disk from earlier processes (godcem keeps nothing).
func (b *bench) cold() error {
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
	defer func(n int) { b.rounds = n }(b.rounds)
	b.rounds = min(b.rounds, 5)
	for _, kept := range []bool{false, true} {
		if kept && b.full && b.isas[0] == "avx2" {
			continue
		}
		about := b.about("cold start", 1, "float32")
		names := []string{"torch", "compile", "jax"}
		if kept {
			about.Case, names = "cold start, caches kept", names[1:]
		}
		if b.log.recent(about, b.racing(append([]string{"godcem"}, names...)), b.resume) {
			continue
		}
		var all []*contestant
		for _, name := range append([]string{"godcem"}, names...) {
			if !contains(b.only, name) {
				continue
			}
			command := []string{self, coldFlag}
			if name != "godcem" {
				command = []string{b.python, filepath.Join(b.scripts, "cold.py"), name, file}
				for _, n := range c.numbers() {
					command = append(command, strconv.Itoa(n))
				}
			}
			x := &contestant{name: name, rounds: b.rounds}
			if name == "compile" && !kept {
				x.rounds = 1 // it takes the better part of a minute
			}
			x.run = b.process(x, command, want.loss, kept)
			all = append(all, x)
		}
		if err := b.coldRace(all, kept); err != nil {
			return err
		}
		if err := b.note(about, all); err != nil {
			return err
		}
	}
	return nil
}

// coldRace is race without repetitions; where caches are kept, the first run fills them.
func (b *bench) coldRace(all []*contestant, kept bool) error {
	for _, x := range all {
		if kept {
			if _, err := x.run(1); err != nil {
				return err
			}
		}
	}
	for round := range b.rounds {
		for j := range all {
			x := all[(j+round)%len(all)]
			if round >= x.rounds {
				continue
			}
			d, err := x.undisturbed(1, time.Now().Add(b.patience/time.Duration(b.rounds)))
			if err != nil {
				return err
			}
			x.times = append(x.times, d)
		}
	}
	return nil
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
		if err := cmd.Run(); err != nil {
			return d, fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, log.String())
		}
		d.wall = time.Since(began).Seconds() * 1e3
		d.cpu = float64((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Microseconds()) / 1e3
		got, err := strconv.ParseFloat(strings.TrimSpace(out.String()), 64)
		if err != nil {
			return d, fmt.Errorf("%s: %w", x.name, err)
		}
		x.errors.Loss = math.Abs(got-loss) / math.Abs(loss)
		if !(x.errors.Loss <= 3e-5) { // as in judge
			return d, fmt.Errorf("%s: loss %v, want %v", x.name, got, loss)
		}
		return d, nil
	}
}
