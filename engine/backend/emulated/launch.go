package emulated

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/simcuda"
	"github.com/godcem/godcem/kernels"
)

// preludes are files of kernels.CUDA and what they include, each after what it needs.
func preludes(names []string) (files []simcuda.File, err error) {
	have := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		if have[name] {
			return nil
		}
		have[name] = true
		data, err := kernels.CUDA.ReadFile(name)
		if err != nil {
			return err
		}
		text := strings.Split(string(data), "\n")
		for i, line := range text {
			need, ok := strings.CutPrefix(line, `#include "`)
			if !ok {
				continue
			}
			if err := add(strings.TrimSuffix(strings.TrimSpace(need), `"`)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			text[i] = "" // lines keep their numbers
		}
		files = append(files, simcuda.File{Name: name, Text: strings.Join(text, "\n")})
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// hostCustom is a custom kernel that the host runs, on the device's memory.
func (x *executable) hostCustom(c *plan.Custom) func() error {
	out, in := x.slice(c.Out), make([]any, len(c.In))
	for i, b := range c.In {
		in[i] = x.slice(b)
	}
	return func() error {
		if err := c.Kernel.Run(out, in); err != nil {
			return fmt.Errorf("%v: %w", c.Kernel, err)
		}
		x.written(c.Out)
		return nil
	}
}

// beginnings are the places of the Temp buffers that begin in a launch of these steps, but for those where the launch
// finds values that it needs, and those of steps that an earlier launch has begun.
func (x *executable) beginnings(steps []int, begun map[int]bool) (places [][2]int) {
	span := func(b plan.BufID) [2]int {
		buf := &x.p.Buffers[b]
		return [2]int{buf.Offset, buf.Offset + buf.Bytes()}
	}
	var touched []plan.BufID
	for _, s := range steps {
		touched = append(append(touched, x.p.Steps[s].Reads...), x.p.Steps[s].Writes...)
	}
	for i := range x.p.Buffers {
		b, id := &x.p.Buffers[i], plan.BufID(i)
		if b.Role != plan.Temp || b.Over >= 0 || b.Bytes() == 0 || begun[b.First] || !slices.Contains(steps, b.First) {
			continue
		}
		at := span(id)
		if !slices.ContainsFunc(touched, func(other plan.BufID) bool {
			o := span(other)
			return other != id && o[0] < at[1] && at[0] < o[1]
		}) {
			places = append(places, at)
		}
	}
	for _, s := range steps {
		begun[s] = true
	}
	return places
}

// begin poisons the places where values begin.
func (x *executable) begin(l *launch) {
	for _, at := range l.begins {
		mem := x.arena.Bytes()[at[0]:at[1]]
		for i := range mem {
			mem[i] = 0xff
		}
		x.arena.Unknown(at[0], at[1])
	}
}

// finishLaunches sets, for each launch, how many steps are done after it: those that no later launch names.
func (x *executable) finishLaunches() {
	last := make([]int, len(x.p.Steps))
	for i := range last {
		last[i] = -1 // a step without a launch has nothing to do
	}
	for i := range x.launches {
		for _, s := range x.launches[i].steps {
			last[s] = i
		}
	}
	for i := range x.launches {
		done := 0
		for done < len(last) && last[done] <= i {
			done++
		}
		x.launches[i].ends = done
	}
}
