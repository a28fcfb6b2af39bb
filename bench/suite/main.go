// Command suite measures godcem beside PyTorch, torch.compile, JAX and Gorgonia's TapeMachine. Every contestant's answer is
// checked first; then they run alternately in rounds on the same cores, or on the same GPU (-device, in a program built
// with the tag gpu; see bench/gpu.sh). It prints a table and writes bench/results/cpu.json, or gpu.json. The peers are
// installed by `make bench-peers`.
//
//	go run ./bench/suite [-quick] [-batch 1,16,100] [-rounds 7] [-isa avx512,avx2] [-device cuda:0]
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/vec"
)

// settings are the command's flags.
type settings struct {
	quick    bool
	batch    []int
	dtypes   []string
	rounds   int
	isas     []string
	thread   int
	patience time.Duration
	only     []string // contestants
	cases    []string // kinds of cases
	json     string
	child    string
	device   string // of all contestants
	python   string // that runs the peers
	scripts  string // their folder
}

// gpu reports whether the contestants run on one.
func (s *settings) gpu() bool { return s.device != "cpu" }

var (
	contestants = []string{"godcem", "torch", "compile", "graphs", "jax", "tape"}
	kinds       = []string{"regression", "cartpole", "sgemm", "lml"}
)

func main() {
	if err := start(); err != nil {
		fmt.Fprintf(os.Stderr, "suite: %v\n", err)
		os.Exit(1)
	}
}

func start() error {
	var s settings
	var batch, dtypes, isas, only, cases string
	flag.BoolVar(&s.quick, "quick", false, "fewer cases (float32, B = 1 and 100) and rounds, without the TapeMachine")
	flag.StringVar(&batch, "batch", "1,16,100", "batch sizes of the training steps")
	flag.StringVar(&dtypes, "dtype", "float32,float64", "element types of the training steps")
	flag.IntVar(&s.rounds, "rounds", 7, "rounds, in each of which every contestant runs once")
	flag.IntVar(&s.thread, "threads", 2, "threads that every contestant has, each on a core")
	flag.DurationVar(&s.patience, "patience", time.Minute, "time per case to wait for other processes to leave the cores alone")
	flag.StringVar(&isas, "isa", vec.ISA(), "instruction sets, to which all contestants are held: avx512, avx2")
	flag.StringVar(&only, "only", "godcem,torch,compile,jax,tape", "contestants; graphs, torch.compile with CUDA graphs, needs a GPU")
	flag.StringVar(&s.device, "device", "cpu", "what all contestants run on: cpu, or cuda:0, where none is held to instruction sets, threads or cores")
	flag.StringVar(&s.python, "python", ".venv-peers/bin/python", "the Python that has the peers")
	flag.StringVar(&s.scripts, "peers", filepath.Join("bench", "peers"), "folder of the peers' scripts")
	flag.StringVar(&cases, "cases", strings.Join(kinds, ","), "kinds of cases")
	flag.StringVar(&s.json, "json", "bench/results/cpu.json", "file for the record; what it has of other cases stays")
	flag.StringVar(&s.child, "child", "", "used by the command itself: file for the results of this process")
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if s.gpu() { // the TapeMachine has no GPU, and the kernels' cases are the CPU's
		for name, f := range map[string]func(){"only": func() { only = "godcem,torch,compile,graphs,jax" }, "patience": func() { s.patience = 0 },
			"cases": func() { cases = "regression" }, "json": func() { s.json = "bench/results/gpu.json" }, "threads": func() { s.thread = runtime.NumCPU() }} {
			if !given[name] {
				f()
			}
		}
	}
	if s.quick {
		for name, f := range map[string]func(){"batch": func() { batch = "1,100" }, "dtype": func() { dtypes = "float32" },
			"rounds": func() { s.rounds = 3 }, "only": func() { only = strings.TrimSuffix(only, ",tape") }} {
			if !given[name] {
				f()
			}
		}
	}
	if flag.NArg() > 0 || s.rounds < 1 || s.thread < 1 {
		return fmt.Errorf("want flags alone, and -rounds and -threads of at least 1, got %q, %d and %d", flag.Args(), s.rounds, s.thread)
	}
	for _, w := range strings.Split(batch, ",") {
		b, err := strconv.Atoi(w)
		if err != nil || b < 1 {
			return fmt.Errorf("-batch %s: %q, want numbers of at least 1", batch, w)
		}
		s.batch = append(s.batch, b)
	}
	for _, l := range []struct {
		flag, given string
		into        *[]string
		known       []string
	}{{"dtype", dtypes, &s.dtypes, []string{"float32", "float64"}}, {"isa", isas, &s.isas, []string{"avx512", "avx2"}},
		{"only", only, &s.only, contestants}, {"cases", cases, &s.cases, kinds}} {
		*l.into = strings.Split(l.given, ",")
		for _, w := range *l.into {
			if !slices.Contains(l.known, w) {
				return fmt.Errorf("-%s %s: %q, want some of %s", l.flag, l.given, w, strings.Join(l.known, ","))
			}
		}
	}
	if s.gpu() && (slices.Contains(s.only, "tape") || len(s.cases) > 1 || s.cases[0] != "regression") {
		return fmt.Errorf("-device %s: it has the regression without the TapeMachine alone, got -only %s -cases %s", s.device, only, cases)
	}
	if !s.gpu() && slices.Contains(s.only, "graphs") {
		return fmt.Errorf("-only %s: graphs needs -device cuda:0", only)
	}
	if s.child != "" {
		return measure(&s)
	}
	return parent(&s)
}

// parent runs the command again for each instruction set, on the same cores.
func parent(s *settings) error {
	if _, err := os.Stat(filepath.Join(s.scripts, "protocol.py")); err != nil {
		return fmt.Errorf("-peers: the peers' scripts are not there; run it from the repository's root: %w", err)
	}
	command := strings.Join(append([]string{"suite"}, os.Args[1:]...), " ")
	var all []result
	versions := map[string]string{}
	for _, isa := range s.isas {
		r, err := spawn(s, isa)
		if err != nil {
			return err
		}
		all = append(all, r.Cases...)
		for k, v := range r.Versions {
			versions[k] = v
		}
	}
	machine := record.Here(command)
	for k, v := range versions {
		machine.Versions[k] = v
	}
	machine.ISA, machine.Threads = strings.Join(s.isas, ","), s.thread
	printTable(os.Stdout, all)
	return merge(s.json, machine, all)
}

func measure(s *settings) error {
	cores = s.thread
	runtime.GOMAXPROCS(s.thread)
	vec.SetThreads(s.thread)
	if !s.gpu() && vec.ISA() != s.isas[0] {
		return fmt.Errorf("-isa %s: this machine or build has no more than %s", s.isas[0], vec.ISA())
	}
	dir, err := filepath.Abs(filepath.Join("out", "peers", "exchange"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	peers, err := startPeers(s, dir)
	if err != nil {
		return err
	}
	defer closeAll(peers)
	b := &bench{settings: s, dir: dir, peers: peers, results: results{Versions: map[string]string{}}}
	for _, p := range peers {
		for k, v := range p.versions {
			b.Versions[k] = v
		}
	}
	if s.gpu() {
		if b.on, err = engine.Open(s.device); err != nil {
			return err
		}
		defer b.on.Close()
		b.Versions["gpu"] = strings.TrimSpace(b.on.Info().Model + " " + b.on.Info().Detail)
	}
	began := time.Now()
	for _, kind := range s.cases {
		if err := b.measure(kind); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "%s: %.0f s\n", s.isas[0], time.Since(began).Seconds())
	return record.Write(s.child, b.results)
}
