package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/godcem/godcem/internal/atomicfile"
)

// PrepareOut creates the out folder and proves, before any work starts, that files can be created, renamed and removed
// in it. It sweeps away the temporary files of a run that was killed while writing. A folder that another process holds
// (see Hold) is an error.
func PrepareOut(dir string) error {
	if dir == "" {
		return errors.New("out folder: no name given")
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return fmt.Errorf("out folder %s: there is a file of that name, want a folder", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("out folder %s: cannot be created: %w", dir, atomicfile.Bare(err))
	}
	release, err := Hold(dir)
	if err != nil {
		return err
	}
	defer release()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("out folder %s: cannot be read: %w", dir, atomicfile.Bare(err))
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), atomicfile.TempPrefix) {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	probe := filepath.Join(dir, atomicfile.TempPrefix+"probe")
	err = atomicfile.WriteBytes(probe, []byte("probe\n"))
	if err != nil {
		return fmt.Errorf("out folder %s: not writable: %w", dir, atomicfile.Bare(errors.Unwrap(err)))
	}
	if err := os.Remove(probe); err != nil {
		return fmt.Errorf("out folder %s: not writable: %w", dir, atomicfile.Bare(err))
	}
	return nil
}

// Forget removes files of an earlier run from dir, in the order given. What is not there is no error.
func Forget(dir string, names ...string) error {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("%s: cannot remove: %w", path, atomicfile.Bare(err))
		}
	}
	return nil
}
