//go:build !noasm

package vec

import "golang.org/x/sys/cpu"

// detect asks the CPU, and XCR0 for the registers that the operating system saves: package cpu does both.
func detect() isa {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA:
		return isaGo
	case !x.HasAVX512F || !x.HasAVX512VL || !x.HasAVX512BW || !x.HasAVX512DQ || !x.HasBMI2:
		return isaAVX2
	}
	return isaAVX512
}
