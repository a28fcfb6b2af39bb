package mujoco

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Options say where MuJoCo is. The zero value looks in the usual places.
type Options struct {
	// Dir has mujoco/libmujoco.so.VERSION and dm_control/suite/*.xml, as the site-packages of a Python installation or
	// the target of `pip install --target` have them. "": see Find.
	Dir string
	// AnyVersion takes a library of a version that was not tested, where it has all functions and passes the self-test.
	AnyVersion bool
}

// Why there is no MuJoCo: the errors of New and Find wrap one of these.
var (
	ErrPlatform = errors.New("mujoco is used on linux and darwin, amd64 and arm64, alone")
	ErrNotFound = errors.New("no MuJoCo found")
	ErrVersion  = errors.New("this version of MuJoCo was not tested")
	ErrLibrary  = errors.New("the MuJoCo library cannot be used")
)

// DirEnv is the environment variable that says where MuJoCo is.
const DirEnv = "GODCEM_MUJOCO_DIR"

const (
	fetched = ".mujoco" // in the working tree
	advice  = "`make mujoco` fetches it from PyPI (66 MB, into .mujoco of the working tree); elsewhere " +
		"`pip install --no-deps --target DIR mujoco-core==4.0.0 dm_control==1.0.50` does, and " + DirEnv + "=DIR names the place"
)

// Files are what is used of an installation.
type Files struct {
	Dir     string
	Library string // path of libmujoco
	Models  string // the folder with cheetah.xml and walker.xml
}

// Find looks for MuJoCo: in o.Dir if that is given, else in the folder that GODCEM_MUJOCO_DIR names if it is set,
// else in .mujoco of the working tree of this module that the working directory is in. The first of these that is
// given decides.
func Find(o Options) (Files, error) {
	switch dir := os.Getenv(DirEnv); {
	case o.Dir != "":
		return look(o.Dir, "Options.Dir")
	case dir != "":
		return look(dir, DirEnv)
	}
	root, err := workingTree()
	if err != nil {
		return Files{}, fmt.Errorf("mujoco: %w: neither Options.Dir nor %s is set, and %w: %s", ErrNotFound, DirEnv,
			err, advice)
	}
	return look(filepath.Join(root, fetched), "neither Options.Dir nor "+DirEnv+" is set; the working tree's")
}

// look is the installation in dir.
func look(dir, source string) (Files, error) {
	f := Files{Dir: dir, Models: filepath.Join(dir, "dm_control", "suite")}
	pattern := "libmujoco.so*"
	if runtime.GOOS == "darwin" {
		pattern = "libmujoco*.dylib"
	}
	found, err := filepath.Glob(filepath.Join(escaped(dir), "mujoco", pattern))
	missing := func(what string) error {
		return fmt.Errorf("mujoco: %w: %s %q has no %s: %s", ErrNotFound, source, dir, what, advice)
	}
	switch {
	case err != nil || len(found) == 0:
		return Files{}, missing(filepath.Join("mujoco", pattern))
	case len(found) > 1:
		return Files{}, fmt.Errorf("mujoco: %s %q has %d libraries, want one: %s", source, dir, len(found),
			strings.Join(found, ", "))
	}
	if f.Library, err = filepath.Abs(found[0]); err != nil {
		return Files{}, fmt.Errorf("mujoco: %w", err)
	}
	for _, s := range specs {
		if _, err := os.Stat(filepath.Join(f.Models, s.file)); err != nil {
			return Files{}, missing(filepath.Join("dm_control", "suite", s.file))
		}
	}
	return f, nil
}

// escaped is dir as a pattern that matches it alone.
func escaped(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// workingTree is the root of this module's sources that the working directory is in.
func workingTree() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		raw, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && slices.Contains(strings.Split(string(raw), "\n"), "module github.com/godcem/godcem") {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is in no working tree of godcem", dir)
		}
	}
}
