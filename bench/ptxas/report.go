package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/internal/nvrtc"
)

// options are those of the CUDA backend.
var options = []string{"--fmad=false", "--std=c++14", "-default-device"}

// A usage is what a kernel needs on a device.
type usage struct {
	Registers   int `json:"registers"`    // per thread
	SpillStores int `json:"spill_stores"` // bytes per thread
	SpillLoads  int `json:"spill_loads"`  // bytes per thread
	Stack       int `json:"stack"`        // bytes per thread
	Shared      int `json:"shared"`       // bytes per block
}

// A kernelReport is a row of the report.
type kernelReport struct {
	Name    string         `json:"name"`
	Program string         `json:"program"` // the first that has it
	DCEM    bool           `json:"dcem"`    // it has an op of DCEM in it
	Product bool           `json:"product"` // it has a matrix product in it
	Alone   bool           `json:"alone"`   // it is a step of its own, shared with no other
	Threads int            `json:"threads"` // per block
	Archs   map[int]*usage `json:"archs"`   // by compute capability
}

// A report is what the compiler said.
type report struct {
	NVRTC    string          `json:"nvrtc"`
	Archs    []int           `json:"archs"`
	Programs []programReport `json:"programs"`
	Kernels  []*kernelReport `json:"kernels"`
	Failed   []string        `json:"failed,omitempty"` // what could not be emitted or compiled
	Compiled int             `json:"compiled"`         // how many texts were, for all devices
	Kept     int             `json:"kept"`             // and of how many the compiler's answer was kept
}

// A programReport counts what one program was emitted as, for the last device.
type programReport struct {
	Name     string `json:"name"`
	Kernels  int    `json:"kernels"`
	Launches int    `json:"launches"`
	Host     int    `json:"host"` // launches that are the host's
}

// compileAll emits the programs for devices of those compute capabilities, the newest last, and compiles every
// distinct kernel of which the compiler has not said before what it needs.
func compileAll(lib *nvrtc.Library, programs []program, archs []int) *report {
	major, minor := lib.Version()
	r := &report{NVRTC: fmt.Sprintf("%d.%d", major, minor), Archs: archs}
	rows := map[string]*kernelReport{}
	todo := map[int][]emit.Kernel{}
	for _, p := range programs {
		plans, err := p.plans()
		if err != nil {
			r.Failed = append(r.Failed, fmt.Sprintf("%s: %v", p.name, err))
		}
		for i, arch := range archs {
			last := i == len(archs)-1
			if !p.on(i, len(archs)) {
				continue
			}
			count := programReport{Name: p.name}
			for _, plan := range plans {
				// With every step as kernels of its own too: what DCEM's ops need by themselves.
				for _, o := range []emit.Options{{SMs: sms[arch]}, {SMs: sms[arch], Disable: emit.Switches}} {
					alone := len(o.Disable) > 0
					e, err := emit.New(plan, o)
					if err != nil {
						r.Failed = append(r.Failed, fmt.Sprintf("%s: %v", p.name, err))
						continue
					}
					if !alone {
						count.add(e)
					}
					for j := range e.Kernels {
						if k := &e.Kernels[j]; !alone || isDCEM(k) {
							r.want(rows, todo, k, p.name, arch, alone)
						}
					}
				}
			}
			if last {
				r.Programs = append(r.Programs, count)
			}
		}
	}
	slices.SortFunc(r.Kernels, func(a, b *kernelReport) int { return cmp.Compare(a.Name, b.Name) })
	known := openKept(r.NVRTC)
	r.Failed = append(r.Failed, r.compile(lib, rows, todo, known)...)
	if err := known.save(len(archs) == len(sms)); err != nil {
		r.Failed = append(r.Failed, fmt.Sprintf("%s: %v", keptEnv, err))
	}
	return r
}

// add counts a program.
func (c *programReport) add(e *emit.Program) {
	c.Kernels += len(e.Kernels)
	c.Launches += len(e.Launches)
	for i := range e.Launches {
		if e.Launches[i].Kernel < 0 && e.Launches[i].Product == nil {
			c.Host++
		}
	}
}

