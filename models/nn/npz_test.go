package nn

import (
	"archive/zip"
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sbinet/npyio/npz"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// numpyNet has the shapes of the files in testdata, which NumPy 2.4.6 wrote.
func numpyNet(t testing.TB, dt tensor.Dtype) Params {
	_, m := newNet(t, MLPConfig{Name: "net", Sizes: []int{2, 3}, Dtype: dt})
	return m.Params()
}

func TestNPZFromNumPy(t *testing.T) {
	w := make([]float64, 6)
	for i := range w {
		w[i] = float64(i) / 7
	}
	b := []float64{1.5, -2.25, 1e-300}
	for _, name := range []string{"float64", "compressed", "fortran"} { // the last one big-endian, too
		p := numpyNet(t, tensor.Float64)
		if err := LoadNPZ("testdata/"+name+".npz", p); err != nil {
			t.Fatal(err)
		}
		if v := Values[float64](p); !slices.Equal(v[0], w) || !slices.Equal(v[1], b) {
			t.Errorf("%s: got %v", name, v)
		}
	}
	p := numpyNet(t, tensor.Float32)
	if err := LoadNPZ("testdata/float32.npz", p); err != nil {
		t.Fatal(err)
	}
	if v := Values[float32](p); v[0][5] != float32(5)/7 || v[1][2] != 1e-30 {
		t.Errorf("float32: got %v", v)
	}
	if err := LoadNPZ("testdata/float32.npz", numpyNet(t, tensor.Float64)); err == nil ||
		err.Error() != `testdata/float32.npz: array "net/0/w": holds float32, want float64` {
		t.Errorf("got %v", err)
	}
}

func TestNPZRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "net.npz")
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		_, m := newNet(t, MLPConfig{Name: "energy", Sizes: []int{2, 5, 1}, Dtype: dt, Seed: 1})
		p := m.Params()
		if err := p.Set("energy/0/b", []float64{math.Inf(1), math.NaN(), math.Copysign(0, -1), 5e-324, -1}); err != nil {
			t.Fatal(err)
		}
		if err := SaveNPZ(path, p); err != nil {
			t.Fatal(err)
		}
		_, other := newNet(t, MLPConfig{Name: "energy", Sizes: []int{2, 5, 1}, Dtype: dt, Seed: 2})
		if err := LoadNPZ(path, other.Params()); err != nil {
			t.Fatal(err)
		}
		for i := range p {
			a := floats(t, []G.Value{p[i].Node.Value(), other.Params()[i].Node.Value()})
			for j := range a[0] {
				if math.Float64bits(a[0][j]) != math.Float64bits(a[1][j]) {
					t.Errorf("%s[%d]: saved %v, loaded %v", p[i].Name, j, a[0][j], a[1][j])
				}
			}
		}
		// Another reader of the format agrees.
		z, err := npz.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if h := z.Header("energy/0/w.npy"); h == nil || !slices.Equal(h.Descr.Shape, []int{2, 5}) || h.Descr.Fortran {
			t.Errorf("npyio reads the header %+v", h)
		}
		if dt == tensor.Float64 {
			var w []float64
			if err := z.Read("energy/0/w.npy", &w); err != nil || !slices.Equal(w, Values[float64](p)[0]) {
				t.Errorf("npyio reads %v, %v", w, err)
			}
		}
		z.Close()
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

// archive makes a zip file of entries.
func archive(t testing.TB, method uint16, entries ...[2]string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		f, err := z.CreateHeader(&zip.FileHeader{Name: e[0], Method: method})
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte(e[1]))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func npy(header, data string) string {
	return "\x93NUMPY\x01\x00" + string([]byte{byte(len(header)), byte(len(header) >> 8)}) + header + data
}

