// Command mujoco measures cheetah-run and walker-walk beside dm_control, their Python implementation, on the same
// library: steps with observation and reward, whole episodes with their resets, random actions from a table. The two
// take turns, after it was checked that they compute the same bits. It prints a table, writes
// bench/results/mujoco.json and exits with 1 if a claim does not hold:
//
//	cheetah-run at least 2, walker-walk at least 1.2 times the steps of dm_control, per second and per second of a core
//	all cores together at least 0.6 of their number times the steps of one
//
//	make mujoco mujoco-python
//	go run ./bench/accept/mujoco [-rounds 9] [-slice 300ms]
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/env/mujoco"
)

const python = ".venv-mujoco/bin/python"

// bounds are the claims: how many times the steps of dm_control.
var bounds = map[string]float64{"cheetah-run": 2, "walker-walk": 1.2}

// scaling is how much of each core is gained, at least: they may be threads of one, and others may be at work.
const scaling = 0.6

// many is how many simulations the threads share.
const many = 32

// A row is what was measured of a task in one way.
type row struct {
	Task    string        `json:"task"`
	How     string        `json:"how"`
	Threads int           `json:"threads"`
	Rate    record.Spread `json:"steps_per_second"`
	CPURate record.Spread `json:"steps_per_cpu_second"`
}

type report struct {
	record.Machine
	MuJoCo string            `json:"mujoco"`
	Peer   map[string]string `json:"peer"`
	Rounds int               `json:"rounds"`
	Rows   []row             `json:"rows"`
	Claims []record.Claim    `json:"claims"`
}

// A slice is what was done in one turn.
type slice struct {
	Steps   int     `json:"steps"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"` // seconds of all threads
}

func main() {
	rounds := flag.Int("rounds", 9, "turns of each")
	length := flag.Duration("slice", 300*time.Millisecond, "least length of a turn")
	path := flag.String("json", "bench/results/mujoco.json", "file for the results")
	flag.Parse()
	if flag.NArg() > 0 || *rounds < 1 || *length <= 0 {
		fatal(fmt.Errorf("-rounds %d -slice %v %q: want at least one round, a slice above 0 and flags alone", *rounds,
			*length, flag.Args()))
	}
	ok, err := measure(*rounds, *length, *path)
	if err != nil {
		fatal(err)
	}
	if !ok {
		os.Exit(1)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func measure(rounds int, length time.Duration, path string) (ok bool, err error) {
	r := report{Machine: record.Here(strings.Join(append([]string{"mujoco"}, os.Args[1:]...), " ")), Rounds: rounds}
	if r.MuJoCo, err = mujoco.Version(mujoco.Options{}); err != nil {
		return false, err
	}
	p, err := start()
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if r.Peer = p.versions; r.Peer["mujoco"] != r.MuJoCo {
		return false, fmt.Errorf("dm_control has MuJoCo %s and godcem %s, want one version", r.Peer["mujoco"], r.MuJoCo)
	}
	for _, name := range mujoco.Names() {
		rows, claims, err := compare(p, name, rounds, length)
		if err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
		r.Rows, r.Claims = append(r.Rows, rows...), append(r.Claims, claims...)
	}
	for _, row := range r.Rows {
		fmt.Printf("%-12s %-22s %d threads: %9.0f steps/s (%.0f-%.0f), %9.0f per CPU second\n", row.Task, row.How,
			row.Threads,
			row.Rate.Median, row.Rate.Low, row.Rate.High, row.CPURate.Median)
	}
	ok = record.Print(os.Stdout, r.Claims)
	return ok, record.Write(path, r)
}

// compare measures a task in all ways, in turns.
func compare(p *peer, name string, rounds int, length time.Duration) (rows []row, claims []record.Claim, err error) {
	alone, err := newRunner(name, 1, 1)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, alone.close()) }()
	if err := p.agree(name, alone, 200); err != nil {
		return nil, nil, err
	}
	one, err := newRunner(name, many, 1)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, one.close()) }()
	cores := runtime.GOMAXPROCS(0)
	all, err := newRunner(name, many, cores)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, all.close()) }()
	ways := []struct {
		how     string
		threads int
		run     func() (slice, error)
	}{
		{"dm_control", 1, func() (slice, error) { return p.run(name, length) }},
		{"godcem", 1, func() (slice, error) { return alone.run(length) }},
		{fmt.Sprintf("godcem, %d together", many), 1, func() (slice, error) { return one.run(length) }},
		{fmt.Sprintf("godcem, %d together", many), cores, func() (slice, error) { return all.run(length) }},
	}
	rate, cpuRate := make([][]float64, len(ways)), make([][]float64, len(ways))
	for round := range rounds + 1 {
		for i, w := range ways {
			s, err := w.run()
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", w.how, err)
			}
			if round > 0 { // the first is to warm up
				rate[i] = append(rate[i], float64(s.Steps)/s.Seconds)
				cpuRate[i] = append(cpuRate[i], float64(s.Steps)/s.CPU)
			}
		}
	}
	for i, w := range ways {
		rows = append(rows, row{name, w.how, w.threads, record.SpreadOf(rate[i]), record.SpreadOf(cpuRate[i])})
	}
	claims = append(claims,
		record.AtLeast(name+": steps per second beside dm_control", ratio(rate[1], rate[0]), bounds[name]),
		record.AtLeast(name+": steps per second of a core beside dm_control", ratio(cpuRate[1], cpuRate[0]), bounds[name]),
		record.AtLeast(fmt.Sprintf("%s: %d threads beside one", name, cores), ratio(rate[3], rate[2]),
			scaling*float64(cores)))
	return rows, claims, nil
}

