package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"math"
	"os"

	"github.com/godcem/godcem/internal/atomicfile"
)

// The file, all numbers little-endian:
//
//	offset 0   magic, 8 bytes
//	       8   format version, uint32
//	      12   length of the header, uint32
//	      16   length of the file, uint64
//	      24   header: JSON {kind, step, config, state, arrays: [{name, dtype, shape}]}
//	           the arrays' elements, in the header's order, IEEE 754 bits
//	     -32   SHA-256 of everything before
const (
	magic         = "GODCEMck"
	formatVersion = 1
	preludeSize   = 24
	maxHeader     = 64 << 20 // bytes
	maxArrays     = 1 << 16
	maxDims       = 16
)

type header struct {
	Kind   string                     `json:"kind"`
	Step   int                        `json:"step"`
	Config json.RawMessage            `json:"config,omitempty"`
	State  map[string]json.RawMessage `json:"state"`
	Arrays []array                    `json:"arrays"`
}

func (a *array) size() uint64 {
	n, _ := product(a.Shape)
	if a.Dtype == "float32" {
		return 4 * uint64(n)
	}
	return 8 * uint64(n)
}

// Save writes the checkpoint to path, atomically and durably.
func Save(path string, c *Checkpoint) error {
	return atomicfile.Write(path, func(w io.Writer) error { return encodeCheckpoint(w, c) })
}

func encodeCheckpoint(w io.Writer, c *Checkpoint) error {
	h := header{Kind: c.Kind, Step: c.Step, Config: c.Config, State: c.state, Arrays: c.arrays}
	if h.State == nil {
		h.State = map[string]json.RawMessage{}
	}
	if h.Arrays == nil {
		h.Arrays = []array{}
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("checkpoint header: %w", err)
	}
	if len(raw) > maxHeader || len(c.arrays) > maxArrays {
		return fmt.Errorf("checkpoint has a header of %d bytes and %d arrays, want at most %d and %d",
			len(raw), len(c.arrays), maxHeader, maxArrays)
	}
	total := uint64(preludeSize+len(raw)) + sha256.Size
	for i := range c.arrays {
		total += c.arrays[i].size()
	}
	prelude := make([]byte, preludeSize)
	copy(prelude, magic)
	binary.LittleEndian.PutUint32(prelude[8:], formatVersion)
	binary.LittleEndian.PutUint32(prelude[12:], uint32(len(raw)))
	binary.LittleEndian.PutUint64(prelude[16:], total)

	sum := sha256.New()
	out := io.MultiWriter(w, sum)
	for _, b := range [][]byte{prelude, raw} {
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
	buf := make([]byte, 1<<16)
	for i := range c.arrays {
		if err := c.arrays[i].write(out, buf); err != nil {
			return err
		}
	}
	_, err = w.Write(sum.Sum(nil))
	return err
}

func (a *array) write(w io.Writer, buf []byte) error {
	for f := a.f32; len(f) > 0; {
		n := min(len(f), len(buf)/4)
		for i, v := range f[:n] {
			binary.LittleEndian.PutUint32(buf[4*i:], math.Float32bits(v))
		}
		if _, err := w.Write(buf[:4*n]); err != nil {
			return err
		}
		f = f[n:]
	}
	for f := a.f64; len(f) > 0; {
		n := min(len(f), len(buf)/8)
		for i, v := range f[:n] {
			binary.LittleEndian.PutUint64(buf[8*i:], math.Float64bits(v))
		}
		if _, err := w.Write(buf[:8*n]); err != nil {
			return err
		}
		f = f[n:]
	}
	return nil
}

// Load reads the checkpoint at path and checks all of it. A file that is no checkpoint, comes from a newer version, is
// cut short or damaged, or belongs to another kind of program gives an error that names the path and wraps ErrForeign,
// ErrNewer, ErrTruncated, ErrCorrupt or ErrKind. The empty kind accepts any. Nothing is allocated beyond the size of
// the file, and that only after its checksum was found right.
func Load(path, kind string) (*Checkpoint, error) {
	info, err := os.Stat(path) // before opening it: a pipe would wait for a writer
	if err != nil {
		return nil, fmt.Errorf("%s: cannot read: %w", path, atomicfile.Bare(err))
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s: %w: want a file, found a folder", path, ErrForeign)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: want a file, found a device or pipe", path, ErrForeign)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot read: %w", path, atomicfile.Bare(err))
	}
	defer f.Close()
	c, err := decodeCheckpoint(f, info.Size(), kind)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.path = path
	return c, nil
}

