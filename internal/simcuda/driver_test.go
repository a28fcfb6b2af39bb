package simcuda

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// How a planted error shows.
type shows int

const (
	never    shows = iota // the case plants none
	reported              // the driver says so: the case checks it
	symptom               // some seeds give a wrong result
	crash                 // the host's access faults
	leaks                 // the process ends with status 99
)

// driverCases are those of testdata/driver, with their environment. Each runs without its error, where it has one,
// and with it; all seeds must agree, except that a symptom need only show with some.
var driverCases = map[string]struct {
	shows shows
	env   string
}{
	"copies": {}, "pinned_and_managed": {}, "memory_is_poisoned": {},
	"host_reads_device": {shows: crash}, "host_writes_device": {shows: crash}, "host_uses_freed_pinned": {shows: crash},
	"freed_twice": {shows: reported}, "freed_wrongly": {shows: reported}, "copy_beyond_the_end": {shows: reported},
	"copy_of_freed_memory": {shows: reported}, "device_memory_as_host_memory": {shows: reported},
	"host_memory_as_device_memory": {shows: reported},
	"out_of_memory":                {reported, "GODCEM_SIM_MEMORY=1048576"},
	"leak_at_the_context_end":      {shows: reported},
	"leak_at_exit":                 {leaks, "GODCEM_SIM_LEAKS=fatal"},

	"launches": {}, "modules": {}, "limits": {},
	"kernel_writes_beyond": {shows: reported}, "kernel_writes_just_beyond": {shows: reported},
	"kernel_writes_just_below": {shows: reported}, "kernel_reads_misaligned": {shows: reported},
	"kernel_uses_freed_memory": {shows: reported}, "kernel_uses_memory_of_another_context": {shows: reported},
	"kernel_uses_null": {shows: reported}, "barrier_not_reached_by_all": {shows: reported},
	"function_of_an_unloaded_module": {shows: reported}, "function_of_another_context": {shows: reported},
	"copy_of_what_nobody_wrote":      {reported, "GODCEM_SIM_CHECK=1"},
	"kernel_reads_what_nobody_wrote": {reported, "GODCEM_SIM_CHECK=1"},
	"kernels_race":                   {reported, "GODCEM_SIM_CHECK=1"},

	"device_lost":     {env: "GODCEM_SIM_FAIL=lost@2,ecc@5"},
	"fault_injected":  {env: "GODCEM_SIM_FAIL=fault@1"},
	"others_injected": {env: "GODCEM_SIM_FAIL=oom@2,module@2,graph@1,copy@2"},

	"forgotten_synchronisation": {shows: symptom}, "staging_memory_overwritten_early": {shows: symptom},
	"pageable_memory_is_read_at_once": {}, "streams_without_event": {shows: symptom},
	"legacy_copy_before_a_stream_that_does_not_block": {shows: symptom}, "memset_does_not_wait": {shows: symptom},
	"order_with_the_legacy_stream": {}, "events": {},
	"stream_used_after_its_end": {shows: reported}, "stream_of_another_context": {shows: reported},
	"thread_without_context": {shows: reported}, "context_used_after_its_end": {shows: reported}, "contexts": {},
	"host_function_calls_the_driver": {shows: reported},
	"two_devices":                    {reported, "GODCEM_SIM_DEVICES=2"},
	"random_programs":                {shows: symptom}, "random_graphs": {shows: symptom},
	"init_fails":    {env: "GODCEM_SIM_FAIL=init"},
	"init_mismatch": {env: "GODCEM_SIM_FAIL=init=803"},
	"no_device":     {env: "GODCEM_SIM_DEVICES=0"},
	"old_driver":    {env: "GODCEM_SIM_DRIVER=10020 GODCEM_SIM_ARCH=75"},

	"capture_and_replay": {}, "capture_synchronises": {shows: reported}, "capture_queries": {shows: reported},
	"capture_waits_for_all": {shows: reported}, "capture_allocates": {shows: reported},
	"capture_frees":          {shows: reported},
	"capture_loads_a_module": {shows: reported}, "capture_copies_and_waits": {shows: reported},
	"capture_of_pageable_memory": {shows: reported}, "capture_beside_the_legacy_stream": {shows: reported},
	"capture_waits_for_work_outside": {shows: reported}, "capture_modes": {},
	"capture_of_two_streams": {shows: reported},
	"captures_merged":        {shows: reported}, "graph_without_dependency": {shows: symptom},
	"graph_uses_freed_memory": {shows: reported}, "graphs_by_hand": {},
}

