package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/internal/atomicfile"
)

// keptEnv names the folder of the file with what the compiler said before; "off" compiles everything. If it is empty
// the file is in godcem of the user's cache folder.
const keptEnv = "GODCEM_PTXAS_KEPT"

// kept is what the compiler has said of texts that it was given before: the same text, options and compiler have the
// same answer, so that what has not changed since the last run is not compiled again.
type kept struct {
	path string // "": nothing is kept
	mu   sync.Mutex
	said map[string]usage // by the hash of all that the answer depends on
	used map[string]usage // of said, what this run wanted: that is what is saved
}

// openKept reads the file; a compiler of another version has another one. What cannot be read is compiled.
func openKept(version string) *kept {
	k := &kept{said: map[string]usage{}, used: map[string]usage{}}
	dir := os.Getenv(keptEnv)
	if dir == "off" {
		return k
	}
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return k
		}
		dir = filepath.Join(cache, "godcem")
	}
	k.path = filepath.Join(dir, "ptxas-"+version+".json")
	if raw, err := os.ReadFile(k.path); err == nil && json.Unmarshal(raw, &k.said) != nil {
		k.said = map[string]usage{}
	}
	return k
}

// key is the hash of a kernel's text, alone, and of how it is compiled.
func key(kernel emit.Kernel, arch int) (string, error) {
	text, err := emit.Text([]emit.Kernel{kernel})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "sm_%d\x00%q\x00%s\x00%s", arch, options, kernel.Name, text))
	return hex.EncodeToString(sum[:]), nil
}

// find says what the compiler said of a kernel. What makes no sense was not said.
func (k *kept) find(key string) (usage, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	u, ok := k.said[key]
	if !ok || u.Registers < 1 {
		return usage{}, false
	}
	k.used[key] = u
	return u, true
}

// add keeps an answer.
func (k *kept) add(key string, u usage) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.said[key], k.used[key] = u, u
}

// save writes what this run has used or added; of a run of everything the rest is old.
func (k *kept) save(whole bool) error {
	if k.path == "" {
		return nil
	}
	all := k.said
	if whole {
		all = k.used
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(k.path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return atomicfile.WriteBytes(k.path, raw)
}
