package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/godcem/godcem/models/nn"
)

// A peer is a process that speaks the protocol of bench/peers/protocol.py.
type peer struct {
	name     string
	versions map[string]string
	dir      string // for files to and from it
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *bufio.Reader
	log      *os.File

	script   []string
	settings *settings
}

// answerTime is what a peer may take for anything but getting ready.
const answerTime = 5 * time.Minute

// ready makes a peer a contestant in a case; numbers are the case's own. Its compiler has as long as -compile says,
// and once it has not kept that, it is not asked for other sizes of the same model.
func (b *bench) ready(p *peer, about result, kind, dtype, file string, numbers ...int) error {
	what := p.name + " " + kind + " " + dtype
	if why := b.late[what]; why != "" {
		return errors.New(why)
	}
	words := []any{"setup", kind, dtype, file}
	for _, n := range numbers {
		words = append(words, n)
	}
	_, err := p.within(b.settings.compile, words...)
	if errors.Is(err, errLate) {
		b.late[what] = fmt.Sprintf("not ready after %v, asked for %s", b.settings.compile, about.title())
		return errors.Join(errors.New(b.late[what]), p.again())
	}
	if err != nil && p.name == "compile" { // nobody knows what its compiler has left behind
		return errors.Join(err, p.again())
	}
	return err
}

// errLate is what a peer's command ends with that took too long; the peer is dead then.
var errLate = errors.New("not done in time")

// within is ask, with a limit.
func (p *peer) within(limit time.Duration, words ...any) (answer string, err error) {
	timer := time.AfterFunc(limit, func() { p.cmd.Process.Kill() })
	answer, err = p.ask(words...)
	if !timer.Stop() && err != nil {
		return "", fmt.Errorf("%s: %w: %v", p.name, errLate, limit)
	}
	return answer, err
}

// again starts the peer anew, in place.
func (p *peer) again() error {
	closeAll([]*peer{p})
	fresh, err := startPeer(p.settings, p.dir, p.name, p.script)
	if err == nil {
		*p = *fresh
	}
	return err
}

// peerScripts are the Python contestants with their scripts and arguments.
var peerScripts = []struct {
	name string
	args []string
}{
	{"torch", []string{"torch_peer.py", "eager"}},
	{"compile", []string{"torch_peer.py", "compile"}},
	{"graphs", []string{"torch_peer.py", "graphs"}},
	{"jax", []string{"jax_peer.py"}},
	{"numpy", []string{"numpy_peer.py"}},
}

// startPeers starts those of the wanted contestants that are Python's. On a GPU machine there are those that there
// are: one that does not start is left out, with its error on stderr.
func startPeers(settings *settings, dir string) (peers []*peer, err error) {
	defer func() {
		if err != nil {
			closeAll(peers)
		}
	}()
	for _, s := range peerScripts {
		if !contains(settings.only, s.name) {
			continue
		}
		script := append([]string{settings.python, filepath.Join(settings.scripts, s.args[0])}, s.args[1:]...)
		p, err := startPeer(settings, dir, s.name, script)
		if err != nil && settings.gpu() {
			fmt.Fprintf(os.Stderr, "left out: %v\n", err)
			continue
		}
		if err != nil {
			return peers, fmt.Errorf("%w; run `make bench-peers`", err)
		}
		peers = append(peers, p)
	}
	if !contains(settings.only, "gomlx") {
		return peers, nil
	}
	if _, err := os.Stat(settings.gomlx); err != nil {
		fmt.Fprintf(os.Stderr, "left out: gomlx: %v; `make bench-gomlx` builds it\n", err)
		return peers, nil
	}
	p, err := startPeer(settings, dir, "gomlx", []string{settings.gomlx})
	if err != nil {
		return peers, err
	}
	return append(peers, p), nil
}

func startPeer(settings *settings, dir, name string, script []string) (p *peer, err error) {
	p = &peer{name: name, dir: dir, script: script, settings: settings}
	if p.log, err = os.Create(filepath.Join(dir, name+".log")); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(script[0], script[1:]...)
	kind, _, _ := strings.Cut(settings.device, ":")
	p.cmd.Env = append(os.Environ(), "GODCEM_PEER_DEVICE="+kind)
	if _, number, ok := strings.Cut(settings.device, ":"); ok && os.Getenv("CUDA_VISIBLE_DEVICES") == "" {
		p.cmd.Env = append(p.cmd.Env, "CUDA_VISIBLE_DEVICES="+number)
	}
	p.cmd.Stderr = p.log
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	answer, err := p.within(answerTime, "versions")
	if err == nil {
		if err = json.Unmarshal([]byte(answer), &p.versions); err != nil {
			err = fmt.Errorf("%s: versions: %w", p.name, err)
		}
	}
	if err != nil {
		closeAll([]*peer{p})
		return nil, err
	}
	return p, nil
}

// version is its own and that of what it runs in.
func (p *peer) version() string {
	var words []string
	for _, k := range slices.Sorted(maps.Keys(p.versions)) {
		words = append(words, k+" "+p.versions[k])
	}
	return strings.Join(words, ", ")
}

func closeAll(peers []*peer) {
	for _, p := range peers {
		p.in.Close()
		late := time.AfterFunc(10*time.Second, func() { p.cmd.Process.Kill() })
		p.cmd.Wait() // it ends with its input
		late.Stop()
		p.log.Close()
	}
}

// ask sends a command and waits for what it answers.
func (p *peer) ask(words ...any) (string, error) {
	// Errors may come into the record: no word of files' places.
	what := fmt.Sprintf("%s: %s", p.name, strings.TrimSpace(fmt.Sprintln(words[:min(3, len(words))]...)))
	if words[0] == "check" {
		what = p.name + ": check"
	}
	see := p.log.Name()
	if here, err := filepath.Abs("."); err == nil {
		see = strings.TrimPrefix(see, here+string(filepath.Separator))
	}
	if _, err := fmt.Fprint(p.in, fmt.Sprintln(words...)); err != nil {
		return "", fmt.Errorf("%s: %w (see %s)", what, err, see)
	}
	answer, err := p.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s: it ended: %w (see %s)", what, err, see)
	}
	status, rest, _ := strings.Cut(strings.TrimSpace(answer), " ")
	if status != "ok" {
		return "", fmt.Errorf("%s: %s (see %s)", what, rest, see)
	}
	return rest, nil
}

// check runs the case once; into says which arrays are wanted and takes them.
func (p *peer) check(into nn.Params) error {
	file := filepath.Join(p.dir, p.name+".npz")
	if _, err := p.within(answerTime, "check", file); err != nil {
		return err
	}
	return nn.LoadNPZ(file, into)
}

// run runs the case n times and says how long all of them took.
func (p *peer) run(n int) (d duration, err error) {
	answer, err := p.within(answerTime, "run", n)
	if err == nil {
		_, err = fmt.Sscan(answer, &d.wall, &d.cpu)
	}
	return d, err
}
