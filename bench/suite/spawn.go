package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// limits are the environments that hold the contestants to an instruction set; all but JAX's products, which YNNPACK
// computes with what it finds and no switch of its own: turned off (--xla_cpu_experimental_ynn_fusion_type=) it gives
// way to Eigen at two thirds of the rate, which is not what JAX would do on a machine with AVX2 either.
var limits = map[string][]string{
	"avx512": {"GODCEM_ISA=avx512"},
	"avx2": {"GODCEM_ISA=avx2", "MKL_ENABLE_INSTRUCTIONS=AVX2", "ATEN_CPU_CAPABILITY=avx2", "ONEDNN_MAX_CPU_ISA=AVX2",
		"XLA_FLAGS=--xla_cpu_max_isa=AVX2", "OPENBLAS_CORETYPE=Haswell",
		"NPY_DISABLE_CPU_FEATURES=X86_V4 AVX512_ICL AVX512_SPR"},
}

// spawn measures with one instruction set in a process of its own, on two cores where taskset is there to say which.
func spawn(s *settings, isa string, more ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{self}, os.Args[1:]...)
	args = append(append(args, "-isa", isa, "-child"), more...)
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
	// OpenBLAS's threads spin for 2^26 cycles when they have nothing to do, beside whoever runs next: 2^20 is over in the
	// pause between two contestants.
	cmd.Env = append(cmd.Env, "OPENBLAS_THREAD_TIMEOUT=20")
	// What the peers compile takes minutes; it is kept from run to run.
	cache, err := filepath.Abs(filepath.Join("out", "peers", strings.ReplaceAll("cache-"+isa+"-"+s.device, ":", "-")))
	if err != nil {
		return err
	}
	cmd.Env = append(cmd.Env, "TORCHINDUCTOR_CACHE_DIR="+filepath.Join(cache, "inductor"),
		"JAX_COMPILATION_CACHE_DIR="+filepath.Join(cache, "jax"))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	defer onSignal(func(sig os.Signal) { cmd.Process.Signal(sig) })()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// onSignal does something when the process is to end, before it does; what it returns undoes that. Otherwise a peer
// that is compiling would go on, beside whatever is measured next.
func onSignal(do func(os.Signal)) (undo func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	go func() {
		if sig, ok := <-c; ok {
			do(sig)
			os.Exit(130)
		}
	}()
	return func() { signal.Stop(c); close(c) }
}