// A driverProgram is testdata/driver, built.
type driverProgram struct{ libraries, path, image string }

// buildDriverProgram builds the simulated driver and the program of its cases in dir.
func buildDriverProgram(dir string, sanitize bool) (p driverProgram, err error) {
	n, err := open()
	if err != nil {
		return p, err
	}
	if p.libraries, err = build([]library{driverLibrary()}, sanitize); err != nil {
		return p, err
	}
	c, err := compiler()
	if err != nil {
		return p, err
	}
	sources, err := filepath.Glob("testdata/driver/*.cc")
	if err != nil {
		return p, err
	}
	p.path, p.image = filepath.Join(dir, "driver"), filepath.Join(dir, "kernels.image")
	args := append([]string{"-std=c++17", "-g1", "-Wall", "-Wextra", "-o", p.path}, sources...)
	args = append(args, "-L"+p.libraries, "-lcuda", "-pthread", "-Wl,-rpath,"+p.libraries)
	if sanitize {
		args = append(args, "-fsanitize=address")
	}
	if out, err := exec.Command(c.path, args...).CombinedOutput(); err != nil {
		return p, fmt.Errorf("%s: %w\n%s", c.path, err, out)
	}
	text, err := os.ReadFile("testdata/driver/kernels.cu")
	if err != nil {
		return p, err
	}
	for _, checked := range []bool{false, true} {
		data, err := n.compileSource(string(text), checked)
		if err != nil {
			return p, err
		}
		name := p.image
		if checked {
			name += ".checked"
		}
		if err := os.WriteFile(name, data, 0o666); err != nil {
			return p, err
		}
	}
	return p, nil
}

// run runs a case, and returns how it ended and what it printed.
func (p *driverProgram) run(name, env string, seed int, bug bool) (status int, signal syscall.Signal, out string) {
	args := []string{p.image, name}
	if bug {
		args = append(args, "bug")
	}
	cmd := exec.Command(p.path, args...)
	// The settings of whoever runs the tests are not the cases'.
	own := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "GODCEM_SIM_") })
	cmd.Env = append(own, append(strings.Fields(env), fmt.Sprintf("GODCEM_SIM_SEED=%d", seed),
		// The simulator keeps its objects; a fault of the host must end it as one does elsewhere.
		"ASAN_OPTIONS=detect_leaks=0:handle_segv=0:use_sigaltstack=0")...)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return -1, 0, err.Error()
	}
	w := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if w.Signaled() {
		return -1, w.Signal(), b.String()
	}
	return w.ExitStatus(), 0, b.String()
}

func TestDriver(t *testing.T) {
	needCompiler(t)
	testDriver(t, false, 8)
}

// TestDriverASan is TestDriver with AddressSanitizer in the simulated driver.
func TestDriverASan(t *testing.T) {
	needCompiler(t)
	if os.Getenv("GODCEM_SIM_ASAN") != "1" {
		t.Skip("builds everything a second time: set GODCEM_SIM_ASAN=1")
	}
	testDriver(t, true, 6)
}

func testDriver(t *testing.T, sanitize bool, seeds int) {
	p, err := buildDriverProgram(t.TempDir(), sanitize)
	if err != nil {
		t.Fatal(err)
	}
	list, err := exec.Command(p.path, "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(list))
	if len(names) != len(driverCases) {
		t.Errorf("%d cases in testdata/driver, %d in the table", len(names), len(driverCases))
	}
	for _, name := range names {
		c, ok := driverCases[name]
		if !ok {
			t.Errorf("%s is not in the table", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := 1; seed <= seeds; seed++ {
				if status, signal, out := p.run(name, c.env, seed, false); status != 0 {
					t.Fatalf("seed %d: status %d, signal %v:\n%s", seed, status, signal, out)
				}
			}
			if c.shows == never {
				return
			}
			shown := 0
			for seed := 1; seed <= seeds; seed++ {
				status, signal, out := p.run(name, c.env, seed, true)
				fine := map[shows]bool{
					reported: status == 0,
					symptom:  status == 0 || status == 3,
					crash:    signal == syscall.SIGSEGV,
					leaks:    status == 99 && strings.Contains(out, "64 bytes of device memory"),
				}
				if !fine[c.shows] {
					t.Fatalf("with its error, seed %d: status %d, signal %v:\n%s", seed, status, signal, out)
				}
				if status == 3 {
					shown++
				}
			}
			if c.shows == symptom && shown == 0 {
				t.Errorf("the planted error shows with none of %d seeds", seeds)
			}
		})
	}
}
