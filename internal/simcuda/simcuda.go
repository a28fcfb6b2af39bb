// Package simcuda stands in for CUDA where there is no GPU: for tests only. It compiles CUDA C with g++ and runs its
// kernels on the CPU, a block at a time, the threads of a block as fibers in orders that a seed chooses. What a GPU
// would punish (an access outside of memory or not aligned, a barrier that not all threads reach, a launch beyond the
// limits) is an error that names kernel, block and thread.
//
// Two ways lead to it. Compile and Build take CUDA C and give kernels that work on the host's memory; package
// emulated runs whole programs so. Libraries builds libcuda.so.1 and libnvrtc.so.12, which the unchanged CUDA backend
// runs on.
//
// The environment:
//
//	GODCEM_SIM_CXX    the C++ compiler; g++ if empty
//	GODCEM_SIM_CHECK  1: the checking mode. Kernels are instrumented: accesses of threads, or blocks, that nothing puts
//	                  into an order are errors, as are reads of memory that nobody wrote and accesses outside of what
//	                  was allocated.
//	GODCEM_CACHE      where libraries and compiled kernels are kept; godcem in the user's cache folder if empty
package simcuda

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrUnavailable is why nothing can be simulated here: it says what is missing.
var ErrUnavailable = errors.New("the simulated CUDA device is not available")

//go:embed src
var sources embed.FS

// Available reports why there is no simulation on this machine; nil: there is. It compiles the executor if need be.
func Available() error {
	_, err := open()
	return err
}

// Checking reports whether the environment asks for the checking mode. A process decides once.
var Checking = sync.OnceValue(func() bool { return strings.HasPrefix(os.Getenv("GODCEM_SIM_CHECK"), "1") })

// compiler returns the C++ compiler's path and version.
var compiler = sync.OnceValues(func() (c struct{ path, version string }, err error) {
	name := os.Getenv("GODCEM_SIM_CXX")
	if name == "" {
		name = "g++"
	}
	if c.path, err = exec.LookPath(name); err != nil {
		return c, fmt.Errorf("%w: no C++ compiler: install g++, or name one in GODCEM_SIM_CXX: %w", ErrUnavailable, err)
	}
	out, err := exec.Command(c.path, "--version").Output()
	if err != nil {
		return c, fmt.Errorf("%w: %s --version: %w", ErrUnavailable, c.path, err)
	}
	c.version = string(out)
	return c, nil
})

// cacheDir is the folder for what is compiled.
func cacheDir() string {
	if d := os.Getenv("GODCEM_CACHE"); d != "" {
		return filepath.Join(d, "simcuda")
	}
	if d, err := os.UserCacheDir(); err == nil {
		return filepath.Join(d, "godcem", "simcuda")
	}
	return filepath.Join(os.TempDir(), "godcem-simcuda")
}

// A library is one of those that the sources make.
type library struct {
	name  string // libcuda.so.1
	files []string
	links []string // other names
}

