package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/godcem/godcem/bench/record"
)

// file is bench/results/cpu.json.
type file struct {
	record.Machine
	Note  string   `json:"note"`
	Cases []result `json:"cases"`
}

const note = "Contestants run alternately in rounds on the same cores, or GPU; ratios are taken within a round, to the fastest Python peer. " +
	"others is the share of the cores' time that other processes took meanwhile: where it is not near 0, only the times and " +
	"ratios of CPU time with one thread mean much, because with more a barrier waits for whoever was put off its core."

// key is what identifies a result.
func (r result) key() string {
	return fmt.Sprint(r.Case, r.Batch, r.Dtype, r.Device, r.ISA, r.Threads, r.Contestant)
}

// merge writes the record; results of cases that were not measured now stay.
func merge(path string, machine record.Machine, fresh []result) error {
	var f file
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &f)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", path, err)
	}
	at := map[string]int{}
	for i, r := range f.Cases {
		at[r.key()] = i
	}
	for _, r := range fresh {
		if i, ok := at[r.key()]; ok {
			f.Cases[i] = r
		} else {
			f.Cases = append(f.Cases, r)
		}
	}
	f.Machine, f.Note = machine, note
	return record.Write(path, f)
}

// printTable prints results in their order.
func printTable(w io.Writer, all []result) {
	fmt.Fprintf(w, "%-22s %-8s %-6s %-2s %-8s %9s %-18s %9s %7s %-14s %7s %7s %8s\n", "case", "dtype", "on", "th", "who",
		"median ms", "quartiles", "cpu ms", "ratio", "quartiles", "cpu", "others", "error")
	spread := func(s *record.Spread) (median, quartiles string) {
		if s == nil {
			return "", ""
		}
		return fmt.Sprintf("%.3f", s.Median), fmt.Sprintf("%.3f..%.3f", s.Low, s.High)
	}
	for _, r := range all {
		name := r.Case
		if r.Batch > 0 {
			name = fmt.Sprintf("%s B=%d", name, r.Batch)
		}
		ratio, quartiles := spread(r.Ratio)
		cpu, _ := spread(r.CPURatio)
		on := r.ISA
		if r.Device != "" {
			on = r.Device
		}
		fmt.Fprintf(w, "%-22s %-8s %-6s %-2d %-8s %9.4g %-18s %9.4g %7s %-14s %7s %6.0f%% %8.1e\n", name, r.Dtype, on, r.Threads,
			r.Contestant, r.Median, fmt.Sprintf("%.4g..%.4g", r.Low, r.High), r.CPU, ratio, quartiles, cpu, 100*r.Others, r.Error)
	}
}

// limits are the environments that hold every contestant to an instruction set.
var limits = map[string][]string{
	"avx512": {"GODCEM_ISA=avx512"},
	"avx2": {"GODCEM_ISA=avx2", "MKL_ENABLE_INSTRUCTIONS=AVX2", "ATEN_CPU_CAPABILITY=avx2", "ONEDNN_MAX_CPU_ISA=AVX2",
		"XLA_FLAGS=--xla_cpu_max_isa=AVX2"},
}

// spawn measures with one instruction set in a process of its own, on two cores where taskset is there to say which.
func spawn(s *settings, isa string) (r results, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp("", "suite")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "results.json")
	args := append([]string{self}, os.Args[1:]...)
	args = append(args, "-isa", isa, "-child", path)
	if taskset, err := exec.LookPath("taskset"); err == nil && !s.gpu() {
		args = append(pinning(taskset, s.thread), args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = os.Environ()
	if !s.gpu() {
		cmd.Env = append(cmd.Env, limits[isa]...)
	}
	n := fmt.Sprint(s.thread)
	cmd.Env = append(cmd.Env, "OMP_NUM_THREADS="+n, "MKL_NUM_THREADS="+n)
	// What the peers compile takes minutes; it is kept from run to run.
	cache, err := filepath.Abs(filepath.Join("out", "peers", strings.ReplaceAll("cache-"+isa+"-"+s.device, ":", "-")))
	if err != nil {
		return r, err
	}
	cmd.Env = append(cmd.Env, "TORCHINDUCTOR_CACHE_DIR="+filepath.Join(cache, "inductor"), "JAX_COMPILATION_CACHE_DIR="+filepath.Join(cache, "jax"))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return r, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(raw, &r)
}
