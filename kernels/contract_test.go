package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/vec"
)

// refContract is the definition: every array repeated to (b, n, d), multiplied, summed into the output.
func refContract(outPattern Pattern, operands [][]float64, patterns []Pattern, scale float64, b, n, d int) []float64 {
	at := func(p Pattern, i, j, k int) int {
		switch p {
		case BD:
			return i*d + k
		case BN:
			return i*n + j
		}
		return (i*n+j)*d + k
	}
	out := make([]float64, outPattern.Size(b, n, d))
	for i := range b {
		for j := range n {
			for k := range d {
				v := scale
				for o, p := range patterns {
					v *= operands[o][at(p, i, j, k)]
				}
				out[at(outPattern, i, j, k)] += v
			}
		}
	}
	return out
}

func TestContract(t *testing.T) {
	all := []Pattern{BD, BN, BND}
	var lists [][]Pattern
	for _, p := range all {
		lists = append(lists, []Pattern{p})
		for _, q := range all {
			lists = append(lists, []Pattern{p, q}, []Pattern{p, q, BND})
		}
	}
	for _, size := range [][3]int{{1, 1, 1}, {3, 4, 2}, {2, 1, 5}, {2, 7, 1}, {40, 30, 9}, {2, 3, contractTile + 5}, {0, 3, 2}, {2, 0, 3}} {
		b, n, d := size[0], size[1], size[2]
		for _, out := range all {
			for _, patterns := range lists {
				t.Run(fmt.Sprint(size, patterns, "->", out), func(t *testing.T) {
					r := rand.New(rand.NewPCG(1, uint64(len(patterns))))
					var operands [][]float64
					var operands32 [][]float32
					for _, p := range patterns {
						v := make([]float32, p.Size(b, n, d))
						for i := range v {
							v[i] = r.Float32()*2 - 1
						}
						operands32 = append(operands32, v)
						operands = append(operands, check.Copy[float64](v))
					}
					want := refContract(out, operands, patterns, 0.3, b, n, d)
					got, verify := check.Guarded[float64](t, "out", len(want))
					Contract(got, out, operands, patterns, 0.3, b, n, d)
					verify()
					got32, verify32 := check.Guarded[float32](t, "out32", len(want))
					Contract(got32, out, operands32, patterns, 0.3, b, n, d)
					verify32()
					if len(want) > 0 { // else that nothing is written is what the guards have checked
						check.Close(t, "float64", got, want, 1e-13) // sums of up to 270 terms, in another order
						check.Close(t, "float32", check.Copy[float64](got32), want, 1e-6)
					}
				})
			}
		}
	}
}

func TestContractBitsDoNotDependOnThreads(t *testing.T) {
	const b, n, d = 50, 100, 7
	m, w, x := make([]float32, b*d), make([]float32, b*n), make([]float32, b*n*d)
	r := rand.New(rand.NewPCG(3, 4))
	for _, v := range [][]float32{m, w, x} {
		for i := range v {
			v[i] = r.Float32() - 0.5
		}
	}
	operands := map[Pattern][]float32{BD: m, BN: w, BND: x}
	for _, out := range []Pattern{BD, BN, BND} {
		for _, patterns := range [][]Pattern{{BN, BND}, {BND, BD, BN}} { // direct and by products in a tile
			var in [][]float32
			for _, p := range patterns {
				in = append(in, operands[p])
			}
			got := make([]float32, out.Size(b, n, d))
			contract := func() { Contract(got, out, in, patterns, 0.1, b, n, d) }
			var want []float32
			for _, threads := range []int{1, 2, 8} {
				func() {
					defer vec.SetThreads(vec.SetThreads(threads))
					contract()
				}()
				if threads == 1 {
					want = slices.Clone(got)
				}
				check.Close(t, fmt.Sprint(patterns, "->", out, ", ", threads, " threads"), got, want, 0)
			}
			allocatesNothing(t, contract)
		}
	}
}

func TestContractPanics(t *testing.T) {
	for want, f := range map[string]func(){
		"output has 3 elements, want bd = 4":     func() { Contract(make([]float64, 3), BD, [][]float64{make([]float64, 4)}, []Pattern{BD}, 1, 2, 3, 2) },
		"operand 0 has 5 elements, want bn = 6":  func() { Contract(make([]float64, 4), BD, [][]float64{make([]float64, 5)}, []Pattern{BN}, 1, 2, 3, 2) },
		"0 operands with 0 patterns, want at le": func() { Contract[float64](make([]float64, 4), BD, nil, nil, 1, 2, 3, 2) },
	} {
		func() {
			defer func() {
				if r := fmt.Sprint(recover()); !strings.Contains(r, want) {
					t.Errorf("panic %q, want %q", r, want)
				}
			}()
			f()
		}()
	}
}

func BenchmarkContract(b *testing.B) {
	const problems, n, d = 100, 100, 128
	for _, c := range []struct {
		out Pattern
		in  []Pattern
	}{{BND, []Pattern{BD}}, {BND, []Pattern{BD, BND}}, {BD, []Pattern{BND}}, {BD, []Pattern{BN, BND, BND}}, {BN, []Pattern{BD, BND}}} {
		b.Run(fmt.Sprint(c.in, "->", c.out), func(b *testing.B) {
			var operands [][]float32
			for i, p := range c.in {
				operands = append(operands, normals[float32](uint64(i), p.Size(problems, n, d)))
			}
			out := make([]float32, c.out.Size(problems, n, d))
			b.SetBytes(4 * problems * n * d)
			for b.Loop() {
				Contract(out, c.out, operands, c.in, 1, problems, n, d)
			}
		})
	}
}
