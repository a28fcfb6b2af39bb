package main

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/cudaprobe"
	"github.com/godcem/godcem/models/train"
	"github.com/spf13/pflag"
)

// gpuProgram is the name of this program built with the tag gpu.
const gpuProgram = "godcem-gpu"

// bindDevice adds --device.
func bindDevice(fs *pflag.FlagSet) *string {
	name := os.Getenv(engine.DeviceEnv)
	if name == "" {
		name = "cpu"
	}
	return fs.String("device", name, "what the engine runs on: cpu, or cuda:0, cuda:1 and so on (see godcem devices)")
}

// useDevice makes the device of that name the engine's default until close is called. For a GPU it first becomes godcem-gpu,
// where this program is built without CUDA, and then does not return. The machine is the one that the program's
// configuration names.
func useDevice(name, machine string) (done func() error, err error) {
	index, cuda, err := cudaIndex(name)
	if err != nil {
		return nil, err
	}
	if name != "cpu" && machine == train.Tape {
		return nil, fmt.Errorf("--device %s with --vm %s: Gorgonia's TapeMachine runs on the cpu alone, want --vm %s", name, machine, train.Engine)
	}
	if cuda {
		report, err := cudaprobe.Probe()
		if err := cudaprobe.Check(report, err, index); err != nil {
			return nil, fmt.Errorf("--device %s: %w", name, err)
		}
		if !gpuBuild {
			path, err := findGPUProgram()
			if err != nil {
				return nil, fmt.Errorf("--device %s: %w", name, err)
			}
			return nil, fmt.Errorf("--device %s: %w", name, become(path))
		}
	}
	d, err := engine.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--device: %w", err)
	}
	engine.SetDefault(d)
	return func() error {
		engine.SetDefault(nil)
		return d.Close()
	}, nil
}

// onDevice runs f with a device as the engine's default.
func onDevice(name, machine string, f func() error) error {
	done, err := useDevice(name, machine)
	if err != nil {
		return err
	}
	return errors.Join(f(), done())
}

// cudaIndex is the number of a GPU's name.
func cudaIndex(name string) (index int, cuda bool, err error) {
	number, cuda := strings.CutPrefix(name, "cuda")
	if !cuda {
		return 0, false, nil
	}
	number, colon := strings.CutPrefix(number, ":")
	index, err = strconv.Atoi(number)
	if !colon || err != nil || index < 0 {
		return 0, false, fmt.Errorf("--device %q: want cpu, or cuda:0, cuda:1 and so on", name)
	}
	return index, true, nil
}

// findGPUProgram is the path of godcem-gpu beside this program.
func findGPUProgram() (string, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", fmt.Errorf("where is this program? %w", err)
	}
	path := filepath.Join(filepath.Dir(self), gpuProgram)
	const make = "`make gpu` in godcem's sources builds it into bin"
	info, err := buildinfo.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("this program is built without CUDA, and there is no %s beside it (%s): %s", gpuProgram, path, make)
	}
	if err != nil {
		return "", fmt.Errorf("%s is no program of Go's (%w): %s", path, err, make)
	}
	if !slices.Contains(strings.Split(setting(info, "-tags"), ","), "gpu") {
		return "", fmt.Errorf("%s is built without the tag gpu: %s", path, make)
	}
	if ours, ok := debug.ReadBuildInfo(); ok {
		a, b := setting(ours, "vcs.revision"), setting(info, "vcs.revision")
		if a != "" && b != "" && a != b {
			return "", fmt.Errorf("%s is of revision %.12s, this program of %.12s: %s", path, b, a, make)
		}
	}
	return path, nil
}

// setting is one of how a program was built.
func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
