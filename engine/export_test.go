package engine

import "testing"

func init() { verify = true }

// OnCPU is for tests of what is so on the CPU alone: VMs without On run there until the test ends, whatever the
// environment says.
func OnCPU(t testing.TB) {
	t.Helper()
	cpu, err := Open("cpu")
	if err != nil {
		t.Fatal(err)
	}
	old := SetDefault(cpu)
	t.Cleanup(func() {
		SetDefault(old)
		if err := cpu.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// WithoutVerifying runs f as programs do, without checks after every pass.
func WithoutVerifying(f func()) {
	verify = false
	defer func() { verify = true }()
	f()
}

// Owners is the number of graphs that VMs are known of.
func Owners() int {
	owners.Lock()
	defer owners.Unlock()
	return len(owners.of)
}
