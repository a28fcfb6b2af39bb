package backendtest

import (
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
)

// Bench times runs of the cases that ask for it, in float32. Each is checked before it is timed. Beside the time it
// reports the steps of the program and what their declared flops and bytes come to per second.
func Bench(b *testing.B, d backend.Device) {
	for _, c := range Cases() {
		if !c.Bench {
			continue
		}
		b.Run(c.Name, func(b *testing.B) {
			s, err := c.reference(ir.F32)
			if err != nil {
				b.Fatal(err)
			}
			if err := s.run(d, variant{}); err != nil {
				b.Fatal(err)
			}
			p, e, err := s.compile(d, variant{})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			if _, err := s.runOnce(p, e, 0); err != nil {
				b.Fatal(err)
			}
			var flops, bytes int64
			for i := range p.Steps {
				flops += p.Steps[i].Flops
				bytes += p.Steps[i].Bytes
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Run(nil); err != nil {
					b.Fatal(err)
				}
			}
			if err := e.Sync(); err != nil {
				b.Fatal(err)
			}
			ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			b.ReportMetric(float64(len(p.Steps)), "steps")
			b.ReportMetric(float64(flops)/ns, "GFLOP/s")
			b.ReportMetric(float64(bytes)/ns, "GB/s")
		})
	}
}
