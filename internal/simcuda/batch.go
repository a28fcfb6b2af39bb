package simcuda

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/cpu"
)

// A Source is one kernel with what it needs.
type Source struct {
	Name  string // of the __global__ function
	Files []File // before it, in order
	Text  string // the function
}

// A File is a piece of CUDA C that kernels share. A name means one text.
type File struct{ Name, Text string }

// compiled are the kernels and images of this process, by key.
var compiled = struct {
	sync.Mutex
	kernels map[string]*Kernel
	images  map[string][]*Kernel
}{kernels: map[string]*Kernel{}, images: map[string][]*Kernel{}}

// batchSize is how many kernels are compiled together at most: the preludes are read once per batch.
const batchSize = 12

// Build returns the kernels of sources. Those that this process or, in the cache's folder, an earlier one has
// compiled are taken from there; the others are compiled, several at once. The error of a kernel that is wrong is a
// *CompileError.
func Build(sources []Source) ([]*Kernel, error) {
	n, err := open()
	if err != nil {
		return nil, err
	}
	checked := Checking()
	keys := make([]string, len(sources))
	out := make([]*Kernel, len(sources))
	var missing []int
	asked := map[string]bool{}
	for i := range sources {
		if keys[i], err = sources[i].key(checked); err != nil {
			return nil, err
		}
		if out[i] = n.known(keys[i], sources[i].Name); out[i] == nil && !asked[keys[i]] {
			asked[keys[i]] = true
			missing = append(missing, i)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	workers := max(1, runtime.GOMAXPROCS(0))
	size := max(1, min(batchSize, (len(missing)+workers-1)/workers))
	var batches [][]int
	for b := range slices.Chunk(missing, size) {
		batches = append(batches, b)
	}
	errs := make([]error, len(batches))
	var wait sync.WaitGroup
	free := make(chan struct{}, workers)
	for b, batch := range batches {
		free <- struct{}{}
		wait.Go(func() {
			defer func() { <-free }()
			errs[b] = n.buildBatch(sources, keys, batch, checked)
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i := range sources {
		if out[i] == nil {
			if out[i] = n.known(keys[i], sources[i].Name); out[i] == nil {
				return nil, fmt.Errorf("simcuda: kernel %s: its source has no __global__ function of that name", sources[i].Name)
			}
		}
	}
	return out, nil
}

// key is made of all that the compiled kernel depends on.
func (s *Source) key(checked bool) (string, error) {
	c, err := compiler()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s %v %v %q\n", kernelSum(), c.version, runtime.GOARCH, cpu.X86.HasFMA, checked, s.Name)
	for _, f := range s.Files {
		fmt.Fprintf(h, "%q %d\n%s", f.Name, len(f.Text), f.Text)
	}
	fmt.Fprintf(h, "%d\n%s", len(s.Text), s.Text)
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// known finds a kernel in memory or in the cache's folder; nil: it must be compiled.
func (n *native) known(key, name string) *Kernel {
	compiled.Lock()
	defer compiled.Unlock()
	if k := compiled.kernels[key]; k != nil {
		return k
	}
	ref, err := os.ReadFile(filepath.Join(cacheDir(), key+".ref"))
	if err != nil {
		return nil
	}
	id := strings.TrimSpace(string(ref))
	all, ok := compiled.images[id]
	if !ok {
		image, err := os.ReadFile(filepath.Join(cacheDir(), id+".image"))
		if err != nil || imageID(image) != id {
			return nil
		}
		if _, all, err = n.loadImage(image); err != nil {
			return nil
		}
		compiled.images[id] = all
	}
	return remember(all, key, name)
}

// remember finds a kernel of an image by name, and keeps it. The caller holds the lock.
func remember(all []*Kernel, key, name string) *Kernel {
	for _, k := range all {
		if k.Name == name {
			compiled.kernels[key] = k
			return k
		}
	}
	return nil
}

func imageID(image []byte) string {
	sum := sha256.Sum256(image)
	return hex.EncodeToString(sum[:16])
}

// buildBatch compiles some of the sources into one image.
func (n *native) buildBatch(sources []Source, keys []string, batch []int, checked bool) error {
	var text strings.Builder
	texts := map[string]string{}
	for _, i := range batch {
		for _, f := range sources[i].Files {
			if before, ok := texts[f.Name]; ok {
				if before != f.Text {
					return fmt.Errorf("simcuda: kernel %s: file %s with two texts", sources[i].Name, f.Name)
				}
				continue
			}
			texts[f.Name] = f.Text
			fmt.Fprintf(&text, "#line 1 %q\n%s\n", f.Name, f.Text)
		}
	}
	for _, i := range batch {
		fmt.Fprintf(&text, "#line 1 %q\n%s\n", sources[i].Name, sources[i].Text)
	}
	image, err := n.compileSource(text.String(), checked)
	if err != nil {
		if len(batch) > 1 { // which one is it?
			for _, i := range batch {
				if err := n.buildBatch(sources, keys, []int{i}, checked); err != nil {
					return err
				}
			}
		}
		return fmt.Errorf("kernel %s: %w\n%s", sources[batch[0]].Name, err, numbered(sources[batch[0]].Text))
	}
	id := imageID(image)
	compiled.Lock()
	defer compiled.Unlock()
	all, ok := compiled.images[id]
	if !ok {
		if _, all, err = n.loadImage(image); err != nil {
			return err
		}
		compiled.images[id] = all
	}
	// The folder is a convenience: what cannot be kept there is compiled again next time.
	stored := store(id+".image", image) == nil
	for _, i := range batch {
		if remember(all, keys[i], sources[i].Name) != nil && stored {
			_ = store(keys[i]+".ref", []byte(id))
		}
	}
	return nil
}

// store writes a file of the cache, whole or not at all.
func store(name string, data []byte) error {
	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(cacheDir(), "new-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(cacheDir(), name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// numbered is a text with the numbers of its lines.
func numbered(text string) string {
	var b strings.Builder
	n := 0
	for line := range strings.Lines(text) {
		n++
		fmt.Fprintf(&b, "%4d  %s", n, line)
	}
	return b.String()
}
