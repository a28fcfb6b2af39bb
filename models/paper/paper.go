// Package paper does the experiments of the method's paper (Amos and Yarats, ICML 2020) and puts their figures into one
// report: the regression through DCEM and through gradient descent, how both depend on the number of inner iterations,
// and the cartpole's latent planning.
package paper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/control/embed"
	"github.com/godcem/godcem/models/energy/regression"
	"github.com/godcem/godcem/models/train"
)

// Kind is the program's name.
const Kind = "paper"

// Presets of the program.
const (
	Quick = "quick" // minutes
	Full  = "full"  // the paper's sizes: days on a laptop
)

var presets = []string{Quick, Full}

// Config is the configuration of the program.
type Config struct {
	Seed    uint64 `json:"seed" help:"seed of all that is random: the same seed gives the same runs, bit for bit"`
	Preset  string `json:"preset" help:"quick: minutes; full: the paper's sizes, days on a laptop"`
	Updates int    `json:"updates" help:"updates of every training; 0: the preset's"`
	Most    int    `json:"most" help:"most inner iterations of the ablation, which tries 1 to that many"`
	Machine string `json:"vm" help:"what runs the graphs: engine (compiled) or tape (Gorgonia's TapeMachine)"`
}

// Default returns the configuration that the program has without flags.
func Default() Config { return Config{Preset: Quick, Most: 10, Machine: train.Engine} }

// Validate returns an error that names the first field that is out of its range.
func (c Config) Validate() error {
	if !slices.Contains(presets, c.Preset) {
		return fmt.Errorf("preset is %q, want quick or full", c.Preset)
	}
	if !slices.Contains(train.Machines, c.Machine) {
		return fmt.Errorf("vm is %q, want engine or tape", c.Machine)
	}
	if c.Updates < 0 || c.Updates > 10_000_000 {
		return fmt.Errorf("updates is %d, want 0 to 10000000", c.Updates)
	}
	if c.Most < 1 || c.Most > 20 {
		return fmt.Errorf("most is %d, want 1 to 20", c.Most)
	}
	return nil
}

func (c Config) updates(quick, full int) int {
	switch {
	case c.Updates > 0:
		return c.Updates
	case c.Preset == Full:
		return full
	}
	return quick
}

// regression is the paper's first experiment.
func (c Config) regression() regression.Config {
	r := regression.Default()
	r.Method, r.Seed, r.Machine, r.Updates = regression.Both, c.Seed, c.Machine, c.updates(5000, 100_000)
	return r
}

// ablation is the same with that many inner iterations.
func (c Config) ablation(iterations int) regression.Config {
	r := c.regression()
	r.Iterations, r.Figures = iterations, false
	return r
}

// ablationFolder is where that one is: the regression itself is one of them.
func (c Config) ablationFolder(iterations int) string {
	if iterations == c.regression().Iterations {
		return regressionFolder
	}
	return filepath.Join("ablation", strconv.Itoa(iterations))
}

// cartpole is the paper's second experiment.
func (c Config) cartpole() embed.Config {
	e := embed.Default()
	e.Method, e.Seed, e.Machine, e.Preset, e.Updates = embed.Both, c.Seed, c.Machine, c.Preset, c.updates(600, 0)
	return e.Filled()
}

// Names of the parts' folders below the out folder.
const (
	regressionFolder = "regression"
	cartpoleFolder   = "cartpole"
)

// A part is one run of a program.
type part struct {
	name   string // also its folder
	title  string
	do     func(ctx context.Context, o run.Options) error
	config any
}