func decodeCheckpoint(r io.ReaderAt, size int64, kind string) (*Checkpoint, error) {
	prelude := make([]byte, preludeSize)
	n, err := r.ReadAt(prelude, 0)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("cannot read: %w", atomicfile.Bare(err))
	}
	if m := min(n, len(magic)); string(prelude[:m]) != magic[:m] {
		return nil, fmt.Errorf("%w: starts with %q, want %q", ErrForeign, prelude[:m], magic)
	}
	if n < preludeSize {
		return nil, fmt.Errorf("%w: %d bytes, want at least %d", ErrTruncated, n, preludeSize)
	}
	version := binary.LittleEndian.Uint32(prelude[8:])
	length := binary.LittleEndian.Uint32(prelude[12:])
	total := binary.LittleEndian.Uint64(prelude[16:])
	switch {
	case version > formatVersion:
		return nil, fmt.Errorf("%w: format %d, this program reads up to %d", ErrNewer, version, formatVersion)
	case version == 0:
		return nil, fmt.Errorf("%w: format 0, want 1 to %d", ErrCorrupt, formatVersion)
	case uint64(size) < total:
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrTruncated, size, total)
	case uint64(size) > total:
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrCorrupt, size, total)
	case length > maxHeader || preludeSize+uint64(length)+sha256.Size > total:
		return nil, fmt.Errorf("%w: a header of %d bytes does not fit a file of %d", ErrCorrupt, length, total)
	}
	if err := verifySum(r, size); err != nil {
		return nil, err
	}
	raw := make([]byte, length)
	if _, err := r.ReadAt(raw, preludeSize); err != nil {
		return nil, fmt.Errorf("cannot read: %w", atomicfile.Bare(err))
	}
	var h header
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&h); err != nil {
		return nil, fmt.Errorf("%w: header: %v", ErrCorrupt, err)
	}
	if dec.InputOffset() != int64(length) {
		return nil, fmt.Errorf("%w: header: %d bytes of JSON, want %d", ErrCorrupt, dec.InputOffset(), length)
	}
	if kind != "" && h.Kind != kind {
		return nil, fmt.Errorf("%w: kind %q, want %q", ErrKind, h.Kind, kind)
	}
	if h.Step < 0 {
		return nil, fmt.Errorf("%w: step %d, want at least 0", ErrCorrupt, h.Step)
	}
	body := total - preludeSize - uint64(length) - sha256.Size
	if err := checkArrays(h.Arrays, body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	in := io.NewSectionReader(r, preludeSize+int64(length), int64(body))
	buf := make([]byte, 1<<16)
	for i := range h.Arrays {
		if err := h.Arrays[i].read(in, buf); err != nil {
			return nil, fmt.Errorf("cannot read: %w", atomicfile.Bare(err))
		}
	}
	if h.State == nil {
		h.State = map[string]json.RawMessage{}
	}
	return &Checkpoint{Kind: h.Kind, Step: h.Step, Config: h.Config, state: h.State, arrays: h.Arrays}, nil
}

// verifySum compares the checksum at the end of the file with that of what comes before.
func verifySum(r io.ReaderAt, size int64) error {
	var sum hash.Hash = sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(r, 0, size-sha256.Size)); err != nil {
		return fmt.Errorf("cannot read: %w", atomicfile.Bare(err))
	}
	want := make([]byte, sha256.Size)
	if _, err := r.ReadAt(want, size-sha256.Size); err != nil && err != io.EOF {
		return fmt.Errorf("cannot read: %w", atomicfile.Bare(err))
	}
	if got := sum.Sum(nil); !bytes.Equal(got, want) {
		return fmt.Errorf("%w: SHA-256 begins with %x, want %x", ErrCorrupt, got[:4], want[:4])
	}
	return nil
}

// checkArrays tells whether the declared arrays are sane and take exactly body bytes.
func checkArrays(arrays []array, body uint64) error {
	if len(arrays) > maxArrays {
		return fmt.Errorf("%d arrays, want at most %d", len(arrays), maxArrays)
	}
	names := make(map[string]bool, len(arrays))
	used := uint64(0)
	for i := range arrays {
		a := &arrays[i]
		if names[a.Name] {
			return fmt.Errorf("array %q appears twice", a.Name)
		}
		names[a.Name] = true
		if a.Dtype != "float32" && a.Dtype != "float64" {
			return fmt.Errorf("array %q has dtype %q, want float32 or float64", a.Name, a.Dtype)
		}
		if _, ok := product(a.Shape); !ok || len(a.Shape) > maxDims {
			return fmt.Errorf("array %q has an impossible shape %v", a.Name, a.Shape[:min(len(a.Shape), maxDims)])
		}
		if used += a.size(); used > body {
			return fmt.Errorf("array %q of shape %v does not fit the file's %d bytes of data", a.Name, a.Shape, body)
		}
	}
	if used != body {
		return fmt.Errorf("%d bytes of data, want %d", body, used)
	}
	return nil
}

func (a *array) read(r io.Reader, buf []byte) error {
	n, _ := product(a.Shape)
	if a.Dtype == "float32" {
		a.f32 = make([]float32, n)
	} else {
		a.f64 = make([]float64, n)
	}
	for f := a.f32; len(f) > 0; {
		n := min(len(f), len(buf)/4)
		if _, err := io.ReadFull(r, buf[:4*n]); err != nil {
			return err
		}
		for i := range f[:n] {
			f[i] = math.Float32frombits(binary.LittleEndian.Uint32(buf[4*i:]))
		}
		f = f[n:]
	}
	for f := a.f64; len(f) > 0; {
		n := min(len(f), len(buf)/8)
		if _, err := io.ReadFull(r, buf[:8*n]); err != nil {
			return err
		}
		for i := range f[:n] {
			f[i] = math.Float64frombits(binary.LittleEndian.Uint64(buf[8*i:]))
		}
		f = f[n:]
	}
	return nil
}
