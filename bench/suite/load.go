package main

import (
	"fmt"
	"os"
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

// pinned says whether core n is one of those that spawn gives its child.
func pinned(n int) bool { return n < cores }

// cores is the number of threads, which run on cores 0, 1, ...
var cores int

// pinning is what stands before a command to keep it on these cores.
func pinning(taskset string, threads int) []string {
	return []string{taskset, "-c", fmt.Sprintf("0-%d", threads-1)}
}
