//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package run

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// takeLock makes and locks a file, nil where that cannot be done for another reason than that a process has locked it:
// that nothing can be written into the folder is for PrepareOut to say.
func takeLock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, nil
		}
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case errors.Is(err, syscall.EWOULDBLOCK):
			pid := make([]byte, 32)
			n, _ := f.Read(pid)
			f.Close()
			return nil, fmt.Errorf("in use by another run, process %s", strings.TrimSpace(string(pid[:n])))
		case err != nil: // the file system has no locks
			f.Close()
			return nil, nil
		}
		mine, err := f.Stat()
		if now, e := os.Stat(path); err == nil && e == nil && os.SameFile(mine, now) {
			if err := f.Truncate(0); err == nil {
				fmt.Fprintln(f, os.Getpid()) // for a message alone
			}
			return f, nil
		}
		f.Close() // who had locked it has removed it
	}
}
