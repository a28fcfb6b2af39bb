package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type nested struct {
	Name  string  `json:"name"`
	Score float64 `json:"score"`
	Count uint64  `json:"count"`
}

// sample is a checkpoint with every kind of content: odd bits, empty and scalar arrays, exact numbers.
func sample(t testing.TB) *Checkpoint {
	c := NewCheckpoint("regression", 1234)
	c.Config = json.RawMessage(`{"samples":100}`)
	if err := c.Put("history", nested{"a\"b", third, math.MaxUint64}); err != nil {
		t.Fatal(err)
	}
	if err := c.Put("plateau", 7); err != nil {
		t.Fatal(err)
	}
	zero, inf, nan := float32(math.Copysign(0, -1)), float32(math.Inf(-1)), math.Float32frombits(0x7fc12345)
	PutArray(c, "w", []float32{1, zero, inf, nan, 1e-45, 3}, 2, 3)
	PutArray(c, "b", []float64{math.Pi, math.Float64frombits(0x7ff8000000000abc), math.Copysign(0, -1), math.Inf(1)})
	PutArray(c, "empty", []float64{}, 0, 4)
	return c
}

func encode(t testing.TB, c *Checkpoint) []byte {
	var b bytes.Buffer
	if err := encodeCheckpoint(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCheckpointRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.gdc")
	if err := Save(path, sample(t)); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, "regression")
	if err != nil {
		t.Fatal(err)
	}
	if c.Step != 1234 || c.Kind != "regression" || string(c.Config) != `{"samples":100}` {
		t.Errorf("got step %d, kind %q, config %s", c.Step, c.Kind, c.Config)
	}
	var n nested
	var p int
	if err := errors.Join(c.Get("history", &n), c.Get("plateau", &p)); err != nil {
		t.Fatal(err)
	}
	if want := (nested{"a\"b", third, math.MaxUint64}); n != want || p != 7 {
		t.Errorf("got %+v and %d, want %+v and 7", n, p, want)
	}
	var w [6]float32
	var b [4]float64
	err = errors.Join(GetArray(c, "w", w[:], 2, 3), GetArray(c, "b", b[:]), GetArray(c, "empty", []float64{}, 0, 4))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range []uint32{0x3f800000, 1 << 31, 0xff800000, 0x7fc12345, 1, 0x40400000} {
		if got := math.Float32bits(w[i]); got != v {
			t.Errorf("w[%d] has bits %#x, want %#x", i, got, v)
		}
	}
	for i, v := range []uint64{math.Float64bits(math.Pi), 0x7ff8000000000abc, 1 << 63, 0x7ff0000000000000} {
		if got := math.Float64bits(b[i]); got != v {
			t.Errorf("b[%d] has bits %#x, want %#x", i, got, v)
		}
	}
	if got := c.Arrays(); !slices.Equal(got, []string{"w", "b", "empty"}) {
		t.Errorf("arrays %v", got)
	}
	// What was loaded is the same file again.
	if !bytes.Equal(encode(t, c), encode(t, sample(t))) {
		t.Error("saving what was loaded gives other bytes")
	}
}

func TestCheckpointAsksForMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.gdc")
	if err := Save(path, sample(t)); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, "")
	if err != nil {
		t.Fatal(err)
	}
	var n nested
	var only struct {
		Name string `json:"name"`
	}
	for want, err := range map[string]error{
		`has no state "x"`:                        c.Get("x", &n),
		`state "history": json: unknown field`:    c.Get("history", &only),
		`state "plateau": json: cannot unmarshal`: c.Get("plateau", &n),
		`has no array "x"`:                        GetArray(c, "x", make([]float64, 1)),
		`array "w" holds float32, want float64`:   GetArray(c, "w", make([]float64, 6), 2, 3),
		`array "w" has shape [2 3], want [3 2]`:   GetArray(c, "w", make([]float32, 6), 3, 2),
		`array "b" has shape [4], want [5]`:       GetArray(c, "b", make([]float64, 5)),
		`array "empty" has shape [0 4], want [0]`: GetArray(c, "empty", []float64{}),
		`array "b" holds float64, want float32`:   GetArray(c, "b", make([]float32, 4)),
	} {
		says(t, want, err, path, want)
		if !errors.Is(err, ErrMismatch) {
			t.Errorf("got %v, want %v", err, ErrMismatch)
		}
	}
	if err := c.Put("nan", math.NaN()); err == nil {
		t.Error("NaN went into JSON")
	}
	for name, f := range map[string]func(){
		"shape":     func() { PutArray(c, "new", make([]float64, 3), 2, 2) },
		"negative":  func() { PutArray(c, "new", make([]float64, 4), -2, -2) },
		"overflow":  func() { PutArray(c, "new", []float64{}, 1<<32, 1<<32) },
		"twice":     func() { PutArray(c, "w", make([]float64, 1)) },
		"state":     func() { c.Put("plateau", 1) },
		"get shape": func() { GetArray(c, "w", make([]float32, 6), 7) },
	} {
		mustPanic(t, name, f)
	}
}

// says fails unless err is there, on one line, and contains all of the parts.
func says(t *testing.T, name string, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want %q", name, parts)
		return
	}
	for _, part := range append(parts, "") {
		if !strings.Contains(err.Error(), part) || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%s: got %q, want %q on one line", name, err, parts)
			return
		}
	}
}

func mustPanic(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "run: ") {
			t.Errorf("%s: no panic with a message", name)
		}
	}()
	f()
}

// Every byte of a small file, damaged in two ways: an error each time, never another state.
func TestCheckpointEveryByte(t *testing.T) {
	good := encode(t, sample(t))
	path := filepath.Join(t.TempDir(), "c.gdc")
	for i := range good {
		for _, mask := range []byte{0x01, 0xff} {
			bad := bytes.Clone(good)
			bad[i] ^= mask
			_, err := decodeCheckpoint(bytes.NewReader(bad), int64(len(bad)), "regression")
			if err == nil {
				t.Fatalf("byte %d ^ %#x: no error", i, mask)
			}
			if mask == 0xff && i%16 == 0 { // through the file system, for the message
				if err := os.WriteFile(path, bad, 0o644); err != nil {
					t.Fatal(err)
				}
				_, err := Load(path, "regression")
				if err == nil || !strings.HasPrefix(err.Error(), path+": ") || strings.Contains(err.Error(), "\n") {
					t.Fatalf("byte %d: got %v, want one line that starts with the path", i, err)
				}
			}
		}
		_, err := decodeCheckpoint(bytes.NewReader(good[:i]), int64(i), "regression")
		if !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut to %d bytes: got %v, want %v", i, err, ErrTruncated)
		}
	}
}

// resum gives a checkpoint file that was edited the length and checksum that fit, so that what comes after those checks
// is reached.
func resum(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) < preludeSize+sha256.Size {
		return b
	}
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], formatVersion)
	binary.LittleEndian.PutUint64(b[16:], uint64(len(b)))
	sum := sha256.Sum256(b[:len(b)-sha256.Size])
	copy(b[len(b)-sha256.Size:], sum[:])
	return b
}

// build is a file with a header of any JSON, checksummed.
func build(header string, body int) []byte {
	b := make([]byte, preludeSize, preludeSize+len(header)+body+sha256.Size)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(header)))
	b = append(append(b, header...), make([]byte, body+sha256.Size)...)
	return resum(b)
}