func TestNPZErrors(t *testing.T) {
	const headW = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n"
	const headB = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n"
	w, b := npy(headW, strings.Repeat("\x00", 24)), npy(headB, strings.Repeat("\x00", 12))
	good := archive(t, zip.Deflate, [2]string{"net/0/w.npy", w}, [2]string{"net/0/b.npy", b})
	if err := readNPZ(bytes.NewReader(good), int64(len(good)), numpyNet(t, tensor.Float32)); err != nil {
		t.Fatal(err)
	}
	damaged := archive(t, zip.Store, [2]string{"net/0/w.npy", w}, [2]string{"net/0/b.npy", b})
	damaged[bytes.Index(damaged, []byte(headW))+len(headW)+3] ^= 1 // a bit of the data
	withW := func(w string) []byte {
		return archive(t, zip.Deflate, [2]string{"net/0/w.npy", w}, [2]string{"net/0/b.npy", b})
	}
	withHead := func(head string) []byte { return withW(npy(head, strings.Repeat("\x00", 24))) }
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"no zip", []byte("nonsense"), "not an .npz file: zip: not a valid zip file"},
		{"empty", nil, "not an .npz file"},
		{"checksum", damaged, `array "net/0/w": zip: checksum error`},
		{"missing", archive(t, zip.Store, [2]string{"net/0/w.npy", w}), `has no array "net/0/b"`},
		{"extra", archive(t, zip.Store, [2]string{"net/1/w.npy", w}), `holds an array "net/1/w", want ["net/0/w" "net/0/b"]`},
		{"not npy", archive(t, zip.Store, [2]string{"net/0/w", w}), `holds an array "net/0/w"`},
		{"twice", archive(t, zip.Store, [2]string{"net/0/w.npy", w}, [2]string{"net/0/w.npy", w}), `array "net/0/w" twice`},
		{"shape", withW(npy(headB, strings.Repeat("\x00", 12))), `array "net/0/w": has shape (3), want (2, 3)`},
		{"transposed", withHead("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n"), "has shape (3, 2), want (2, 3)"},
		{"huge", withHead("{'descr': '<f4', 'fortran_order': False, 'shape': (2000000000, 2000000000), }\n"), "has shape"},
		{"short", withW(w[:len(w)-1]), "cut short"},
		{"long", withW(w + "\x00"), "holds more than the 24 bytes of shape (2, 3)"},
		{"magic", withW("\x93NUMPX" + w[6:]), "not an .npy file"},
		{"tiny", withW("\x93N"), "not an .npy file"},
		{"version", withW(w[:6] + "\x09" + w[7:]), "version 9, want 1 to 3"},
		{"version 2, cut", withW("\x93NUMPY\x02\x00\x01"), "cut short"},
		{"long header", withW("\x93NUMPY\x02\x00\xff\xff\xff\xff"), "a header of 4294967295 bytes"},
		{"cut header", withW(w[:30]), "cut short"},
		{"int", withHead("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }\n"),
			`elements of type "<i4", want float32 or float64`},
		{"object", withHead("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }\n"), `elements of type "|O"`},
		{"no shape", withHead("{'descr': '<f4', 'fortran_order': False, }\n"), `no "shape"`},
		{"order", withHead("{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3), }\n"), `want "False" before "0`},
		{"negative", withHead("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }\n"), "want up to 8 sizes"},
		{"unknown key", withHead("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}\n"), `unknown key "x"`},
		{"key twice", withHead("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n"), `"descr" twice`},
		{"rest", withHead("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } x\n"), "something follows the brace"},
		{"no brace", withHead("'descr': '<f4'\n"), `want "{"`},
		{"quote", withHead("{'descr: \n"), "want a quoted word"},
		{"nothing", withHead(""), `want "{"`},
	} {
		path := filepath.Join(t.TempDir(), "net.npz")
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		p := numpyNet(t, tensor.Float32)
		before := slices.Clone(Values[float32](p)[0])
		says(t, c.name, LoadNPZ(path, p), path+": ", c.want)
		if !slices.Equal(Values[float32](p)[0], before) {
			t.Errorf("%s: parameters changed", c.name)
		}
	}
	says(t, "no file", LoadNPZ(filepath.Join(t.TempDir(), "none.npz"), nil), "none.npz: cannot read: no such file")
	says(t, "folder", LoadNPZ(t.TempDir(), nil), "not a file")
	nowhere := filepath.Join(t.TempDir(), "none", "x.npz")
	says(t, "no folder", SaveNPZ(nowhere, numpyNet(t, tensor.Float32)), nowhere+": cannot write")
}

// FuzzNPZ feeds the loader whole files, and headers inside of an otherwise sound archive. What is accepted is saved and
// loaded again as the same.
func FuzzNPZ(f *testing.F) {
	for _, name := range []string{"float32", "float64", "compressed", "fortran"} {
		raw, err := os.ReadFile("testdata/" + name + ".npz")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, false)
	}
	f.Add([]byte(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", strings.Repeat("\x01", 24))), true)
	f.Add([]byte(npy("{\"shape\": (2, 3), 'fortran_order': False, 'descr': '>f4'}", strings.Repeat("\x01", 24))), true)
	f.Fuzz(func(t *testing.T, raw []byte, inner bool) {
		if inner {
			b := npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n", strings.Repeat("\x00", 12))
			raw = archive(t, zip.Store, [2]string{"net/0/w.npy", string(raw)}, [2]string{"net/0/b.npy", b})
		}
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			p := numpyNet(t, dt)
			if err := readNPZ(bytes.NewReader(raw), int64(len(raw)), p); err != nil {
				if strings.ContainsAny(err.Error(), "\r\n") {
					t.Fatalf("error of several lines: %q", err)
				}
				continue
			}
			var first, second bytes.Buffer
			q := numpyNet(t, dt)
			if err := writeNPZ(&first, p); err != nil {
				t.Fatal(err)
			}
			if err := readNPZ(bytes.NewReader(first.Bytes()), int64(first.Len()), q); err != nil {
				t.Fatalf("its own bytes: %v", err)
			}
			if err := writeNPZ(&second, q); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
				t.Fatalf("its own bytes give other parameters (%v)", err)
			}
		}
	})
}
