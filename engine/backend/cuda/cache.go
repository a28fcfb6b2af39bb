//go:build gpu

package cuda

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"

	"github.com/godcem/godcem/internal/atomicfile"
)

// CacheEnv names the variable that says where compiled kernels are kept: a folder, or "off". By default it is
// godcem/cuda in the user's cache folder.
const CacheEnv = "GODCEM_CACHE"

// A cache is a folder of compiled kernels; "": there is none. A file is named by the sum of its key, and begins with a
// line, the sum of the key and the sum of the rest; one that does not is as good as absent, and so is a folder that
// cannot be written.
type cache string

const cacheMagic = "godcem compiled kernels 1\n"

func cacheFolder() cache {
	switch at := os.Getenv(CacheEnv); at {
	case "":
		dir, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		return cache(filepath.Join(dir, "godcem", "cuda"))
	case "off":
		return ""
	default:
		return cache(at)
	}
}

func (c cache) path(key [32]byte) string {
	return filepath.Join(string(c), hex.EncodeToString(key[:16])+".bin")
}

// get is what was kept under a key; nil: nothing.
func (c cache) get(key string) []byte {
	if c == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(key))
	file, err := os.ReadFile(c.path(sum))
	if err != nil {
		return nil
	}
	rest, ok := bytes.CutPrefix(file, append([]byte(cacheMagic), sum[:]...))
	if !ok || len(rest) < sha256.Size {
		return nil
	}
	code := rest[sha256.Size:]
	if check := sha256.Sum256(code); !bytes.Equal(check[:], rest[:sha256.Size]) {
		return nil
	}
	return code
}

// put keeps code under a key. Processes that do so at once do no harm: a file is there whole or not at all.
func (c cache) put(key string, code []byte) {
	if c == "" || os.MkdirAll(string(c), 0o700) != nil {
		return
	}
	sum, check := sha256.Sum256([]byte(key)), sha256.Sum256(code)
	_ = atomicfile.WriteBytes(c.path(sum), bytes.Join([][]byte{[]byte(cacheMagic), sum[:], check[:], code}, nil))
}
