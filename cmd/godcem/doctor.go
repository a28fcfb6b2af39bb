package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/cudaprobe"
	"github.com/godcem/godcem/internal/nvrtc"
	"github.com/spf13/cobra"
)

// described are the processor and the GPUs. The error is why there are no GPUs.
func described() (all []engine.Info, r cudaprobe.Report, err error) {
	for _, d := range engine.Devices() {
		if d.Name == "cpu" {
			all = append(all, d)
		}
	}
	r, err = cudaprobe.Probe()
	for _, g := range r.GPUs {
		i := engine.Info{Name: fmt.Sprintf("cuda:%d", g.Index), Model: g.Name, Memory: g.Memory,
			Compute: fmt.Sprintf("%d.%d", g.Major, g.Minor),
			Detail:  fmt.Sprintf("compute capability %d.%d, %d multiprocessors", g.Major, g.Minor, g.SMs)}
		if err := g.Usable(); err != nil {
			i.Detail += "; cannot be used: " + err.Error()
		}
		all = append(all, i)
	}
	return all, r, err
}

// devicesJSON is what devices --json prints.
type devicesJSON struct {
	Devices []engine.Info   `json:"devices"`
	GPUs    []cudaprobe.GPU `json:"gpus"`
	Driver  string          `json:"driver,omitempty"` // latest CUDA version that it serves
	Problem string          `json:"problem,omitempty"`
}

func newDevices() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List what the engine can run on here: the processor and NVIDIA GPUs",
		Long: `devices lists the processor and the NVIDIA GPUs with their names, memory and compute
capability, by the names that --device takes. If there is no GPU it says why not.
godcem doctor says whether all that a GPU needs is there.`,
		Example: `  godcem devices
  godcem regression --device cuda:0`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, r, why := described()
			out := cmd.OutOrStdout()
			if asJSON {
				j := devicesJSON{Devices: all, GPUs: r.GPUs}
				if r.Driver > 0 {
					j.Driver = cudaprobe.Version(r.Driver)
				}
				if why != nil {
					j.Problem = why.Error()
				}
				raw, err := json.MarshalIndent(j, "", "  ")
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(out, string(raw))
				return err
			}
			for _, d := range all {
				fmt.Fprintf(out, "%-8s%s\n", d.Name, line(d))
			}
			if why != nil {
				fmt.Fprintf(out, "no GPU: %v\n", why)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// line describes a device.
func line(d engine.Info) string {
	parts := []string{strings.Join(strings.Fields(d.Model), " ")}
	if d.Memory > 0 {
		parts = append(parts, fmt.Sprintf("%.1f GiB", float64(d.Memory)/(1<<30)))
	}
	if d.Threads > 0 {
		parts = append(parts, fmt.Sprintf("%d threads", d.Threads))
	}
	if d.Detail != "" {
		parts = append(parts, d.Detail)
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

func newDoctor() *cobra.Command {
	var device string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what running on a GPU needs, and say what is missing and how to get it",
		Long: `doctor checks each thing that running on an NVIDIA GPU needs: the driver, a GPU, the
run-time compiler NVRTC, this program built with CUDA (godcem-gpu) and a folder for
compiled kernels. What is missing it names, with what to do. It fails only if --device
names a device that cannot be used.`,
		Example: `  godcem doctor
  godcem doctor --device cuda:0 && godcem regression --device cuda:0`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			index, cuda, err := cudaIndex(device)
			if err != nil {
				return err
			}
			if !cuda && device != "" && device != "cpu" {
				return fmt.Errorf("--device %q: want cpu, or cuda:0, cuda:1 and so on", device)
			}
			usable, err := examine(cmd.OutOrStdout(), index)
			if cuda && !usable {
				return fmt.Errorf("%s cannot be used: %w", device, err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&device, "device", "", "fail if this one cannot be used: cuda:0, cuda:1 and so on")
	return cmd
}

// examine prints a line per thing that GPU index needs. The error is the first thing that is missing.
func examine(out io.Writer, index int) (usable bool, first error) {
	say := func(what, found string, err error) {
		mark := "ok"
		if err != nil {
			mark, found = "--", err.Error()
			if first == nil {
				first = err
			}
		}
		fmt.Fprintf(out, "%-4s%-10s%s\n", mark, what, found)
	}
	all, r, why := described()
	for _, d := range all {
		if d.Name == "cpu" {
			say("processor", line(d), nil)
		}
	}
	found := ""
	if r.Driver > 0 {
		found = fmt.Sprintf("serves CUDA %s (%s)", cudaprobe.Version(r.Driver), r.Library)
	}
	if r.Driver > 0 && errors.Is(why, cudaprobe.ErrNoDevice) {
		say("driver", found, nil)
		say("GPU", "", why)
	} else {
		say("driver", found, why)
	}
	for _, d := range all {
		if d.Name != "cpu" {
			say(d.Name, line(d), nil)
		}
	}
	if why == nil {
		if err := cudaprobe.Check(r, nil, index); err != nil {
			say("GPU", "", err)
		}
	}
	say(compiler(r))
	path, err := "this one is built with CUDA", error(nil)
	if !gpuBuild {
		path, err = findGPUProgram()
	}
	say("program", path, err)
	say(kernelCache())
	if first == nil {
		fmt.Fprintf(out, "godcem runs on cpu and on cuda:%d\n", index)
	} else {
		fmt.Fprintln(out, "godcem runs on cpu")
	}
	return first == nil, first
}

// compiler looks for an NVRTC that the driver goes with.
func compiler(r cudaprobe.Report) (what, found string, err error) {
	l, err := nvrtc.OpenFor(r.Driver)
	if err != nil {
		return "compiler", "", err
	}
	major, minor := l.Version()
	return "compiler", fmt.Sprintf("NVRTC %d.%d (%s)", major, minor, l.Path()), nil
}

// cacheEnv is the CUDA backend's variable: a folder, or "off".
const cacheEnv = "GODCEM_CACHE"

// kernelCache tries to write where compiled kernels are kept. Without such a place all works, but each process compiles
// again: that is no error.
func kernelCache() (what, found string, problem error) {
	dir := os.Getenv(cacheEnv)
	switch dir {
	case "off":
		return "cache", "compiled kernels are not kept: " + cacheEnv + "=off", nil
	case "":
		user, err := os.UserCacheDir()
		if err != nil {
			return "cache", fmt.Sprintf("compiled kernels are not kept: %v; set %s to a folder", err, cacheEnv), nil
		}
		dir = filepath.Join(user, "godcem", "cuda")
	}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(dir, "doctor"); err == nil {
			f.Close()
			err = os.Remove(f.Name())
		}
	}
	if err != nil {
		return "cache", fmt.Sprintf("compiled kernels are not kept: %v; set %s to a folder that can be written", err, cacheEnv), nil
	}
	return "cache", "compiled kernels are kept in " + dir, nil
}
