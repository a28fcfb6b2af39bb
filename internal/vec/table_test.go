package vec

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var updateTable = flag.Bool("update", false, "write the errors that are seen into doc/functions.md (with GODCEM_EXHAUSTIVE=all: those of every float32)")

// errorTable is the table of doc/functions.md.
const errorTable, errorMark = "../../doc/functions.md", "<!-- ulp: "

// seen are the errors of this run, by function and element type.
var seen = struct {
	sync.Mutex
	worst map[[2]string]worstOf
}{worst: map[[2]string]worstOf{}}

// documented compares with the table, which must not be surpassed.
func documented(t *testing.T, name, elem string, w worstOf) {
	t.Helper()
	seen.Lock()
	seen.worst[[2]string{name, elem}] = w
	seen.Unlock()
	if *updateTable {
		return
	}
	row := tableRow(t, name)
	columns := map[string][2]int{"float32": {2, 3}, "float64": {4, 5}}[elem]
	for set := isaGo; set <= best; set++ {
		column := columns[0]
		if set == isaGo {
			column = columns[1]
		}
		limit, err := strconv.ParseFloat(strings.TrimSpace(row[column]), 64)
		if err != nil || !(w.ulp[set] <= limit+0.0005) {
			t.Errorf("%s of %s, %s: %.3f ulp, doc/functions.md says %q (%v)", name, elem, isaNames[set], w.ulp[set], row[column], err)
		}
	}
}

// tableRow is a function's row.
func tableRow(t *testing.T, name string) []string {
	t.Helper()
	row := oldRow(t, name)
	if row == nil {
		t.Fatalf("doc/functions.md has no row for %s", name)
	}
	return row
}

// oldRow is tableRow, or nil.
func oldRow(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(errorTable)
	if err != nil {
		t.Fatal(err)
	}
	_, text2, _ := strings.Cut(string(text), errorMark)
	for _, line := range strings.Split(text2, "\n") {
		if row := strings.Split(line, "|"); len(row) > 6 && strings.TrimSpace(row[1]) == name {
			return row
		}
	}
	return nil
}

// TestErrorTable runs after the tests of errors, and with -update writes what they saw.
func TestErrorTable(t *testing.T) {
	if !*updateTable {
		t.Skip("the tests of errors compare with the table; -update writes it")
	}
	var b strings.Builder
	fmt.Fprintln(&b, "| function | float32, AVX2 and AVX-512 | float32, plain Go | float64, AVX2 and AVX-512 | float64, plain Go |")
	fmt.Fprintln(&b, "|--|--|--|--|--|")
	names := []string{}
	for _, f := range functions {
		names = append(names, f.name)
	}
	for _, p := range pairCases {
		names = append(names, p.name)
	}
	for _, name := range names {
		single, ok32 := seen.worst[[2]string{name, "float32"}]
		double, ok64 := seen.worst[[2]string{name, "float64"}]
		if !ok32 || !ok64 || best != isaAVX512 { // of GODCEM_EXHAUSTIVE only one
			fmt.Fprintln(&b, strings.Join(tableRow(t, name), "|"))
			continue
		}
		row := oldRow(t, name)
		up := func(column int, ulp float64) string { // what was seen before stays, unless every number was looked at
			if exhaustive := os.Getenv("GODCEM_EXHAUSTIVE") != "" && exhaustiveStep() == 1; row != nil && !exhaustive {
				if before, err := strconv.ParseFloat(strings.TrimSpace(row[column]), 64); err == nil {
					ulp = max(ulp, before)
				}
			}
			return fmt.Sprintf("%.3f", math.Ceil(ulp*1000)/1000)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, up(2, single.ulp[isaAVX512]), up(3, single.ulp[isaGo]),
			up(4, double.ulp[isaAVX512]), up(5, double.ulp[isaGo]))
	}
	writeTable(t, errorMark, b.String())
}
