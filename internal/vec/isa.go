package vec

import (
	"os"
	"strings"
)

// An isa is a set of instructions that the package has code for.
type isa int

const (
	isaGo     isa = iota // plain Go, on any machine
	isaAVX2              // AVX2 and FMA
	isaAVX512            // AVX-512 F, VL, BW and DQ, BMI2
)

var isaNames = [...]string{"go", "avx2", "avx512"}

// best is the best set that the machine, its operating system and the build have; current is the one in use.
var (
	best    = detect()
	current = choose(best, os.Getenv("GODCEM_ISA"))
)

// choose returns the set that is asked for, or the best there is if the machine lacks it or the name is unknown.
func choose(best isa, name string) isa {
	for i, n := range isaNames {
		if strings.EqualFold(n, name) {
			return min(best, isa(i))
		}
	}
	return best
}

// ISA names the instruction set in use: "avx512", "avx2" or "go". It is the best that the machine has, unless the
// environment variable GODCEM_ISA names a lesser one at the start of the program. The build tag noasm leaves "go" alone.
func ISA() string { return isaNames[current] }

// SetISA takes the named set, or the best there is as GODCEM_ISA does, and returns the name of the one before. It is for
// tests and benchmarks: nothing else may run meanwhile.
func SetISA(name string) (old string) {
	old = ISA()
	current = choose(best, name)
	return old
}
