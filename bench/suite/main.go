// Command suite measures godcem beside PyTorch, torch.compile, JAX, NumPy, GoMLX and Gorgonia's TapeMachine. Every
// contestant's answer is checked first; then they run alternately in rounds on the same cores, or on the same GPU
// (-device, in a program built with the tag gpu; see bench/gpu.sh). The record, bench/results/cpu.json, grows with
// every case, so that a run that was interrupted is taken up with -resume. The peers are installed by `make
// bench-peers`.
//
//	go run ./bench/suite [-quick] [-cases regression,cartpole] [-batch 1,16,100] [-rounds 7] [-isa avx512,avx2]
//	go run ./bench/suite -full [-budget 33m] [-resume 6h]  every case, in that time
//	go run ./bench/suite -check [-plant 1.3]     compares with the record; plants a slowdown
//	go run ./bench/suite -report                 plots and doc/benchmarks.md from the record, measuring nothing
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/vec"
)

// settings are the command's flags.
type settings struct {
	quick    bool
	full     bool
	batch    []int
	dtypes   []string
	rounds   int
	isas     []string
	thread   int
	patience time.Duration
	resume   time.Duration
	budget   time.Duration // for all cases; 0: none
	slice    time.Duration // that a contestant runs in a round at least
	compile  time.Duration // that a peer may take to compile a case
	only     []string      // contestants
	cases    []string      // kinds of cases
	json     string
	child    bool
	check    bool
	report   bool
	plant    float64
	device   string // of all contestants
	python   string // that runs the peers
	scripts  string // their folder
	gomlx    string // program
}

// gpu reports whether the contestants run on one.
func (s *settings) gpu() bool { return s.device != "cpu" }

// The contestants. The yardstick is plain Go that no change of godcem makes faster or slower.
const yardstick = "yardstick"

var (
	contestants = []string{"godcem", "torch", "compile", "graphs", "jax", "numpy", "gomlx", "tape", yardstick}
	kinds       = []string{"limits", "regression", "cartpole", "sgemm", "functions", "sampling", "lml", "topk", "refit",
		"nets", "planner", "cold", "scaling"}
)

func main() {
	if err := start(); err != nil {
		fmt.Fprintf(os.Stderr, "suite: %v\n", err)
		os.Exit(1)
	}
}

