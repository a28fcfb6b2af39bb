package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, text := range []string{"first", "", strings.Repeat("longer than the buffer ", 10_000)} {
		if err := WriteBytes(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if raw, err := os.ReadFile(path); err != nil || string(raw) != text {
			t.Errorf("%d bytes, %v, want %d", len(raw), err, len(text))
		}
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v, want readable by all", info.Mode(), err)
	}
	if names := entries(t, dir); len(names) != 1 {
		t.Errorf("the folder holds %q, want one file", names)
	}
}

// The old file stands until the new one is whole; a failure leaves it, and nothing else.
func TestOldFileStands(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := WriteBytes(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no more")
	for _, fail := range []error{failure, nil} {
		err := Write(path, func(w io.Writer) error {
			if _, err := w.Write(make([]byte, 1<<17)); err != nil { // beyond the buffer: some of it is on disk
				t.Fatal(err)
			}
			if raw, err := os.ReadFile(path); err != nil || string(raw) != "old" {
				t.Errorf("while writing: %d bytes, %v, want the old file", len(raw), err)
			}
			if names := entries(t, dir); len(names) != 2 || !strings.HasPrefix(names[0], TempPrefix) {
				t.Errorf("while writing: the folder holds %q, want a temporary file of our prefix", names)
			}
			return fail
		})
		if !errors.Is(err, fail) || fail != nil && err.Error() != path+": cannot write: no more" {
			t.Errorf("error %v, want the writer's with the path", err)
		}
		if names := entries(t, dir); len(names) != 1 {
			t.Errorf("left behind: %q", names)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 1<<17 {
		t.Errorf("%v, %v: want the new file", info, err)
	}
}

// Errors name the path that the caller gave, not the temporary one.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(folder, "occupied"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "nowhere", "f"), folder} {
		err := WriteBytes(path, nil)
		if err == nil || !strings.HasPrefix(err.Error(), path+": cannot write: ") || strings.Contains(err.Error(), TempPrefix) {
			t.Errorf("error %v, want one line with %s alone", err, path)
		}
	}
	if err := WriteBytes(filepath.Join(dir, "nowhere", "f"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want one that is os.ErrNotExist", err)
	}
	if names := entries(t, dir); len(names) != 1 {
		t.Errorf("left behind: %q", names)
	}
}
