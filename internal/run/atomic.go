package run

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// tempPrefix starts the names of unfinished files, so that PrepareOut can sweep away what a killed run left.
const tempPrefix = ".godcem-tmp-"

// Atomic writes the file at path through write. A reader, and whoever comes after a crash or a loss of power, sees
// either the old file or all of the new one: the bytes go to a temporary file in the same folder, are synced, and take
// the name by a rename that is synced too. On an error the old file stands and nothing is left behind.
func Atomic(path string, write func(w io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, tempPrefix+"*")
	if err != nil {
		return fmt.Errorf("%s: cannot write: %w", path, bare(err))
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("%s: cannot write: %w", path, bare(err))
		}
	}()
	w := bufio.NewWriterSize(f, 1<<16)
	if err = write(w); err != nil {
		return err
	}
	if err = w.Flush(); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil && runtime.GOOS != "windows" {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir durable. Some file systems, and Windows, cannot sync a folder: the rename is atomic
// there all the same.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// PrepareOut creates the out folder and proves, before any work starts, that files can be created, renamed and removed
// in it. It sweeps away the temporary files of a run that was killed while writing.
func PrepareOut(dir string) error {
	if dir == "" {
		return errors.New("out folder: no name given")
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return fmt.Errorf("out folder %s: there is a file of that name, want a folder", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("out folder %s: cannot be created: %w", dir, bare(err))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("out folder %s: cannot be read: %w", dir, bare(err))
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	probe := filepath.Join(dir, tempPrefix+"probe")
	err = Atomic(probe, func(w io.Writer) error { _, err := io.WriteString(w, "probe\n"); return err })
	if err != nil {
		return fmt.Errorf("out folder %s: not writable: %w", dir, bare(errors.Unwrap(err)))
	}
	if err := os.Remove(probe); err != nil {
		return fmt.Errorf("out folder %s: not writable: %w", dir, bare(err))
	}
	return nil
}

// bare strips the operation and the temporary name from an error of package os: the caller names the file that the user
// knows.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}