func start() error {
	if len(os.Args) == 2 && os.Args[1] == coldFlag {
		return coldStep()
	}
	var s settings
	var batch, dtypes, isas, only, cases string
	flag.BoolVar(&s.quick, "quick", false,
		"fewer cases (float32, B = 1 and 100) and rounds, without what has to be compiled for long")
	flag.BoolVar(&s.full, "full", false, "every case, and with AVX-512 those of the claims again with all held to AVX2")
	flag.StringVar(&batch, "batch", "1,16,100", "batch sizes of the training steps")
	flag.StringVar(&dtypes, "dtype", "float32,float64", "element types of the training steps")
	flag.IntVar(&s.rounds, "rounds", 7, "rounds, in each of which every contestant runs once; with -full 15")
	flag.DurationVar(&s.slice, "slice", 100*time.Millisecond, "time that a contestant runs in a round, at least")
	flag.DurationVar(&s.budget, "budget", 0,
		"time for everything: a case has as many rounds, up to -rounds, as leave time for the others; 0: no limit")
	flag.IntVar(&s.thread, "threads", 2, "threads that every contestant has, each on a core")
	flag.DurationVar(&s.patience, "patience", 20*time.Second,
		"time per case to wait for other processes to leave the cores alone")
	flag.DurationVar(&s.compile, "compile", 5*time.Minute,
		"time that a peer may take to compile a case; torch.compile is left out of a case then, the record says why")
	flag.DurationVar(&s.resume, "resume", 0,
		"leave out cases that the record has, not older than this and of the same sources")
	flag.StringVar(&isas, "isa", vec.ISA(), "instruction sets, to which all contestants are held: avx512, avx2")
	flag.StringVar(&only, "only", "godcem,torch,compile,jax,numpy,gomlx,tape,yardstick",
		"contestants; graphs, torch.compile with CUDA graphs, needs a GPU")
	flag.StringVar(&s.device, "device", "cpu",
		"what all contestants run on: cpu, or cuda:0, where none is held to instruction sets, threads or cores")
	flag.StringVar(&s.python, "python", ".venv-peers/bin/python", "the Python that has the peers")
	flag.StringVar(&s.scripts, "peers", filepath.Join("bench", "peers"), "folder of the peers' scripts")
	flag.StringVar(&s.gomlx, "gomlx", filepath.Join("out", "peers", "gomlx"), "the program of bench/gomlx")
	flag.StringVar(&cases, "cases", strings.Join(kinds, ","), "kinds of cases")
	flag.StringVar(&s.json, "json", "bench/results/cpu.json", "file for the record; what it has of other cases stays")
	flag.BoolVar(&s.child, "child", false, "used by the command itself")
	flag.BoolVar(&s.check, "check", false,
		"measure godcem and the yardstick alone and fail if a ratio is beyond the record's; nothing is written")
	flag.Float64Var(&s.plant, "plant", 1, "with -check: run godcem's cases that many times as long")
	flag.BoolVar(&s.report, "report", false,
		"only draw doc/img/bench-*.png and write doc/benchmarks.md's tables, from the record")
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	set := func(values map[string]func()) {
		for name, f := range values {
			if !given[name] {
				f()
			}
		}
	}
	if s.gpu() { // the TapeMachine has no GPU, and the kernels' cases are the CPU's
		set(map[string]func(){"only": func() { only = "godcem,torch,compile,graphs,jax" },
			"patience": func() { s.patience = 0 }, "cases": func() { cases = "regression,cartpole" },
			"json": func() { s.json = "bench/results/gpu.json" }, "threads": func() { s.thread = runtime.NumCPU() }})
	}
	if s.quick {
		set(map[string]func(){"batch": func() { batch = "1,100" }, "dtype": func() { dtypes = "float32" },
			"rounds": func() { s.rounds = fewest }, "only": func() { only = "godcem,torch,jax,numpy,gomlx,yardstick" },
			"cases": func() { cases = quickCases(&s) }})
		if !given["json"] && !s.gpu() {
			s.json = filepath.Join("out", "bench", "cpu.json")
		}
	}
	if s.full {
		set(map[string]func(){"rounds": func() { s.rounds = 15 }})
		if vec.ISA() == "avx512" && !s.child {
			set(map[string]func(){"isa": func() { isas = "avx512,avx2" }})
		}
	}
	if s.check {
		set(map[string]func(){"only": func() { only = "godcem,yardstick" },
			"patience": func() { s.patience = 5 * time.Second },
			"cases":    func() { cases = "regression,cartpole,sgemm,functions,sampling,lml,topk,refit" }})
	}
	if _, err := os.Stat(s.python); err != nil && !given["only"] && !s.gpu() && !s.report {
		only = "godcem,gomlx,tape,yardstick"
		if s.check {
			only = "godcem,yardstick"
		} else if !s.child {
			fmt.Fprintf(os.Stderr, "suite: no peers: %v; `make bench-peers` installs them\n", err)
		}
	}
	if flag.NArg() > 0 || s.rounds < 1 || s.thread < 1 || !(s.plant > 0) || s.budget < 0 || s.compile <= 0 ||
		s.slice <= 0 {
		return fmt.Errorf("want flags alone, -rounds and -threads of at least 1, -plant, -compile and -slice above 0 and "+
			"-budget of at least 0, got %q, %d, %d, %g, %v, %v and %v",
			flag.Args(), s.rounds, s.thread, s.plant, s.compile, s.slice, s.budget)
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
	}{{"dtype", dtypes, &s.dtypes, []string{"float32", "float64"}},
		{"isa", isas, &s.isas, []string{"avx512", "avx2", "go"}},
		{"only", only, &s.only, contestants}, {"cases", cases, &s.cases, kinds}} {
		*l.into = strings.Split(l.given, ",")
		for _, w := range *l.into {
			if !slices.Contains(l.known, w) {
				return fmt.Errorf("-%s %s: %q, want some of %s", l.flag, l.given, w, strings.Join(l.known, ","))
			}
		}
	}
	steps := func(kind string) bool { return kind == "regression" || kind == "cartpole" }
	if s.gpu() && (slices.Contains(s.only, "tape") || slices.ContainsFunc(s.cases,
		func(k string) bool { return !steps(k) })) {
		return fmt.Errorf("-device %s: it has the training steps without the TapeMachine alone, got -only %s -cases %s",
			s.device, only, cases)
	}
	if !s.gpu() && slices.Contains(s.only, "graphs") {
		return fmt.Errorf("-only %s: graphs needs -device cuda:0", only)
	}
	if s.report {
		return report(s.json)
	}
	if s.child {
		return measure(&s)
	}
	return parent(&s)
}