// want puts a kernel on the list for a device.
func (r *report) want(rows map[string]*kernelReport, todo map[int][]emit.Kernel, k *emit.Kernel, program string,
	arch int, alone bool) {
	row := rows[k.Name]
	if row == nil {
		row = &kernelReport{Name: k.Name, Program: program, DCEM: isDCEM(k),
			Product: slices.Contains(k.Files, "gemm.cu"), Threads: k.Threads,
			Archs: map[int]*usage{}}
		rows[k.Name] = row
		r.Kernels = append(r.Kernels, row)
	}
	row.Alone = row.Alone || alone
	if row.Archs[arch] == nil {
		row.Archs[arch] = &usage{}
		todo[arch] = append(todo[arch], *k)
	}
}

// batch is how many kernels are compiled as one text, as in the CUDA backend.
const batch = 16

// compile fills the rows, and says what could not be compiled.
func (r *report) compile(lib *nvrtc.Library, rows map[string]*kernelReport, todo map[int][]emit.Kernel,
	known *kept) (failed []string) {
	for arch, kernels := range todo {
		todo[arch] = slices.DeleteFunc(kernels, func(k emit.Kernel) bool {
			id, err := key(k, arch)
			if err != nil {
				return false // compiling it says what is wrong
			}
			u, ok := known.find(id)
			if ok {
				*rows[k.Name].Archs[arch] = u
				r.Kept++
			}
			return ok
		})
		r.Compiled += len(todo[arch])
	}
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wait sync.WaitGroup
	var mu sync.Mutex
	for arch, kernels := range todo {
		for part := range slices.Chunk(kernels, batch) {
			wait.Go(func() {
				room <- struct{}{}
				defer func() { <-room }()
				err := compileBatch(lib, rows, arch, part, known)
				if err == nil {
					return
				}
				for i := range part { // one by one, to name those at fault
					if err := compileBatch(lib, rows, arch, part[i:i+1], known); err != nil {
						mu.Lock()
						failed = append(failed, fmt.Sprintf("sm_%d: %s: %v", arch, part[i].Name, err))
						mu.Unlock()
					}
				}
			})
		}
	}
	wait.Wait()
	slices.Sort(failed)
	return failed
}

func compileBatch(lib *nvrtc.Library, rows map[string]*kernelReport, arch int, part []emit.Kernel,
	known *kept) error {
	text, err := emit.Text(part)
	if err != nil {
		return err
	}
	_, log, err := lib.Compile(fmt.Sprintf("%s.cu", part[0].Name), text,
		append(slices.Clone(options), "--ptxas-options=-v", fmt.Sprintf("-arch=sm_%d", arch))...)
	if err != nil {
		return err
	}
	used, err := parseLog(log)
	if err != nil {
		return err
	}
	for i := range part {
		u, ok := used[part[i].Name]
		if !ok {
			return fmt.Errorf("%s: the compiler's log for sm_%d says nothing of it:\n%s", part[i].Name, arch, log)
		}
		*rows[part[i].Name].Archs[arch] = u
		if id, err := key(part[i], arch); err == nil {
			known.add(id, u)
		}
	}
	return nil
}

var (
	entryLine    = regexp.MustCompile(`Compiling entry function '(\w+)' for`)
	spillLine    = regexp.MustCompile(`(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads`)
	registerLine = regexp.MustCompile(`Used (\d+) registers`)
	sharedPart   = regexp.MustCompile(`(\d+) bytes smem`)
)

// parseLog reads what ptxas -v says, by kernel.
func parseLog(log string) (map[string]usage, error) {
	all := map[string]usage{}
	name, spills := "", false
	var u usage
	for line := range strings.Lines(log) {
		if m := entryLine.FindStringSubmatch(line); m != nil {
			name, u, spills = m[1], usage{}, false
		} else if m := spillLine.FindStringSubmatch(line); m != nil && name != "" && !spills {
			u.Stack, u.SpillStores, u.SpillLoads, spills = number(m[1]), number(m[2]), number(m[3]), true
		} else if m := registerLine.FindStringSubmatch(line); m != nil && name != "" {
			if !spills {
				return nil, fmt.Errorf("%s: the compiler's log does not speak of spills:\n%s", name, log)
			}
			u.Registers = number(m[1])
			if m := sharedPart.FindStringSubmatch(line); m != nil {
				u.Shared = number(m[1])
			}
			all[name], name = u, ""
		}
	}
	return all, nil
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // digits, by the patterns
	return n
}