func TestCheckpointErrors(t *testing.T) {
	good := encode(t, sample(t))
	newer := bytes.Clone(good)
	newer[8] = 2
	const head = `{"kind":"regression","step":0,"state":{},"arrays":`
	for _, c := range []struct {
		name string
		data []byte
		want error
		text string
	}{
		{"foreign", []byte("PK\x03\x04 this is a zip file of some length"), ErrForeign, `want "GODCEMck"`},
		{"short foreign", []byte("PK"), ErrForeign, `starts with "PK"`},
		{"empty", nil, ErrTruncated, "0 bytes, want at least 24"},
		{"newer", newer, ErrNewer, "format 2, this program reads up to 1"},
		{"longer", append(bytes.Clone(good), 0), ErrCorrupt, "want"},
		{"other kind", good, ErrKind, `kind "regression", want "bumps"`},
		{"no JSON", build("nonsense", 0), ErrCorrupt, "header"},
		{"trailing", build(head+`[]} `, 0), ErrCorrupt, "bytes of JSON"},
		{"unknown key", build(`{"kind":"regression","stepp":1}`, 0), ErrCorrupt, "stepp"},
		{"negative step", build(`{"kind":"regression","step":-1}`, 0), ErrCorrupt, "step -1"},
		{"dtype", build(head+`[{"name":"w","dtype":"int8","shape":[1]}]}`, 1), ErrCorrupt, `dtype "int8"`},
		{"negative shape", build(head+`[{"name":"w","dtype":"float32","shape":[-1]}]}`, 0), ErrCorrupt, "impossible shape"},
		{"huge shape", build(head+`[{"name":"w","dtype":"float32","shape":[1000000,1000000]}]}`, 8), ErrCorrupt, "does not fit"},
		{"overflow", build(head+`[{"name":"w","dtype":"float64","shape":[4294967296,4294967296]}]}`, 0), ErrCorrupt,
			"impossible shape"},
		{"twice", build(head+`[{"name":"w","dtype":"float32","shape":[1]},{"name":"w","dtype":"float32","shape":[1]}]}`, 8),
			ErrCorrupt, "twice"},
		{"unused bytes", build(head+`[]}`, 8), ErrCorrupt, "8 bytes of data, want 0"},
	} {
		kind := "regression"
		if c.want == ErrKind {
			kind = "bumps"
		}
		_, err := decodeCheckpoint(bytes.NewReader(c.data), int64(len(c.data)), kind)
		says(t, c.name, err, c.text)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	dir := t.TempDir()
	if _, err := Load(dir, ""); !errors.Is(err, ErrForeign) {
		t.Errorf("folder: got %v", err)
	}
	if _, err := Load(filepath.Join(dir, "none"), ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: got %v", err)
	}
}

func TestAtomicKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.gdc")
	if err := Save(path, sample(t)); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := NewCheckpoint("regression", 2)
	bad.Config = json.RawMessage("{")
	if err := Save(path, bad); err == nil || !strings.HasPrefix(err.Error(), path) {
		t.Errorf("got %v, want an error with the path", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the old file changed (%v)", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// FuzzCheckpoint feeds the reader damaged files, as they are and with length and checksum made right. What is accepted
// must come back the same from its own bytes.
func FuzzCheckpoint(f *testing.F) {
	f.Add(encode(f, sample(f)))
	f.Add(encode(f, NewCheckpoint("", 0)))
	f.Add(build(`{"kind":"k","step":1,"state":{},"arrays":[{"name":"w","dtype":"float32","shape":[1000000,1000000]}]}`, 8))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, b := range [][]byte{data, resum(data)} {
			c, err := decodeCheckpoint(bytes.NewReader(b), int64(len(b)), "")
			if err != nil {
				if strings.Contains(err.Error(), "\n") {
					t.Fatalf("error of several lines: %q", err)
				}
				continue
			}
			again := encode(t, c)
			d, err := decodeCheckpoint(bytes.NewReader(again), int64(len(again)), c.Kind)
			if err != nil {
				t.Fatalf("its own bytes: %v", err)
			}
			if !bytes.Equal(encode(t, d), again) {
				t.Fatal("its own bytes give another state")
			}
		}
	})
}