// quickCases are those of make bench.
func quickCases(s *settings) string {
	if s.gpu() {
		return "regression"
	}
	return "limits,regression,cartpole,sgemm,functions,lml,cold"
}

// claimed are the kinds of the cases that claims are about.
const claimed = "limits,regression,cartpole,sgemm,lml,cold"

// parent runs the command again for each instruction set, on the same cores.
func parent(s *settings) error {
	if _, err := os.Stat(filepath.Join(s.scripts, "protocol.py")); err != nil {
		return fmt.Errorf("-peers: the peers' scripts are not there; run it from the repository's root: %w", err)
	}
	began := time.Now()
	shares, err := s.shares()
	if err != nil {
		return err
	}
	var failed []error
	for i := range s.isas {
		more := s.flagsOf(i)
		if s.budget > 0 { // what this one needs, of what is left, beside those after it
			left := max(s.budget-time.Since(began), time.Second)
			sum := 0.0
			for _, x := range shares[i:] {
				sum += x
			}
			more = append(more, "-budget", (time.Duration(shares[i] / sum * float64(left))).Round(time.Second).String())
		}
		if err := spawn(s, s.isas[i], more...); err != nil {
			failed = append(failed, err)
		}
	}
	fmt.Printf("%.0f s\n", time.Since(began).Seconds())
	return errors.Join(failed...)
}

// flagsOf are the own flags of the i-th instruction set's process.
func (s *settings) flagsOf(i int) []string {
	if s.full && i > 0 && !s.check {
		return []string{"-cases", claimed}
	}
	return nil
}

// shares is what each instruction set's cases take by the record, in seconds.
func (s *settings) shares() (all []float64, err error) {
	old, err := load(s.json)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for i, isa := range s.isas {
		c := *s
		c.isas = []string{isa}
		if more := s.flagsOf(i); more != nil {
			c.cases = strings.Split(more[1], ",")
		}
		jobs, err := (&bench{settings: &c}).plan()
		if err != nil {
			return nil, err
		}
		plan := newSchedule(jobs, old, s.rounds, 0, io.Discard)
		all = append(all, plan.least())
		if s.budget > 0 {
			fmt.Fprintf(os.Stderr, "%s: %d cases, by the record some %s with %d rounds, %s with %d\n", isa, len(jobs),
				clock(seconds(plan.least())), min(fewest, s.rounds), clock(seconds(plan.from(0, s.rounds))), s.rounds)
		}
	}
	return all, nil
}

func measure(s *settings) (err error) {
	ownCores = allowedCores(s.thread)
	runtime.GOMAXPROCS(s.thread)
	vec.SetThreads(s.thread)
	if !s.gpu() && vec.ISA() != s.isas[0] {
		return fmt.Errorf("-isa %s: this machine or build has no more than %s", s.isas[0], vec.ISA())
	}
	var on engine.Device
	if s.gpu() { // first: what fails here fails before peers are started
		if on, err = engine.Open(s.device); err != nil {
			return err
		}
		defer on.Close()
	}
	top, err := filepath.Abs(filepath.Join("out", "peers"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(top, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(top, "exchange-") // another one may run
	if err != nil {
		return err
	}
	defer func() {
		if err == nil { // else there are the peers' logs
			err = os.RemoveAll(dir)
		}
	}()
	peers, err := startPeers(s, dir)
	if err != nil {
		return err
	}
	b := &bench{settings: s, dir: dir, peers: peers, log: newLog(s.json), late: map[string]string{}}
	defer func() { closeAll(b.peers) }()
	defer onSignal(func(os.Signal) {
		for _, p := range b.peers {
			p.cmd.Process.Kill()
		}
		if p := b.running.Load(); p != nil {
			p.Kill()
		}
		os.RemoveAll(dir)
	})()
	for _, p := range peers {
		b.log.versions[p.name] = p.version()
	}
	if on != nil {
		b.on = on
		b.log.versions["godcem"] += " " + strings.TrimSpace(on.Info().Model+" "+on.Info().Detail)
	}
	if s.check {
		return b.compare()
	}
	return b.measure()
}
