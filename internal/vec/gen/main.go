// Command gen writes the assembly of internal/vec with avo: one pair of files (functions and their Go declarations)
// per subject and instruction set. It is a module of its own, so that importers of godcem need no avo.
//
//	go generate ./internal/vec      (or, here: go run . -dir ..)
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

// subjects are the files, less their instruction sets.
var subjects = []struct {
	name  string
	write func(g *gen)
}{
	{"gemm", gemm},
	{"pack", pack},
	{"dot", dot},
	{"sum", sum},
	{"funcs", funcs},
	{"arith", arith},
	{"pairs", pairs},
	{"lml", lml},
	{"noise", noise},
	{"reduce", reduce},
	{"moments", moments},
	{"peak", peak},
}

func main() {
	out := flag.String("dir", "..", "folder to write to")
	flag.Parse()
	for _, s := range subjects {
		for _, isa := range []isa{avx2, avx512} {
			if err := write(*out, s.name, isa, s.write); err != nil {
				log.Fatalf("%s for %s: %v", s.name, isa.name, err)
			}
		}
	}
}

func write(dir, subject string, isa isa, f func(g *gen)) error {
	g := &gen{Context: build.NewContext(), isa: isa}
	g.ConstraintExpr("!noasm")
	f(g)
	file, err := g.Result()
	if err != nil {
		return err
	}
	if err := pass.Compile.Execute(file); err != nil {
		return err
	}
	cfg := printer.Config{Name: "internal/vec/gen", Pkg: "vec"}
	base := filepath.Join(dir, subject+"_"+isa.name+"_amd64")
	for ext, p := range map[string]printer.Printer{".s": printer.NewGoAsm(cfg), ".go": printer.NewStubs(cfg)} {
		text, err := p.Print(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(base+ext, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
