package rl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/godcem/godcem/internal/atomicfile"
	"github.com/godcem/godcem/models/env"
)

// An Episode is what happened from a reset on, in the numbers of its environment.
type Episode struct {
	Seed   uint64
	Status env.Status // how it ended; env.Running: it was cut
	Obs    []float32  // T+1 observations, (T+1,O): the last one follows on the last action
	Action []float32  // (T,A), in [-1, 1]
	Reward []float32  // (T)
}

// Steps is T.
func (e *Episode) Steps() int { return len(e.Reward) }

// Return is the sum of the rewards.
func (e *Episode) Return() (sum float64) {
	for _, r := range e.Reward {
		sum += float64(r)
	}
	return sum
}

// Replay is a buffer of episodes that only grows, in a folder with a file for each. A file is written whole or not at
// all, so that whatever ends the program loses no episode that Append has taken; and one that Append could not write,
// for want of room, say, leaves the others as they are. Use [OpenReplay].
type Replay struct {
	dir      string // "": memory alone
	obs, act int
	episodes []*Episode
	steps    int

	write func(path string, write func(w io.Writer) error) error // atomicfile.Write, but in tests
}

// Errors of a replay buffer's files.
var (
	ErrEpisode = errors.New("not a sound episode")
	ErrGap     = errors.New("an episode before it is missing")
)

const (
	episodePrefix = "episode-"
	episodeSuffix = ".gde"
	episodeMagic  = "godcem episode 1\n"
	maxEpisode    = 1 << 24 // numbers of one kind in a file
)

// OpenReplay reads the buffer in the folder dir, which is made if it is not there; "" keeps episodes in memory alone.
// Observations have obs numbers, actions act. What a program that was killed has left of a file that it was writing
// is removed. A file that is not sound is an error that names it: what was collected is not thrown away by itself.
func OpenReplay(dir string, obs, act int) (*Replay, error) {
	if obs < 1 || act < 1 {
		return nil, fmt.Errorf("rl: OpenReplay: obs = %d and act = %d, want at least 1", obs, act)
	}
	r := &Replay{dir: dir, obs: obs, act: act, write: atomicfile.Write}
	if dir == "" {
		return r, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%s: cannot make the folder: %w", dir, atomicfile.Bare(err))
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot read: %w", dir, atomicfile.Bare(err))
	}
	count := 0
	for _, f := range files {
		name := f.Name()
		if strings.HasPrefix(name, atomicfile.TempPrefix) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("%s: cannot remove: %w", filepath.Join(dir, name), atomicfile.Bare(err))
			}
		}
		if number, ok := strings.CutPrefix(strings.TrimSuffix(name, episodeSuffix), episodePrefix); ok {
			if _, err := strconv.Atoi(number); err == nil && strings.HasSuffix(name, episodeSuffix) {
				count++
			}
		}
	}
	for i := range count {
		path := r.path(i)
		raw, err := os.ReadFile(path)
		if err != nil {
			if os.IsNotExist(err) {
				err = ErrGap
			}
			return nil, fmt.Errorf("%s: %w", path, atomicfile.Bare(err))
		}
		e, err := decodeEpisode(raw, obs, act)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		r.take(e)
	}
	return r, nil
}

// settle moves a buffer from memory into the folder dir, where there are no episodes yet.
func (r *Replay) settle(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("%s: cannot make the folder: %w", dir, atomicfile.Bare(err))
	}
	episodes := r.episodes
	r.dir, r.episodes, r.steps = dir, nil, 0
	for _, e := range episodes {
		if err := r.Append(e); err != nil {
			return err
		}
	}
	return nil
}

func (r *Replay) path(i int) string {
	return filepath.Join(r.dir, fmt.Sprintf("%s%06d%s", episodePrefix, i, episodeSuffix))
}

func (r *Replay) take(e *Episode) {
	r.episodes = append(r.episodes, e)
	r.steps += e.Steps()
}

// Len is the number of episodes, Steps that of their steps.
func (r *Replay) Len() int { return len(r.episodes) }

// Steps is the number of steps of all episodes.
func (r *Replay) Steps() int { return r.steps }

// Episode is episode number i, not to be changed.
func (r *Replay) Episode(i int) *Episode { return r.episodes[i] }

// Append adds an episode. When it returns without an error the episode is on the disk, safe from whatever ends the
// program; after an error the buffer is as it was.
func (r *Replay) Append(e *Episode) error {
	if err := e.check(r.obs, r.act); err != nil {
		return fmt.Errorf("rl: Append: %w", err)
	}
	if r.dir != "" {
		raw := encodeEpisode(e, r.obs, r.act)
		if err := r.write(r.path(r.Len()), func(w io.Writer) error { _, err := w.Write(raw); return err }); err != nil {
			return err
		}
	}
	r.take(e)
	return nil
}

// check returns an error that says what of the episode has not the right size, or is not finite.
func (e *Episode) check(obs, act int) error {
	n := e.Steps()
	switch {
	case n < 1:
		return errors.New("the episode has no step")
	case len(e.Obs) != (n+1)*obs || len(e.Action) != n*act:
		return fmt.Errorf("an episode of %d steps with %d numbers of observations and %d of actions, want %d and %d", n,
			len(e.Obs), len(e.Action), (n+1)*obs, n*act)
	case len(e.Obs) > maxEpisode || len(e.Action) > maxEpisode:
		return fmt.Errorf("an episode of %d steps, want at most %d numbers of a kind", n, maxEpisode)
	}
	for _, kind := range []struct {
		name   string
		values []float32
	}{{"observation", e.Obs}, {"action", e.Action}, {"reward", e.Reward}} {
		for i, v := range kind.values {
			if v64 := float64(v); math.IsNaN(v64) || math.IsInf(v64, 0) {
				return fmt.Errorf("number %d of the episode's %ss is %v", i, kind.name, v)
			}
		}
	}
	return nil
}