// What the report is held to.
const (
	maxShared    = 48 << 10 // bytes of a block: what any device gives without asking
	registerFile = 64 << 10 // registers of a multiprocessor, a block's at most: all of these devices have as many
)

// A limit is what kernels of a kind may need.
type limit struct {
	kind   string
	spills int // bytes per thread, stores or loads
	stack  int // bytes per thread
	// blocks that are on a multiprocessor at a time at least, as far as registers go: with two, one works while the
	// other waits.
	blocks int
}

// limits are those of every kind. DCEM's ops spill nothing, in whatever kernel they are. A rollout keeps the states
// of 20 steps in a thread, so that it is one kernel; what does not fit into registers is in the first-level cache.
var limits = []limit{
	{"DCEM's ops", 0, 0, 2},             // as kernels of their own
	{"fused with DCEM's ops", 0, 40, 1}, // 40: where CUDA's sin and cos reduce arguments beyond 1e5, in bumps
	{"products", 64, 64, 2},
	{"others", math.MaxInt, 8 << 10, 1}, // seen: 5,440 in the gradient of a rollout's gradient
}

// limitOf is what holds for a kernel.
func limitOf(k *kernelReport) limit {
	switch {
	case k.DCEM && k.Alone:
		return limits[0]
	case k.DCEM:
		return limits[1]
	case k.Product:
		return limits[2]
	}
	return limits[3]
}

// broken are the limits that kernels do not keep, in words.
func (r *report) broken() (all []string) {
	all = append(all, r.Failed...)
	for _, k := range r.Kernels {
		for _, arch := range r.Archs {
			u := k.Archs[arch]
			if u == nil {
				continue
			}
			at := fmt.Sprintf("%s (%s) on sm_%d: ", k.Name, k.Program, arch)
			if u.Registers < 1 {
				all = append(all, at+"no registers: the log was misread")
			}
			l := limitOf(k)
			if max(u.SpillStores, u.SpillLoads) > l.spills || u.Stack > l.stack {
				all = append(all, at+fmt.Sprintf("%d and %d bytes spilled, a stack of %d, want at most %d and %d",
					u.SpillStores, u.SpillLoads, u.Stack, l.spills, l.stack))
			}
			// Registers are given to warps in eights.
			if need := (u.Registers + 7) / 8 * 8 * k.Threads * l.blocks; need > registerFile {
				all = append(all, at+fmt.Sprintf("%d registers: fewer than %d blocks of %d threads at a time", u.Registers,
					l.blocks, k.Threads))
			}
			if u.Shared > maxShared {
				all = append(all, at+fmt.Sprintf("%d bytes of shared memory, want at most %d", u.Shared, maxShared))
			}
		}
	}
	return all
}

// print writes a summary.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "NVRTC %s, %d kernels: %d texts compiled, of %d others it was kept what the compiler said (%s)\n",
		r.NVRTC, len(r.Kernels), r.Compiled, r.Kept, keptEnv)
	fmt.Fprintf(w, "%-36s%9s%10s%6s\n", "program", "launches", "kernels", "host")
	for _, p := range r.Programs {
		fmt.Fprintf(w, "%-36s%9d%10d%6d\n", p.Name, p.Launches, p.Kernels, p.Host)
	}
	for _, l := range limits {
		var regs, spills, shared, n int
		for _, k := range r.Kernels {
			if limitOf(k) != l {
				continue
			}
			n++
			for _, u := range k.Archs {
				regs, shared = max(regs, u.Registers), max(shared, u.Shared)
				spills = max(spills, u.SpillStores+u.SpillLoads+u.Stack)
			}
		}
		fmt.Fprintf(w, "%-22s %4d kernels, at most %d registers, %d bytes spilled or on the stack, %d bytes shared\n",
			l.kind, n, regs, spills, shared)
	}
}
