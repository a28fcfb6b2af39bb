package rl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/godcem/godcem/internal/atomicfile"
	"github.com/godcem/godcem/models/env"
)

// numbered is an episode of that many steps in which every number says where it belongs: observation o of step t of
// episode i is 1000 i + t + o/10, actions are 1 less than it, rewards t of the step that they came from.
func numbered(i, steps int) *Episode {
	e := &Episode{Seed: uint64(i), Status: env.TimeLimit}
	for t := range steps + 1 {
		e.Obs = append(e.Obs, float32(1000*i+t), float32(1000*i+t)+0.1)
		if t < steps {
			e.Action = append(e.Action, float32(1000*i+t)-1)
			e.Reward = append(e.Reward, float32(t))
		}
	}
	return e
}

func openReplay(t *testing.T, dir string) *Replay {
	t.Helper()
	r, err := OpenReplay(dir, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReplay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "replay")
	r := openReplay(t, dir)
	for i := range 12 {
		if err := r.Append(numbered(i, 3+i)); err != nil {
			t.Fatal(err)
		}
	}
	again := openReplay(t, dir)
	if again.Len() != 12 || again.Steps() != r.Steps() || !reflect.DeepEqual(again.episodes, r.episodes) {
		t.Errorf("%d episodes of %d steps come back, want 12 of %d, the same", again.Len(), again.Steps(), r.Steps())
	}
	if err := again.Append(numbered(12, 2)); err != nil || openReplay(t, dir).Len() != 13 {
		t.Errorf("%v: it does not go on where it was", err)
	}
	if got := numbered(3, 4).Return(); got != 6 {
		t.Errorf("return %v, want 6", got)
	}
}

// TestDiskFull: an episode that does not fit leaves those before it, in memory and on the disk, and the next one that
// fits takes its place.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	r := openReplay(t, dir)
	if err := r.Append(numbered(0, 5)); err != nil {
		t.Fatal(err)
	}
	for room := range len(encodeEpisode(numbered(1, 5), 2, 1)) { // bytes until the disk is full
		r.write = func(path string, write func(io.Writer) error) error {
			return atomicfile.Write(path, func(w io.Writer) error { return write(&fullDisk{w, room}) })
		}
		err := r.Append(numbered(1, 5))
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "episode-000001.gde") {
			t.Fatalf("error %v, want one of a full disk with the file's name", err)
		}
		if r.Len() != 1 || r.Steps() != 5 {
			t.Fatalf("%d episodes, want the one before", r.Len())
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("%v: %d files, want one", err, len(files))
	}
	r.write = atomicfile.Write
	if err := r.Append(numbered(2, 5)); err != nil {
		t.Fatal(err)
	}
	if r = openReplay(t, dir); r.Len() != 2 || r.Episode(1).Seed != 2 {
		t.Errorf("%d episodes, want 2", r.Len())
	}
}

type fullDisk struct {
	w    io.Writer
	room int
}

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.room {
		n, _ := d.w.Write(p[:d.room])
		d.room = 0
		return n, syscall.ENOSPC
	}
	d.room -= len(p)
	return d.w.Write(p)
}

// TestKilled kills a process while it appends: every episode that it reported is there, whole, and nothing else but
// perhaps the next one.
func TestKilled(t *testing.T) {
	const key = "GODCEM_TEST_REPLAY"
	if dir := os.Getenv(key); dir != "" {
		r := openReplay(t, dir)
		for i := r.Len(); ; i++ {
			if err := r.Append(numbered(i, 200+i%7)); err != nil {
				t.Fatal(err)
			}
			fmt.Printf("\n%d\n", i)
		}
	}
	if testing.Short() {
		t.Skip("kills processes")
	}
	dir, reported := t.TempDir(), -1
	for round := range 4 {
		c := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		c.Env = append(os.Environ(), key+"="+dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines, seen := bufio.NewScanner(out), 0
		for seen < 5+3*round && lines.Scan() {
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				reported = n
				seen++
			}
		}
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it had written before the signal came
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				reported = n
			}
		}
		_ = c.Wait() // killed
		if seen == 0 {
			t.Fatal("the process has reported nothing")
		}
		r := openReplay(t, dir)
		if r.Len() < reported+1 || r.Len() > reported+2 {
			t.Errorf("%d episodes, want the %d reported and at most one more", r.Len(), reported+1)
		}
		for i := range r.Len() {
			if !reflect.DeepEqual(r.Episode(i), numbered(i, 200+i%7)) {
				t.Errorf("episode %d is another", i)
			}
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != r.Len() {
			t.Errorf("%v: %d files for %d episodes: what was unfinished is swept away", err, len(files), r.Len())
		}
	}
}

