//go:build linux && (amd64 || arm64)

package nvrtc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// sonames are the names of the library, the latest first. That of 11.2 serves 11.2 to 11.8.
var sonames = []string{"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2"}

var loaded struct {
	sync.Mutex
	byName map[string]*Library // as given to the loader
}

// cached is load, once per name.
func cached(name string) (*Library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if l := loaded.byName[name]; l != nil {
		return l, nil
	}
	l, err := load(name)
	if err != nil {
		return nil, err
	}
	if loaded.byName == nil {
		loaded.byName = map[string]*Library{}
	}
	loaded.byName[name] = l
	return l, nil
}

// open tries the candidates in turn.
func open(driver int) (*Library, error) {
	names, fixed := candidates()
	var broken []error
	for _, name := range names {
		l, err := cached(name)
		if err != nil {
			if fixed || strings.Contains(name, "/") { // the file is there, so why it cannot be loaded is worth knowing
				broken = append(broken, err)
			}
			continue
		}
		if driver > 0 && l.major > driver/1000 {
			broken = append(broken, fmt.Errorf("%s is of version %d.%d, too new for a driver for CUDA %d.%d: "+
				"update the driver, or get an NVRTC of version %[4]d", l.path, l.major, l.minor, driver/1000, driver%1000/10))
			continue
		}
		return l, nil
	}
	if fixed && len(names) == 0 {
		return nil, fmt.Errorf("nvrtc: %w: %s=%q has none; %s", ErrMissing, Env, os.Getenv(Env), advice)
	}
	if len(broken) > 0 {
		return nil, fmt.Errorf("nvrtc: %w that is of use: %w; %s", ErrMissing, errors.Join(broken...), advice)
	}
	return nil, fmt.Errorf("nvrtc: %w; %s", ErrMissing, advice)
}

// candidates are names and files to try. Fixed: the environment says so, and there is no other choice.
func candidates() (names []string, fixed bool) {
	if at := os.Getenv(Env); at != "" {
		if f, err := os.Stat(at); err == nil && f.IsDir() {
			return inFolder(at), true
		}
		return []string{at}, true
	}
	names = slices.Clone(sonames)
	for _, folder := range folders() {
		names = append(names, inFolder(folder)...)
	}
	return names, false
}

// inFolder are the libraries in a folder, the latest first.
func inFolder(folder string) (files []string) {
	for _, s := range sonames {
		if f := filepath.Join(folder, s); exists(f) {
			files = append(files, f)
		}
	}
	return files
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// folders are where toolkits and wheels have the library.
func folders() (all []string) {
	for _, home := range []string{os.Getenv("CUDA_HOME"), os.Getenv("CUDA_PATH"), "/usr/local/cuda", "/opt/cuda"} {
		if home != "" {
			all = append(all, filepath.Join(home, "lib64"), filepath.Join(home, "lib"))
		}
	}
	var packages []string // folders of Python packages
	if program, err := os.Executable(); err == nil {
		dir := filepath.Dir(program)
		all = append(all, dir, filepath.Join(dir, "lib"))
		packages = append(packages, filepath.Join(dir, ".cuda"), filepath.Join(dir, "..", ".cuda"))
	}
	if dir, err := os.Getwd(); err == nil {
		for {
			packages = append(packages, filepath.Join(dir, ".cuda"))
			up := filepath.Dir(dir)
			if up == dir {
				break
			}
			dir = up
		}
	}
	home, _ := os.UserHomeDir()
	for _, root := range []string{os.Getenv("VIRTUAL_ENV"), os.Getenv("CONDA_PREFIX"), filepath.Join(home, ".local"), "/usr/local", "/usr"} {
		if root == "" {
			continue
		}
		for _, kind := range []string{"site-packages", "dist-packages"} {
			found, _ := filepath.Glob(filepath.Join(root, "lib", "python3*", kind)) // its pattern has no mistake
			packages = append(packages, found...)
		}
	}
	for _, p := range packages {
		// From version 13 on the wheels share one folder.
		all = append(all, filepath.Join(p, "nvidia", "cu13", "lib"), filepath.Join(p, "nvidia", "cuda_nvrtc", "lib"))
	}
	return all
}

// loadedFrom is the file that the loader took for a name.
func loadedFrom(name string) string {
	if strings.Contains(name, "/") {
		if abs, err := filepath.Abs(name); err == nil {
			return abs
		}
		return name
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return name
	}
	for _, prefix := range []string{name, "libnvrtc.so.11."} { // those of 11.2 to 11.8 share a name, not a file name
		for line := range strings.Lines(string(maps)) {
			if at := strings.IndexByte(line, '/'); at >= 0 {
				if file := strings.TrimSpace(line[at:]); strings.HasPrefix(filepath.Base(file), prefix) {
					return file
				}
			}
		}
	}
	return name
}
