package engine_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine"
	G "gorgonia.org/gorgonia"
)

// doubled runs 2x on the default device and says on which.
func doubled() (device string, value float32, err error) {
	g := G.NewGraph()
	x := G.NewScalar(g, G.Float32, G.WithValue(float32(3)))
	y := G.Must(G.Mul(x, G.NewConstant(float32(2))))
	vm, err := engine.NewVM(g)
	if err != nil {
		return "", 0, err
	}
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		return "", 0, err
	}
	return vm.Explain().Device.Name, y.Value().Data().(float32), nil
}

func TestSetDefault(t *testing.T) {
	ref, err := engine.Open("ref")
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Close()
	before := engine.SetDefault(ref)
	device, value, err := doubled()
	if old := engine.SetDefault(before); old != ref {
		t.Errorf("SetDefault returned %v, want the interpreter", old)
	}
	if err != nil || device != "ref" || value != 6 {
		t.Errorf("got %v on %q, %v, want 6 on ref", value, device, err)
	}
}

// The environment is read once by a process, so another one has to show what it does.
func TestDeviceEnv(t *testing.T) {
	const child = "GODCEM_DEFAULT_CHILD"
	if os.Getenv(child) != "" {
		device, value, err := doubled()
		t.Logf("got %v on %q: %v", value, device, err)
		return
	}
	for name, want := range map[string]string{"": `got 6 on "cpu": <nil>`, "ref": `got 6 on "ref": <nil>`,
		"abacus": `got 0 on "": engine: no device "abacus"`} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestDeviceEnv$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1", engine.DeviceEnv+"="+name)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s=%q: %v, %s, want %q", engine.DeviceEnv, name, err, out, want)
		}
	}
}
