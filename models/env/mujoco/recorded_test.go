//go:build (linux || darwin) && (amd64 || arm64)

package mujoco

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/ebitengine/purego"
	"github.com/godcem/godcem/models/env"
)

// needs ends the test by a skip where there is no MuJoCo.
func needs(t testing.TB) {
	t.Helper()
	switch _, err := Version(Options{}); {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrPlatform):
		t.Skip("not run: ", err)
	case err != nil:
		t.Fatal(err)
	}
}

// newTask makes a task that the test closes.
func newTask(t testing.TB, name string) env.Task {
	t.Helper()
	needs(t)
	task, err := New(name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := task.Close(); err != nil {
			t.Error(err)
		}
	})
	return task
}

// recording is what mujoco/record.py wrote.
type recording struct {
	Task     string
	Versions map[string]string
	Libm     string
	Episodes []struct {
		Seed    uint64
		Actions string
		First   []float64
		Samples []struct {
			Step   int
			Obs    []float64
			Reward float64
			SHA256 string
		}
		Rewards string `json:"rewards_sha256"`
		Return  float64
	}
}

func recorded(t *testing.T, name string) recording {
	t.Helper()
	version, err := Version(Options{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join("testdata", name+"-"+version+".json"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("not run: no episodes of MuJoCo %s are recorded (mujoco/record.py records them)", version)
	}
	var r recording
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil || r.Task != name || r.Versions["mujoco"] != version || len(r.Episodes) < 4 {
		t.Fatalf("%s: the record of %s with MuJoCo %s and %d episodes: %v", name, r.Task, r.Versions["mujoco"],
			len(r.Episodes), err)
	}
	return r
}

// actionsOf are the actions of a recorded episode.
func actionsOf(kind string, seed uint64, steps, width int) [][]float64 {
	all := make([][]float64, steps)
	r := newRandomState(seed + 1000)
	for t := range all {
		all[t] = make([]float64, width)
		for j := range all[t] {
			if kind == "random" {
				all[t][j] = r.uniform(-1, 1)
				continue
			}
			phase := ((3+j)*t + 17*j) % 200
			all[t][j] = 1.3 * float64(min(phase, 200-phase)-50) / 50
		}
	}
	return all
}

func bits(v []float64) []byte {
	b := make([]byte, 0, 8*len(v))
	for _, v := range v {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

// Episodes are those of dm_control: all observations and the cheetah's rewards to the bit, the walker's to 1e-15,
// since exponentials are rounded by another function: of a reward up to 1, four of its last bits at most.
func TestRecorded(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			task := newTask(t, name)
			r := recorded(t, name)
			exact := libm(t) == r.Libm
			for _, e := range r.Episodes {
				h, rewards, sum, at := sha256.New(), []float64{}, 0.0, 0
				obs := make([]float64, task.ObsDim())
				if err := task.Reset(e.Seed, obs); err != nil {
					t.Fatal(err)
				}
				h.Write(bits(obs))
				compare(t, name, e.Seed, 0, obs, e.First, exact)
				for i, u := range actionsOf(e.Actions, e.Seed, task.Steps(), task.ActDim()) {
					reward, status, err := task.Step(u, obs)
					if err != nil || status.Over() != (i == task.Steps()-1) || status == env.Failed {
						t.Fatalf("step %d: %v, %v, %v", i+1, status, err, task.Fault())
					}
					h.Write(bits(obs))
					rewards = append(rewards, reward)
					sum += reward
					if want := e.Samples[at]; want.Step == i+1 {
						if exact || i < 100 {
							compare(t, name, e.Seed, i+1, obs, want.Obs, exact)
							if got := hex.EncodeToString(h.Sum(nil)); exact && got != want.SHA256 {
								t.Fatalf("seed %d: observations up to step %d differ from the recorded ones", e.Seed, i+1)
							}
							if tol := map[bool]float64{true: 1e-15, false: 1e-8}[exact]; !(math.Abs(reward-want.Reward) <= tol) {
								t.Errorf("seed %d: reward of step %d is %v, want %v", e.Seed, i+1, reward, want.Reward)
							}
						}
						at++
					}
				}
				if at != len(e.Samples) || at < 10 {
					t.Fatalf("%d of %d samples were compared", at, len(e.Samples))
				}
				if !exact {
					continue
				}
				hash := sha256.Sum256(bits(rewards))
				if got := hex.EncodeToString(hash[:]); name == "cheetah-run" && got != e.Rewards {
					t.Errorf("seed %d: rewards differ from the recorded ones", e.Seed)
				}
				if !(math.Abs(sum-e.Return) <= 1e-12) { // a thousand of 1e-15
					t.Errorf("seed %d: return %v, want %v", e.Seed, sum, e.Return)
				}
			}
			if !exact {
				t.Skip("not run: beyond 100 steps, and bit by bit: this machine's sin, cos or pow differ from those of the recording")
			}
		})
	}
}

// compare wants the recorded observation: to the bit, or nearly where the C library is another.
func compare(t *testing.T, name string, seed uint64, step int, got, want []float64, exact bool) {
	t.Helper()
	tol := 1e-8
	if exact {
		tol = 0
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements observed, want %d", name, len(got), len(want))
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= tol) {
			t.Fatalf("%s, seed %d, step %d: element %d is %v, want %v", name, seed, step, i, got[i], want[i])
		}
	}
}

// libm is mujoco/record.py's fingerprint of the C library's sin, cos and pow.
func libm(t *testing.T) string {
	t.Helper()
	name := "libm.so.6"
	if runtime.GOOS == "darwin" {
		name = "libSystem.B.dylib"
	}
	h, err := purego.Dlopen(name, purego.RTLD_NOW)
	if err != nil {
		t.Log("no fingerprint of the C library: ", err)
		return ""
	}
	var sin, cos func(x float64) float64
	var pow func(x, y float64) float64
	purego.RegisterLibFunc(&sin, h, "sin")
	purego.RegisterLibFunc(&cos, h, "cos")
	purego.RegisterLibFunc(&pow, h, "pow")
	hash := sha256.New()
	for i := range 2000 {
		x := float64(i-1000) / 256
		hash.Write(bits([]float64{sin(x), cos(x), pow(float64(i)/2048, 1+float64(i)/4096)}))
	}
	return hex.EncodeToString(hash.Sum(nil))
}