// TestSpoilt: a file with any byte changed, or cut anywhere, is an error that names it; so is one that is missing.
func TestSpoilt(t *testing.T) {
	e := numbered(4, 3)
	raw := encodeEpisode(e, 2, 1)
	got, err := decodeEpisode(raw, 2, 1)
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Fatalf("%v, %+v, want the episode", err, got)
	}
	for i := range raw {
		if _, err := decodeEpisode(raw[:i], 2, 1); !errors.Is(err, ErrEpisode) {
			t.Errorf("cut at byte %d: %v", i, err)
		}
		for bit := range 8 {
			bad := append([]byte{}, raw...)
			bad[i] ^= 1 << bit
			if _, err := decodeEpisode(bad, 2, 1); !errors.Is(err, ErrEpisode) {
				t.Errorf("bit %d of byte %d changed: %v", bit, i, err)
			}
		}
	}
	if _, err := decodeEpisode(raw, 3, 1); !errors.Is(err, ErrEpisode) ||
		!strings.Contains(err.Error(), "observations of 2") {
		t.Errorf("of another size: %v", err)
	}
	dir := t.TempDir()
	r := openReplay(t, dir)
	for i := range 3 {
		if err := r.Append(numbered(i, 3)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(r.path(1), raw[:50], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReplay(dir, 2, 1); !errors.Is(err, ErrEpisode) || !strings.Contains(err.Error(), r.path(1)) {
		t.Errorf("error %v, want one that names %s", err, r.path(1))
	}
	if err := os.Remove(r.path(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReplay(dir, 2, 1); !errors.Is(err, ErrGap) {
		t.Errorf("error %v, want that of a gap", err)
	}
}

func TestAppendErrors(t *testing.T) {
	r := openReplay(t, "")
	short, nan, none := numbered(0, 3), numbered(0, 3), &Episode{}
	short.Action = short.Action[1:]
	nan.Reward[1] = float32(math.NaN())
	for text, e := range map[string]*Episode{"2 of actions": short, "reward": nan, "no step": none} {
		if err := r.Append(e); err == nil || !strings.Contains(err.Error(), text) || r.Len() != 0 {
			t.Errorf("error %v, want one with %q", err, text)
		}
	}
}

// TestSample: every number of a sample is where it belongs; all beginnings are drawn, each about equally often.
func TestSample(t *testing.T) {
	r := openReplay(t, "")
	for i, steps := range []int{6, 2, 9, 5} {
		if err := r.Append(numbered(i, steps)); err != nil {
			t.Fatal(err)
		}
	}
	const length, n = 5, 400
	s := newSampleBatch(length, n, 2, 1)
	if err := r.sample(s, 3, 0, length, n, rand.New(rand.NewPCG(1, 2))); err != nil {
		t.Fatal(err)
	}
	begins := map[int]int{}
	for i := range n {
		begins[int(s.Obs[2*i])]++
		episode := int(s.Obs[2*i]) / 1000
		from := int(s.Obs[2*i]) % 1000
		for step := range length {
			row, at := step*n+i, from+step
			if at > r.Episode(episode).Steps() {
				if s.Weight[row] != 0 || s.After[row] != 0 || s.Obs[2*row] != 0 || s.Act[row] != 0 {
					t.Fatalf("step %d of sequence %d is beyond its episode and is not 0", step, i)
				}
				continue
			}
			act, reward, after := float32(1000*episode+at-2), float32(at-1), float32(1)
			if at == 0 {
				act, reward, after = 0, 0, 0
			}
			want := []float32{float32(1000*episode + at), float32(1000*episode+at) + 0.1, act, reward, after, 1}
			got := []float32{s.Obs[2*row], s.Obs[2*row+1], s.Act[row], s.Reward[row], s.After[row], s.Weight[row]}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("step %d of sequence %d: %v, want %v", step, i, got, want)
			}
		}
	}
	// 7 observations: 3 beginnings; 3: 1; 10: 6. Of 400 draws 40 each, with a standard deviation of 6.
	if len(begins) != 10 {
		t.Errorf("%d beginnings, want 10: %v", len(begins), begins)
	}
	for at, k := range begins {
		if k < 15 || k > 65 {
			t.Errorf("beginning %d was drawn %d times, want about 40", at, k)
		}
	}
	if err := r.sample(s, 3, 1, length, n, rand.New(rand.NewPCG(1, 2))); err != nil {
		t.Fatal(err)
	}
	old := map[int]bool{}
	for i := range n {
		if episode := int(s.Obs[2*i]) / 1000; i < n/2 {
			old[episode] = true
		} else if episode != 2 || s.Weight[i] != 1 {
			t.Fatalf("sequence %d is of episode %d, want the newest", i, episode)
		}
	}
	if len(old) != 3 {
		t.Errorf("the other half is of the episodes %v, want all 3", old)
	}
	if err := r.sample(s, 5, 0, length, n, nil); err == nil {
		t.Error("a sample of more episodes than there are")
	}
}