func (c Config) parts() []part {
	r := c.regression()
	parts := []part{{regressionFolder, "regression", func(ctx context.Context, o run.Options) error {
		return regression.Run(ctx, r, o, io.Discard)
	}, &r}}
	for k := 1; k <= c.Most; k++ {
		a, folder := c.ablation(k), c.ablationFolder(k)
		if folder == regressionFolder {
			continue
		}
		parts = append(parts, part{folder, fmt.Sprintf("regression with %d inner iterations", k),
			func(ctx context.Context, o run.Options) error { return regression.Run(ctx, a, o, io.Discard) }, &a})
	}
	e := c.cartpole()
	return append(parts, part{cartpoleFolder, "cartpole", func(ctx context.Context, o run.Options) error {
		return embed.Run(ctx, e, o, io.Discard)
	}, &e})
}

// Run is the program: it does all parts, one after the other, each in a folder of its own below the out folder, and
// then the report. A part that is complete is not done again when the run is resumed.
func Run(ctx context.Context, c Config, o run.Options, w io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if err := run.PrepareOut(o.Out); err != nil {
		return err
	}
	if o.Resume {
		if err := c.checkResume(o.Out); err != nil {
			return err
		}
		if err := run.Forget(o.Out, run.ResultFile); err != nil { // that of the part before
			return err
		}
	} else if err := run.Forget(o.Out, run.ConfigFile, run.ResultFile, ablationFigure, reportFile); err != nil {
		return err
	}
	if err := run.SaveConfig(filepath.Join(o.Out, run.ConfigFile), &c); err != nil {
		return err
	}
	parts := c.parts()
	for i, p := range parts {
		po := o
		po.Out, po.Progress.Label = filepath.Join(o.Out, p.name), p.title
		if o.Resume && complete(po.Out, p.config) {
			continue
		}
		if !o.Progress.Silent {
			fmt.Fprintf(w, "%d/%d  %s\n", i+1, len(parts), p.title)
		}
		if err := p.do(ctx, po); err != nil {
			if errors.Is(err, run.ErrInterrupted) {
				return err
			}
			return fmt.Errorf("%s: %w", p.title, err)
		}
	}
	f, err := c.collect(o.Out)
	if err != nil {
		return err
	}
	r := run.Result{Program: Kind, Config: &c, Seed: c.Seed, Status: run.StatusDone, Seconds: f.seconds,
		Metrics: f.metrics}
	if err := run.Finish(o.Out, r, f.show); err != nil {
		return err
	}
	m := f.metrics
	fmt.Fprintf(w, "regression  mse %.3g through DCEM, %.3g through gradient descent; least energy at the data for "+
		"%.0f%% and %.0f%%\n",
		m["regression_dcem_mse"], m["regression_gd_mse"], 100*m["regression_dcem_minimum_share"],
		100*m["regression_gd_minimum_share"])
	fmt.Fprintf(w, "cartpole    cost %.4g by latent DCEM, %.4g by latent gradient descent, %.4g by CEM over all "+
		"controls\n",
		m["cartpole_dcem_cost"], m["cartpole_gd_cost"], f.expert("expert", c.cartpole()))
	fmt.Fprintf(w, "figures     %s\n", filepath.Join(o.Out, reportFile))
	return nil
}

// checkResume returns an error if the folder holds runs of another configuration.
func (c Config) checkResume(dir string) error {
	was := c
	path := filepath.Join(dir, run.ConfigFile)
	if err := run.LoadConfig(path, &was); err != nil {
		return nil // nothing was begun there, or not by this program: the parts look for themselves
	}
	if was != c {
		return fmt.Errorf("%s is of another configuration, %+v: it cannot change in a run that is resumed (now %+v)",
			path, was, c)
	}
	return nil
}

// complete reports whether a part has its result, of that configuration.
func complete(dir string, config any) bool {
	r, err := run.ReadResult(dir)
	if err != nil || r.Status != run.StatusDone {
		return false
	}
	want, err := run.EncodeConfig(config)
	if err != nil {
		return false
	}
	have, ok := r.Config.(json.RawMessage)
	return ok && bytes.Equal(compact(have), compact(want))
}

func compact(raw []byte) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return raw
	}
	return b.Bytes()
}
