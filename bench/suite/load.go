package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// busyTime is the time in ms that the cores of this process were not idle, since the system's start; 0 where /proc
// does not tell. It is counted in ticks of 10 ms.
func busyTime() float64 {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	busy := 0.0
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) < 9 || !strings.HasPrefix(f[0], "cpu") {
			continue
		}
		n, err := strconv.Atoi(f[0][len("cpu"):])
		if err != nil || !pinned(n) {
			continue
		}
		for i, word := range f[1:9] { // user, nice, system, idle, iowait, irq, softirq, steal
			if i == 3 || i == 4 {
				continue
			}
			ticks, err := strconv.ParseFloat(word, 64)
			if err != nil {
				return 0
			}
			busy += 10 * ticks
		}
	}
	return busy
}

// ownCores are those that the contestants run on: as many as they have threads.
var ownCores []int

// pinned says whether core n is one of them.
func pinned(n int) bool { return slices.Contains(ownCores, n) }

// allowedCores are the first n of those that this process may run on, fewer where there are fewer; 0, 1, ... where
// nothing says which.
func allowedCores(n int) []int {
	raw, err := os.ReadFile("/proc/self/status")
	all := coresIn(string(raw))
	if err != nil || len(all) == 0 {
		for i := range n {
			all = append(all, i)
		}
	}
	return all[:min(n, len(all))]
}

// coresIn are the cores that the kernel's status of a process allows: "Cpus_allowed_list:\t0-3,8". None where it does
// not say so.
func coresIn(status string) (all []int) {
	_, list, _ := strings.Cut(status, "\nCpus_allowed_list:")
	list, _, _ = strings.Cut(list, "\n")
	for word := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		first, last, span := strings.Cut(word, "-")
		if !span {
			last = first
		}
		lo, err := strconv.Atoi(first)
		hi, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil {
			return nil
		}
		for i := lo; i <= hi; i++ {
			all = append(all, i)
		}
	}
	return all
}

// pinning is what stands before a command to keep it on these cores.
func pinning(taskset string, threads int) []string {
	var list []string
	for _, n := range allowedCores(threads) {
		list = append(list, strconv.Itoa(n))
	}
	return []string{taskset, "-c", strings.Join(list, ",")}
}