// encodeEpisode is a file: the magic line, six numbers of 64 bits (observation and action sizes, steps, status, seed,
// and the checksum (CRC-32C) of what follows on them and of the five before), and the arrays, little-endian.
func encodeEpisode(e *Episode, obs, act int) []byte {
	var b bytes.Buffer
	b.WriteString(episodeMagic)
	head := []uint64{uint64(obs), uint64(act), uint64(e.Steps()), uint64(e.Status), e.Seed}
	var body bytes.Buffer
	for _, v := range [][]float32{e.Obs, e.Action, e.Reward} {
		for _, x := range v {
			_ = binary.Write(&body, binary.LittleEndian, math.Float32bits(x)) // a buffer takes all
		}
	}
	for _, v := range append(head, uint64(episodeSum(head, body.Bytes()))) {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	b.Write(body.Bytes())
	return b.Bytes()
}

func episodeSum(head []uint64, body []byte) uint32 {
	var raw []byte
	for _, v := range head {
		raw = binary.LittleEndian.AppendUint64(raw, v)
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(raw, table), table, body)
}

func decodeEpisode(raw []byte, obs, act int) (*Episode, error) {
	const numbers = 6
	body, ok := bytes.CutPrefix(raw, []byte(episodeMagic))
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrEpisode, episodeMagic)
	}
	if len(body) < 8*numbers {
		return nil, fmt.Errorf("%w: it is cut short at %d bytes", ErrEpisode, len(raw))
	}
	var head [numbers]uint64
	for i := range head {
		head[i] = binary.LittleEndian.Uint64(body[8*i:])
	}
	body = body[8*numbers:]
	if head[0] != uint64(obs) || head[1] != uint64(act) {
		return nil, fmt.Errorf("%w: observations of %d and actions of %d numbers, want %d and %d", ErrEpisode, head[0],
			head[1],
			obs, act)
	}
	if n := head[2]; n < 1 || n > maxEpisode || uint64(len(body)) != 4*((n+1)*head[0]+n*head[1]+n) {
		return nil, fmt.Errorf("%w: %d bytes for %d steps", ErrEpisode, len(body), n)
	}
	if uint64(episodeSum(head[:5], body)) != head[5] {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrEpisode)
	}
	n := int(head[2])
	e := &Episode{Seed: head[4], Status: env.Status(head[3]), Obs: make([]float32, (n+1)*obs),
		Action: make([]float32, n*act),
		Reward: make([]float32, n)}
	for _, v := range [][]float32{e.Obs, e.Action, e.Reward} {
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(body))
			body = body[4:]
		}
	}
	if err := e.check(obs, act); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEpisode, err)
	}
	return e, nil
}

// A sampleBatch is what sample writes: rows of L steps of B sequences, row t*B+i being step t of sequence i.
type sampleBatch struct {
	Obs           []float32 // (L*B,O)
	Act           []float32 // that led there, (L*B,A); 0 at the start of an episode
	Reward        []float32 // that came with it, (L*B)
	Weight, After []float32 // (L*B), see Sequences
}

func newSampleBatch(length, n, obs, act int) *sampleBatch {
	rows := length * n
	return &sampleBatch{Obs: make([]float32, rows*obs), Act: make([]float32, rows*act), Reward: make([]float32, rows),
		Weight: make([]float32, rows), After: make([]float32, rows)}
}

// sample draws n sequences of that length from the first so many episodes: each possible beginning is as likely as
// any other. Where recent is not 0 the second half of the sequences is from the newest so many of these episodes. An
// episode of T steps has T+1 observations; of one that has fewer than the length all are taken, and the rest has
// weight 0.
func (r *Replay) sample(s *sampleBatch, episodes, recent, length, n int, rng *rand.Rand) error {
	if episodes < 1 || episodes > r.Len() {
		return fmt.Errorf("rl: a sample of the first %d of %d episodes", episodes, r.Len())
	}
	clear(s.Act)
	clear(s.Obs)
	clear(s.Reward)
	clear(s.Weight)
	clear(s.After)
	if recent == 0 {
		r.draw(s, r.episodes[:episodes], length, 0, n, n, rng)
		return nil
	}
	r.draw(s, r.episodes[:episodes], length, 0, n/2, n, rng)
	r.draw(s, r.episodes[max(0, episodes-recent):episodes], length, n/2, n, n, rng)
	return nil
}

// draw draws sequences from to to-1 of n.
func (r *Replay) draw(s *sampleBatch, episodes []*Episode, length, from, to, n int, rng *rand.Rand) {
	starts := func(e *Episode) int { return max(1, e.Steps()+2-length) }
	all := 0
	for _, e := range episodes {
		all += starts(e)
	}
	for i := from; i < to; i++ {
		at, e := rng.IntN(all), (*Episode)(nil)
		for _, e = range episodes {
			if k := starts(e); at < k {
				break
			} else {
				at -= k
			}
		}
		for t := range min(length, e.Steps()+1-at) {
			row, step := t*n+i, at+t
			copy(s.Obs[row*r.obs:(row+1)*r.obs], e.Obs[step*r.obs:])
			s.Weight[row] = 1
			if step > 0 {
				copy(s.Act[row*r.act:(row+1)*r.act], e.Action[(step-1)*r.act:])
				s.Reward[row], s.After[row] = e.Reward[step-1], 1
			}
		}
	}
}
