// Package nvrtc compiles CUDA C with NVIDIA's run-time compiler. It opens the library at run time, any of versions 11.2
// to 13, and needs neither cgo nor a GPU nor a driver. Only Linux has it here; elsewhere Open returns an error.
package nvrtc

import (
	"errors"
	"fmt"
	"strings"
)

// Env names the variable that says which library to open: a file, or a folder that has one.
const Env = "GODCEM_NVRTC"

// cacheEnv names the CUDA backend's variable for the folder of compiled kernels; "off": nothing is written.
const cacheEnv = "GODCEM_CACHE"

// ErrMissing is in the error of Open where there is no library.
var ErrMissing = errors.New("no NVRTC (libnvrtc.so) found")

// advice says how to get the library.
const advice = "install a CUDA toolkit (11.2 to 13), or run `make cuda` in godcem's sources, " +
	"or `pip install nvidia-cuda-nvrtc-cu12`, or set " + Env + " to the library"

// Open loads the first NVRTC that there is: what the variable Env names, and nothing else if it is set; else whatever the
// dynamic loader finds as libnvrtc.so.13, .12 or .11.2; else that of a toolkit under $CUDA_HOME, $CUDA_PATH,
// /usr/local/cuda or /opt/cuda; else that of wheels: in .cuda beside the program or above the working directory, in
// $VIRTUAL_ENV, and where Python keeps its packages. An error without a library wraps ErrMissing.
//
// The library remains loaded to the end of the process; a second Open is cheap.
func Open() (*Library, error) { return open(0) }

// OpenFor is Open for a driver's version as cuDriverGetVersion has it (12040 is 12.4): it passes over libraries of a
// later major version, whose machine code the driver would refuse.
func OpenFor(driver int) (*Library, error) { return open(driver) }

// A CompileError is what NVRTC had to say about a program that it did not compile.
type CompileError struct {
	Name    string   // of the program
	Status  string   // NVRTC's own word: "NVRTC_ERROR_COMPILATION"
	Options []string // of the compiler
	Log     string   // of the compiler; its line numbers are those of Source
	Source  string   // with a number before each line
	Path    string   // a file with all of this, in $GODCEM_CACHE/failed or the user's cache folder; "" if none was written
}

// Error is the status, the log's first error and the file.
func (e *CompileError) Error() string {
	s := fmt.Sprintf("nvrtc: %s: %s", e.Name, e.Status)
	if l := firstError(e.Log); l != "" {
		s += ": " + l
	}
	if e.Path != "" {
		s += "; log and numbered source are in " + e.Path
	}
	return s
}

// firstError is the line of a log that says what is wrong, shortened.
func firstError(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	first := lines[0]
	for _, l := range lines {
		if strings.Contains(l, "error") {
			first = l
			break
		}
	}
	first = strings.TrimSpace(first)
	if r := []rune(first); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return first
}

// numbered is the source with the number of each line.
func numbered(source string) string {
	var out strings.Builder
	for i, l := range strings.Split(strings.TrimSuffix(source, "\n"), "\n") {
		fmt.Fprintf(&out, "%5d  %s\n", i+1, l)
	}
	return out.String()
}