// files are the names in src that pattern matches, sorted.
func files(pattern string) []string {
	entries, err := sources.ReadDir("src")
	if err != nil {
		panic(err) // it is embedded
	}
	var names []string
	for _, e := range entries {
		if ok, _ := filepath.Match(pattern, e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	return names
}

func runtimeLibrary() library {
	return library{name: "libsimrt.so", files: []string{"rt.cc", "check.cc", "compile.cc", "go.cc"}}
}

func driverLibrary() library {
	return library{name: "libcuda.so.1", files: []string{"cuda.cc", "rt.cc", "check.cc"}, links: []string{"libcuda.so"}}
}

func nvrtcLibrary() library {
	return library{name: "libnvrtc.so.12", files: []string{"nvrtc.cc", "compile.cc"}, links: []string{"libnvrtc.so"}}
}

// Libraries builds the simulated driver libcuda.so.1 and compiler libnvrtc.so.12, with the links libcuda.so and
// libnvrtc.so to link against, and returns the folder that holds them. With sanitize they have AddressSanitizer in
// them, for a process that has it too.
func Libraries(sanitize bool) (dir string, err error) {
	return build([]library{driverLibrary(), nvrtcLibrary()}, sanitize)
}

// build compiles libraries into a folder of the cache, unless they are there.
func build(libs []library, sanitize bool) (dir string, err error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		return "", fmt.Errorf("%w: it needs linux on amd64 or arm64, this is %s on %s", ErrUnavailable, runtime.GOOS,
			runtime.GOARCH)
	}
	c, err := compiler()
	if err != nil {
		return "", err
	}
	// The C++ runtime is linked in, and hidden: the libraries go to machines without a compiler.
	flags := []string{"-std=c++17", "-O2", "-g1", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra",
		"-static-libstdc++", "-static-libgcc", "-Wl,--version-script=exports.map",
		"-Wl,-Bsymbolic"} // the runtime may be in a process twice: in the driver, and for the emulator
	if sanitize {
		flags = append(flags, "-fsanitize=address", "-fno-omit-frame-pointer")
	} else {
		flags = append(flags, "-Wl,-z,defs")
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q", flags)
	fmt.Fprint(h, sourceSum("*"), runtime.GOARCH, c.version)
	for _, l := range libs {
		fmt.Fprintf(h, "%q", l)
	}
	dir = filepath.Join(cacheDir(), "lib-"+hex.EncodeToString(h.Sum(nil)[:10]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		return "", fmt.Errorf("simcuda: %w", err)
	}
	work, err := os.MkdirTemp(cacheDir(), "build-")
	if err != nil {
		return "", fmt.Errorf("simcuda: %w", err)
	}
	defer os.RemoveAll(work)
	if err := writeSources(filepath.Join(work, "src")); err != nil {
		return "", fmt.Errorf("simcuda: %w", err)
	}
	for _, l := range libs {
		args := slices.Concat(flags, []string{"-Wl,-soname," + l.name, "-o", filepath.Join(work, l.name)}, l.files,
			[]string{"-ldl", "-lpthread"})
		cmd := exec.Command(c.path, args...)
		cmd.Dir = filepath.Join(work, "src")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("simcuda: building %s: %w\n%s", l.name, err, out)
		}
		for _, link := range l.links {
			if err := os.Symlink(l.name, filepath.Join(work, link)); err != nil {
				return "", fmt.Errorf("simcuda: %w", err)
			}
		}
	}
	if err := os.Rename(work, dir); err != nil {
		if _, there := os.Stat(dir); there == nil {
			return dir, nil // another process was first
		}
		return "", fmt.Errorf("simcuda: %w", err)
	}
	prune(time.Now().Add(-30 * 24 * time.Hour))
	return dir, nil
}

// prune removes what was put into the cache before a time: sources change, and what they gave is of no use then.
func prune(before time.Time) {
	entries, _ := os.ReadDir(cacheDir())
	for _, e := range entries {
		name := e.Name()
		ours := strings.HasSuffix(name, ".image") || strings.HasSuffix(name, ".ref") || strings.HasPrefix(name, "lib-") ||
			strings.HasPrefix(name, "build-") || strings.HasPrefix(name, "new-")
		if info, err := e.Info(); ours && err == nil && info.ModTime().Before(before) {
			_ = os.RemoveAll(filepath.Join(cacheDir(), name))
		}
	}
}

// sourceSum tells versions of the sources that match a pattern apart.
func sourceSum(patterns ...string) string {
	h := sha256.New()
	for _, p := range patterns {
		for _, name := range files(p) {
			data, err := sources.ReadFile("src/" + name)
			if err != nil {
				continue // a folder
			}
			fmt.Fprintf(h, "%s %d\n%s", name, len(data), data)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// kernelSum tells versions of what kernels are compiled with apart.
var kernelSum = sync.OnceValue(func() string { return sourceSum("shim.h", "image.h", "compile.cc") })

func writeSources(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, name := range files("*") {
		data, err := sources.ReadFile("src/" + name)
		if err != nil {
			continue // a folder
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
