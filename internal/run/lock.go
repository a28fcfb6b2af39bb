package run

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// lockFile is there while a process writes into an out folder, and names it. What is left of one that was killed holds
// nobody up: the system's lock on it is gone.
const lockFile = "run.lock"

// held are the folders that this process holds.
var held = struct {
	sync.Mutex
	of map[string]*hold
}{of: map[string]*hold{}}

type hold struct {
	file  *os.File // nil where there are no locks
	count int
}

// Hold keeps other processes from writing runs into the folder dir until release is called. It fails if one of them
// holds it. Holds of the same process nest. A file system without locks, and a system other than Unix, has no holds.
func Hold(dir string) (release func(), err error) {
	key, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("out folder %s: %w", dir, err)
	}
	held.Lock()
	defer held.Unlock()
	h := held.of[key]
	if h == nil {
		h = &hold{}
		if h.file, err = takeLock(filepath.Join(key, lockFile)); err != nil {
			return nil, fmt.Errorf("out folder %s: %w", dir, err)
		}
		held.of[key] = h
	}
	h.count++
	return sync.OnceFunc(func() {
		held.Lock()
		defer held.Unlock()
		if h.count--; h.count > 0 {
			return
		}
		delete(held.of, key)
		if h.file != nil { // removed while it is locked: who opens it before finds that it is not the folder's
			os.Remove(h.file.Name())
			h.file.Close()
		}
	}), nil
}
