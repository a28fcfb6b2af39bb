// Command gomlx is GoMLX's contestant of bench/suite: its backend in pure Go computes the mean of a net over rows and
// its gradient with respect to the parameters. It speaks the protocol of bench/peers/protocol.py.
package main

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/simplego"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // as that package's own examples do
	"github.com/gomlx/gomlx/pkg/core/tensors"
	"github.com/sbinet/npyio/npz"
)

func main() {
	backend, err := simplego.New("")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var c *net
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer, err := serve(backend, &c, strings.Fields(lines.Text()))
		if err != nil {
			fmt.Println("error", strings.Join(strings.Fields(err.Error()), " "))
		} else {
			fmt.Println("ok", answer)
		}
	}
}

func serve(backend backends.Backend, c **net, words []string) (answer string, err error) {
	defer func() { // GoMLX reports errors of graphs by panics
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	switch {
	case len(words) == 1 && words[0] == "versions":
		return fmt.Sprintf(`{"gomlx": %q}`, version()), nil
	case len(words) >= 4 && words[0] == "setup":
		if words[1] != "net" || words[2] != "float32" {
			return "", fmt.Errorf("no case %s in %s", words[1], words[2])
		}
		*c, err = newNet(backend, words[3])
		return "", err
	case len(words) == 2 && words[0] == "check" && *c != nil:
		return "", (*c).check(words[1])
	case len(words) == 2 && words[0] == "run" && *c != nil:
		n, err := strconv.Atoi(words[1])
		if err != nil {
			return "", err
		}
		began, cpu := time.Now(), processTime()
		for range n {
			for _, t := range (*c).once() {
				t.MustFinalizeAll()
			}
		}
		return fmt.Sprint(time.Since(began).Seconds()*1e3, " ", processTime()-cpu), nil
	}
	return "", fmt.Errorf("unknown command %q", words)
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/gomlx/gomlx" {
				return d.Version
			}
		}
	}
	return "unknown"
}

func processTime() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}

// A net has four layers with softplus between.
type net struct {
	exec *Exec
	args []any
}

const layers = 4

func newNet(backend backends.Backend, file string) (*net, error) {
	r, err := npz.Open(file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	n := &net{}
	names := []string{"x"}
	for i := range 2 * layers {
		names = append(names, fmt.Sprintf("p%d", i))
	}
	for _, name := range names {
		h := r.Header(name + ".npy")
		if h == nil {
			return nil, fmt.Errorf("%s has no array %s", file, name)
		}
		var v []float32
		if err := r.Read(name+".npy", &v); err != nil {
			return nil, err
		}
		n.args = append(n.args, tensors.FromFlatDataAndDimensions(v, h.Descr.Shape...))
	}
	n.exec, err = NewExec(backend, func(in []*Node) []*Node {
		x, p := in[0], in[1:]
		for i := range layers {
			x = Add(Dot(x, p[2*i]), ExpandDims(p[2*i+1], 0))
			if i+1 < layers {
				x = softplus(x)
			}
		}
		loss := ReduceAllMean(x)
		return append([]*Node{loss}, Gradient(loss, p...)...)
	})
	if err != nil {
		return nil, err
	}
	for _, t := range n.once() {
		t.MustFinalizeAll()
	}
	return n, nil
}

func softplus(x *Node) *Node { return Add(MaxScalar(x, 0), Log1p(Exp(Neg(Abs(x))))) }

func (n *net) once() []*tensors.Tensor { return n.exec.MustExec(n.args...) }

// check writes loss and m0, m1, ..., the gradients, as matrices.
func (n *net) check(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := zip.NewWriter(f)
	for i, t := range n.once() {
		name, shape := "loss", []int{1, 1}
		if i > 0 {
			name = fmt.Sprintf("m%d", i-1)
			shape = t.Shape().Dimensions
			if len(shape) == 1 {
				shape = []int{1, shape[0]}
			}
		}
		err = errors.Join(err, write(w, name, shape, tensors.MustCopyFlatData[float32](t)))
	}
	return errors.Join(err, w.Close(), f.Close())
}

// write writes an array of NumPy's format, version 1.0.
func write(w *zip.Writer, name string, shape []int, v []float32) error {
	out, err := w.Create(name + ".npy")
	if err != nil {
		return err
	}
	head := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", shape[0], shape[1])
	head += strings.Repeat(" ", 63-(10+len(head))%64) + "\n"
	if _, err := out.Write(append([]byte("\x93NUMPY\x01\x00"), append([]byte{byte(len(head)), byte(len(head) >> 8)},
		head...)...)); err != nil {
		return err
	}
	return binary.Write(out, binary.LittleEndian, v)
}
