package vec

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

var speed = flag.Bool("speed", false, "write the functions' times into doc/functions.md")

const speedMark = "<!-- speed: "

// TestSpeedTable measures tiles of 512 elements in the first-level cache on one thread, the calls included, and takes
// the fastest of many.
func TestSpeedTable(t *testing.T) {
	if !*speed {
		t.Skip("-speed measures, on an idle machine")
	}
	if best != isaAVX512 {
		t.Fatalf("the table wants AVX-512, this machine or build has %s", isaNames[best])
	}
	single, double := speeds[float32](), speeds[float64]()
	var b strings.Builder
	fmt.Fprintln(&b, "| function | float32: AVX-512 | AVX2 | plain Go | float64: AVX-512 | AVX2 | plain Go |")
	fmt.Fprintln(&b, "|--|--|--|--|--|--|--|")
	for i, s := range single {
		fmt.Fprintf(&b, "| %s |", s.name)
		for _, ns := range [][isaAVX512 + 1]float64{s.ns, double[i].ns} {
			fmt.Fprintf(&b, " %.2f | %.2f | %.1f |", ns[isaAVX512], ns[isaAVX2], ns[isaGo])
		}
		fmt.Fprintln(&b)
	}
	writeTable(t, speedMark, b.String())
}

type functionSpeed struct {
	name string
	ns   [isaAVX512 + 1]float64 // an element
}

func speeds[T Float]() []functionSpeed {
	const n = 512
	r := rand.New(rand.NewPCG(7, 8))
	x, y, dst := make([]T, n), make([]T, n), make([]T, n)
	for i := range x {
		x[i], y[i] = T(math.Abs(3*r.NormFloat64())), T(3*r.NormFloat64())
	}
	words := make([]uint32, n*of[T](1, 2).(int))
	var all []functionSpeed
	measure := func(name string, run func()) {
		s := functionSpeed{name: name}
		for set := isaGo; set <= best; set++ {
			s.ns[set] = fastest(set, run) / n
		}
		all = append(all, s)
	}
	for _, f := range functions {
		measure(f.name, func() { f.apply(dst, x) })
	}
	measure("Sqrt", func() { Sqrt(dst, x) })
	for _, p := range pairCases {
		measure(p.name, func() { p.apply(dst, x, y) })
	}
	measure("uniform number", func() { Philox(words, [2]uint32{1, 2}, 3, 4); Uniforms(dst, words) })
	measure("normal number", func() { Philox(words, [2]uint32{1, 2}, 3, 4); Normals(dst, words) })
	return all
}

// fastest is the time of a call in ns.
func fastest(set isa, run func()) float64 {
	defer func(old isa) { current = old }(current)
	current = set
	const calls, rounds = 20, 300
	least := time.Duration(math.MaxInt64)
	for range rounds {
		start := time.Now()
		for range calls {
			run()
		}
		least = min(least, time.Since(start))
	}
	return float64(least.Nanoseconds()) / calls
}

// writeTable puts a table into doc/functions.md in the place of the one after the mark.
func writeTable(t *testing.T, mark, table string) {
	t.Helper()
	text, err := os.ReadFile(errorTable)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), mark)
	line, rest, ok2 := strings.Cut(rest, "\n")
	if !ok || !ok2 {
		t.Fatalf("%s has no %s", errorTable, mark)
	}
	for strings.HasPrefix(rest, "|") {
		_, rest, _ = strings.Cut(rest, "\n")
	}
	if err := os.WriteFile(errorTable, []byte(head+mark+line+"\n"+table+rest), 0o644); err != nil {
		t.Fatal(err)
	}
}
