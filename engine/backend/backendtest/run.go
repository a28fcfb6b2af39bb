package backendtest

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/pass"
)

// Run runs every case on a device, in all its variants and with several numbers of threads, and what a device
// promises besides values (see contract.go). It ends by logging how many ran, and fails if one did not. With -short
// it leaves out the variants.
func Run(t *testing.T, d backend.Device) {
	ran, programs, unsupported := 0, 0, 0
	want := 0
	for _, c := range Cases() {
		for _, dt := range c.types() {
			want++
			t.Run(c.Name+"/"+dt.String(), func(t *testing.T) {
				n, err := c.test(d, dt, !testing.Short())
				programs += n
				switch {
				case errors.Is(err, errors.ErrUnsupported):
					unsupported++
					t.Error(err)
				case err != nil:
					ran++
					t.Error(err)
				default:
					ran++
				}
			})
		}
	}
	contract(t, d)
	t.Logf("backend %s: %d of %d cases ran, %d unsupported; %d programs", d.Info().Name, ran, want, unsupported,
		programs)
	if ran != want && !filtered() {
		t.Errorf("%d cases did not run", want-ran)
	}
}

// filtered reports whether the command line chose among the cases.
func filtered() bool {
	for _, name := range []string{"test.run", "test.skip"} {
		if f := flag.Lookup(name); f != nil && strings.Contains(f.Value.String(), "/") {
			return true
		}
	}
	return false
}

func (c *Case) types() []ir.DType {
	if c.Types == nil {
		return both
	}
	return c.Types
}

// A variant is a way to compile a case.
type variant struct {
	name   string
	passes []string // switched off
	plan   []string // switched off
	budget float64  // of the memory that the program takes without a budget; 0: none
	bind   bool     // inputs stay where the host has them
}

// PlanFeatures are what plan.Options.Disable knows.
var PlanFeatures = []string{"fuse", "epilogue", "siblings", "recompute", "schedule", "in-place", "remat", "reuse"}

func (c *Case) variants() []variant {
	v := []variant{{}, {name: "inputs bound", bind: true}}
	if c.Variants {
		all := []string{}
		for _, p := range pass.Table {
			v = append(v, variant{name: "without pass " + p.Name, passes: []string{p.Name}})
			all = append(all, p.Name)
		}
		v = append(v, variant{name: "without passes", passes: all})
		for _, f := range PlanFeatures {
			v = append(v, variant{name: "without " + f, plan: []string{f}})
		}
		v = append(v, variant{name: "without planning", plan: PlanFeatures},
			variant{name: "without anything", passes: all, plan: PlanFeatures})
	}
	for _, f := range c.Budgets {
		v = append(v, variant{name: fmt.Sprintf("with %v of the memory", f), budget: f})
	}
	return v
}

// test runs a case in a type, and its variants if so wanted. It returns the number of programs that ran and the first
// error.
func (c *Case) test(d backend.Device, t ir.DType, variants bool) (programs int, err error) {
	s, err := c.reference(t)
	if err != nil {
		return 0, err
	}
	all := c.variants()
	if !variants {
		all = all[:1]
	}
	for _, v := range all {
		if v.bind && !s.binder {
			continue
		}
		if err := s.run(d, v); err != nil {
			if v.name != "" {
				err = fmt.Errorf("%s: %w", v.name, err)
			}
			return programs, err
		}
		programs++
	}
	return programs, nil
}
