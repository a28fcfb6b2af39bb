package nn

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/godcem/godcem/internal/atomicfile"
	"github.com/godcem/godcem/kernels"
	"gorgonia.org/tensor"
)

// Parameters are saved in NumPy's .npz format: a zip archive with one .npy file per array,
// https://numpy.org/neps/nep-0001-npy-format.html. The format is read and written here: npyio v0.9.0 can only write
// matrices of float64, and panics on damaged headers.

// SaveNPZ writes the parameters to path, atomically; numpy.load(path)["energy/0/w"] reads one.
func SaveNPZ(path string, p Params) error {
	return atomicfile.Write(path, func(w io.Writer) error { return writeNPZ(w, p) })
}

func writeNPZ(w io.Writer, p Params) error {
	z := zip.NewWriter(w)
	for i := range p {
		f, err := z.CreateHeader(&zip.FileHeader{Name: p[i].Name + ".npy", Method: zip.Store})
		if err != nil {
			return err
		}
		shape := p[i].Node.Shape()
		switch p[i].Node.Dtype() {
		case tensor.Float32:
			err = writeNPY(f, "<f4", shape, valuesOf[float32](p[i]))
		case tensor.Float64:
			err = writeNPY(f, "<f8", shape, valuesOf[float64](p[i]))
		}
		if err != nil {
			return err
		}
	}
	return z.Close()
}

func writeNPY[T kernels.Float](w io.Writer, descr string, shape tensor.Shape, data []T) error {
	dims := ""
	for _, d := range shape {
		dims += fmt.Sprintf("%d, ", d)
	}
	head := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, strings.TrimSuffix(dims, " "))
	const fixed = 10 // magic, version, length
	head += strings.Repeat(" ", 63-(fixed+len(head))%64) + "\n"
	raw := append([]byte("\x93NUMPY\x01\x00"), byte(len(head)), byte(len(head)>>8))
	raw, err := binary.Append(append(raw, head...), binary.LittleEndian, data)
	if err != nil {
		return err
	}
	_, err = w.Write(raw)
	return err
}

// LoadNPZ reads the parameters from path. The file must hold exactly these names, each with the parameter's shape and
// element type (float32 or float64 of either byte order, C or Fortran order, compressed or not). On an error, which
// names what was found and what was expected, no parameter has changed. A hostile file costs no more memory than the
// parameters take.
func LoadNPZ(path string, p Params) error {
	info, err := os.Stat(path) // before opening it: a pipe would wait for a writer
	if err != nil {
		return fmt.Errorf("%s: cannot read: %w", path, errors.Unwrap(err))
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a file, want an .npz file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: cannot read: %w", path, errors.Unwrap(err))
	}
	defer f.Close()
	if err := readNPZ(f, info.Size(), p); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func readNPZ(r io.ReaderAt, size int64, p Params) error {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return fmt.Errorf("not an .npz file: %w", err)
	}
	files := make(map[string]*zip.File, len(p))
	for _, f := range z.File {
		name, ok := strings.CutSuffix(f.Name, ".npy")
		if !ok || p.Get(name).Node == nil {
			return fmt.Errorf("holds an array %.80q, want %.300q", name, p.Names())
		}
		if files[name] != nil {
			return fmt.Errorf("holds the array %q twice", name)
		}
		files[name] = f
	}
	raw := make([][]byte, len(p)) // nothing is stored before all of it was read
	head := make([]npyHeader, len(p))
	for i := range p {
		f := files[p[i].Name]
		if f == nil {
			return fmt.Errorf("has no array %q", p[i].Name)
		}
		if raw[i], head[i], err = readEntry(f, p[i]); err != nil {
			return fmt.Errorf("array %q: %w", p[i].Name, err)
		}
	}
	for i := range p {
		switch data := p[i].Node.Value().Data().(type) {
		case []float32:
			head[i].store(len(data), func(to, from int) {
				data[to] = math.Float32frombits(head[i].order.Uint32(raw[i][4*from:]))
			})
		case []float64:
			head[i].store(len(data), func(to, from int) {
				data[to] = math.Float64frombits(head[i].order.Uint64(raw[i][8*from:]))
			})
		}
	}
	return nil
}

// readEntry returns the bytes of an array that fits the parameter.
func readEntry(f *zip.File, p Param) ([]byte, npyHeader, error) {
	in, err := f.Open()
	if err != nil {
		return nil, npyHeader{}, err
	}
	defer in.Close()
	h, err := readHeader(in)
	if err != nil {
		return nil, h, err
	}
	dt, shape := p.Node.Dtype(), p.Node.Shape()
	if want := int(dt.Size()); h.size != want {
		return nil, h, fmt.Errorf("holds float%d, want %v", 8*h.size, dt)
	}
	if !slices.Equal(h.shape, shape) {
		return nil, h, fmt.Errorf("has shape %v, want %v", tensor.Shape(h.shape), shape)
	}
	raw := make([]byte, shape.TotalSize()*h.size)
	if _, err := io.ReadFull(in, raw); err != nil {
		return nil, h, fmt.Errorf("cut short: %w", err)
	}
	// The archive's checksum is compared at the end of the entry.
	if n, err := in.Read(make([]byte, 1)); n > 0 {
		return nil, h, fmt.Errorf("holds more than the %d bytes of shape %v", len(raw), shape)
	} else if err != io.EOF {
		return nil, h, err
	}
	return raw, h, nil
}

// npyHeader is what the header of an .npy file says.
type npyHeader struct {
	order   binary.ByteOrder
	size    int // bytes of an element
	fortran bool
	shape   []int
}

// store calls set for each element with its row-major place and its place in the file.
func (h npyHeader) store(n int, set func(to, from int)) {
	if !h.fortran {
		for i := range n {
			set(i, i)
		}
		return
	}
	at := make([]int, len(h.shape))
	for i := range n {
		from := 0
		for d := len(at) - 1; d >= 0; d-- { // the first index runs fastest
			from = from*h.shape[d] + at[d]
		}
		set(i, from)
		for d := len(at) - 1; d >= 0; d-- {
			if at[d]++; at[d] < h.shape[d] {
				break
			}
			at[d] = 0
		}
	}
}

func readHeader(r io.Reader) (h npyHeader, err error) {
	const most = 4096 // bytes; NumPy's are 118 for a matrix
	var start [8]byte
	if _, err := io.ReadFull(r, start[:]); err != nil || string(start[:6]) != "\x93NUMPY" {
		return h, fmt.Errorf("not an .npy file: starts with %q", start)
	}
	length := uint32(0)
	switch start[6] {
	case 1:
		var short uint16
		err = binary.Read(r, binary.LittleEndian, &short)
		length = uint32(short)
	case 2, 3:
		err = binary.Read(r, binary.LittleEndian, &length)
	default:
		return h, fmt.Errorf("an .npy file of version %d, want 1 to 3", start[6])
	}
	if err != nil {
		return h, fmt.Errorf("cut short: %w", err)
	}
	if length > most {
		return h, fmt.Errorf("a header of %d bytes, want at most %d", length, most)
	}
	raw := make([]byte, length)
	if _, err := io.ReadFull(r, raw); err != nil {
		return h, fmt.Errorf("cut short: %w", err)
	}
	return parseHeader(string(raw))
}