// ratio is the median of the rounds' own ratios: what disturbs a round disturbs both.
func ratio(a, b []float64) float64 {
	q := make([]float64, len(a))
	for i := range a {
		q[i] = a[i] / b[i]
	}
	return record.SpreadOf(q).Median
}

// runner steps simulations of a task.
type runner struct {
	vec                   *env.Vec
	table, u              []float64 // of actions
	obs, rewards          []float64
	status                []env.Status
	seeds                 []uint64
	steps, width, actions int
}

func newRunner(name string, n, threads int) (*runner, error) {
	v, err := env.NewVec(n, threads, func(int) (env.Task, error) { return mujoco.New(name, mujoco.Options{}) })
	if err != nil {
		return nil, err
	}
	t := v.Task(0)
	r := &runner{vec: v, steps: t.Steps(), width: t.ObsDim(), actions: t.ActDim(), seeds: make([]uint64, n),
		obs: make([]float64, n*t.ObsDim()), u: make([]float64, n*t.ActDim()), rewards: make([]float64, n),
		status: make([]env.Status, n)}
	rng := rand.New(rand.NewPCG(0, 1))
	r.table = make([]float64, (r.steps+n)*r.actions)
	for i := range r.table {
		r.table[i] = 2*rng.Float64() - 1
	}
	for i := range r.seeds {
		r.seeds[i] = uint64(i)
	}
	return r, nil
}

func (r *runner) close() error { return r.vec.Close() }

// run plays whole episodes for at least that time.
func (r *runner) run(length time.Duration) (s slice, err error) {
	cpu, began := record.CPUSeconds(), time.Now()
	for time.Since(began) < length {
		n, err := r.episode()
		if err != nil {
			return s, err
		}
		s.Steps += n
	}
	s.Seconds, s.CPU = time.Since(began).Seconds(), record.CPUSeconds()-cpu
	return s, nil
}

// episode plays one of each simulation: alone through its Task, as others use it, together through the Vec.
func (r *runner) episode() (steps int, err error) {
	if r.vec.Len() == 1 {
		t := r.vec.Task(0)
		if err := t.Reset(0, r.obs); err != nil {
			return 0, err
		}
		for i := range r.steps {
			if _, s, err := t.Step(r.table[i*r.actions:(i+1)*r.actions], r.obs); err != nil || s == env.Failed {
				return 0, errors.Join(err, t.Fault())
			}
		}
		return r.steps, nil
	}
	if err := r.vec.Reset(r.seeds, r.obs); err != nil {
		return 0, err
	}
	for i := range r.steps {
		copy(r.u, r.table[i*r.actions:])
		if err := r.vec.Step(r.u, r.obs, r.rewards, r.status); err != nil {
			return 0, err
		}
	}
	for i, s := range r.status {
		if s != env.TimeLimit {
			return 0, fmt.Errorf("simulation %d: %v: %w", i, s, r.vec.Task(i).Fault())
		}
	}
	return r.steps * r.vec.Len(), nil
}

// peer is dm_control, in a process of its own.
type peer struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *bufio.Scanner
	versions map[string]string
}

func start() (*peer, error) {
	if _, err := os.Stat(python); err != nil {
		return nil, fmt.Errorf("no %s, which runs dm_control: `make mujoco-python` makes it", python)
	}
	p := &peer{cmd: exec.Command(python, "bench/accept/mujoco/peer.py")}
	// One thread, as one core is what is compared.
	p.cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "MUJOCO_GL=disable")
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<20)
	if err := p.answer(&p.versions); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *peer) close() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }

func (p *peer) answer(to any) error {
	if !p.out.Scan() {
		return fmt.Errorf("dm_control's process has ended: %v", p.out.Err())
	}
	return json.Unmarshal(p.out.Bytes(), to)
}

func (p *peer) ask(name, what string, to any) error {
	domain, task, _ := strings.Cut(name, "-")
	if _, err := fmt.Fprintln(p.in, domain, task, what); err != nil {
		return err
	}
	return p.answer(to)
}

func (p *peer) run(name string, length time.Duration) (s slice, err error) {
	return s, p.ask(name, fmt.Sprint(length.Seconds()), &s)
}

// agree checks that both compute the same n observations, of the actions that dm_control names.
func (p *peer) agree(name string, r *runner, n int) error {
	var theirs struct {
		SHA256  string
		Actions []float64
	}
	if err := p.ask(name, fmt.Sprint("check ", n), &theirs); err != nil {
		return err
	}
	if len(theirs.Actions) != n*r.actions {
		return fmt.Errorf("%d numbers of actions, want %d", len(theirs.Actions), n*r.actions)
	}
	t, h, b := r.vec.Task(0), sha256.New(), make([]byte, 8)
	if err := t.Reset(0, r.obs); err != nil {
		return err
	}
	for i := range n {
		if _, s, err := t.Step(theirs.Actions[i*r.actions:(i+1)*r.actions], r.obs); err != nil || s == env.Failed {
			return errors.Join(err, t.Fault())
		}
		for _, v := range r.obs {
			binary.LittleEndian.PutUint64(b, math.Float64bits(v))
			h.Write(b)
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != theirs.SHA256 {
		return fmt.Errorf("%d observations from seed 0 differ from dm_control's: nothing was timed", n)
	}
	return nil
}
