// Command engine measures the engine against Gorgonia's TapeMachine: a training step, compile times, memory, and the
// time from the start of a process to the end of its first step. What it compares it first checks for equal results,
// and then runs alternately. It writes bench/results/engine.json and, with -check, exits with 1 if a claim does not
// hold.
//
//	go run ./bench/engine [-check] [-rounds 9]
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/godcem/godcem/bench/record"
)

type report struct {
	record.Machine
	Steps   []stepResult    `json:"steps"`
	Compile []compileResult `json:"compile"`
	Start   startResult     `json:"start"`
	Memory  memoryResult    `json:"memory"`
	Claims  []record.Claim  `json:"claims"`
}

func main() {
	path := flag.String("json", "bench/results/engine.json", "file for the record")
	rounds := flag.Int("rounds", 9, "rounds, in each of which every contestant runs once")
	check := flag.Bool("check", false, "exit with 1 if a claim does not hold")
	child := flag.String("child", "", "used by the command itself: what to measure in a process of its own")
	flag.Parse()
	if flag.NArg() > 0 || *rounds < 3 {
		fatal(fmt.Errorf("want flags alone, and -rounds of at least 3, got %q and %d", flag.Args(), *rounds))
	}
	if *child != "" {
		if err := runChild(*child); err != nil {
			fatal(err)
		}
		return
	}
	r := &report{Machine: record.Here(strings.Join(append([]string{"engine"}, os.Args[1:]...), " "))}
	for _, f := range []func(*report, int) error{measureSteps, measureCompile, measureStart, measureMemory} {
		if err := f(r, *rounds); err != nil {
			fatal(err)
		}
	}
	if err := record.Write(*path, r); err != nil {
		fatal(err)
	}
	if !record.Print(os.Stdout, r.Claims) && *check {
		os.Exit(1)
	}
}

func fatal(err error) {
	fmt.Fprintf(os.Stderr, "engine: %v\n", err)
	os.Exit(1)
}
