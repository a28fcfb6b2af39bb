//go:build (linux || darwin) && (amd64 || arm64)

package mujoco

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/cpu"
)

// Components of a state, and types of named objects, as mjtype.h numbers them.
const (
	stateTime = 1 << 0
	stateQpos = 1 << 1
	stateQvel = 1 << 2
	stateCtrl = 1 << 6

	objBody     = 1
	objJoint    = 3
	objActuator = 19
	objSensor   = 20
)

// tested are the versions that give the recorded episodes, as mj_version counts.
var tested = []int32{3017000, 4000000}

// library is MuJoCo, opened. Models and states are addresses in its memory, whose insides nobody looks at.
type library struct {
	path    string
	version int32
	mu      sync.Mutex
	models  map[string]*model

	// Those of every step are called by address, which is twice as fast.
	step, step1, step2, forward, resetData, getState, setState, local2Global uintptr
	deleteModel, deleteData, pthreadSelf                                     uintptr

	mjVersion  func() int32
	loadXML    func(file string, vfs unsafe.Pointer, text *byte, n int32) uintptr
	makeData   func(m uintptr) uintptr
	stateSize  func(m uintptr, sig int32) int32
	name2id    func(m uintptr, kind int32, name string) int32
	totalMass  func(m uintptr) float64
	readSensor func(m, d uintptr, id int32, time float64, result unsafe.Pointer, interp int32) *float64
	setHandler func(handler uintptr) uintptr
}

// opened are the libraries of this process, by path. None is ever closed.
var opened = struct {
	sync.Mutex
	by map[string]*library
}{by: map[string]*library{}}

func open(f Files, anyVersion bool) (*library, error) {
	path, err := filepath.EvalSymlinks(f.Library)
	if err != nil {
		return nil, fmt.Errorf("mujoco: %w: %w", ErrLibrary, err)
	}
	opened.Lock()
	defer opened.Unlock()
	l := opened.by[path]
	if l == nil {
		if l, err = load(path); err != nil {
			return nil, err
		}
		opened.by[path] = l
	}
	return l, l.accept(anyVersion)
}

// load opens the library at path and finds all that is called.
func load(path string) (*library, error) {
	if runtime.GOARCH == "amd64" && !cpu.X86.HasAVX {
		return nil, fmt.Errorf("mujoco: %w: %s needs a processor with AVX", ErrLibrary, path)
	}
	h, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("mujoco: %w: %w", ErrLibrary, err)
	}
	l := &library{path: path, models: map[string]*model{}}
	for _, f := range []struct {
		name string
		to   any // *uintptr or pointer to a function
	}{
		{"mj_version", &l.mjVersion}, {"mj_step", &l.step}, {"mj_step1", &l.step1}, {"mj_step2", &l.step2},
		{"mj_forward", &l.forward}, {"mj_resetData", &l.resetData}, {"mj_getState", &l.getState},
		{"mj_setState", &l.setState}, {"mj_local2Global", &l.local2Global}, {"mj_deleteModel", &l.deleteModel},
		{"mj_deleteData", &l.deleteData}, {"mj_loadXML", &l.loadXML}, {"mj_makeData", &l.makeData},
		{"mj_stateSize", &l.stateSize}, {"mj_name2id", &l.name2id}, {"mj_getTotalmass", &l.totalMass},
		{"mj_readSensor", &l.readSensor}, {"mju_setLogHandler", &l.setHandler}, {"pthread_self", &l.pthreadSelf},
	} {
		at, err := purego.Dlsym(h, f.name)
		if err != nil {
			_ = purego.Dlclose(h)
			return nil, fmt.Errorf("mujoco: %w: %s lacks a function that godcem calls, want version %s: %w", ErrLibrary, path,
				versions(tested...), err)
		}
		if to, ok := f.to.(*uintptr); ok {
			*to = at
		} else {
			purego.RegisterFunc(f.to, at)
		}
	}
	l.version = l.mjVersion()
	threadSelf.Store(l.pthreadSelf)
	l.setHandler(logHandler())
	return l, nil
}

// accept says whether the version will do.
func (l *library) accept(anyVersion bool) error {
	for _, v := range tested {
		if l.version == v || anyVersion {
			return nil
		}
	}
	return fmt.Errorf("mujoco: %w: %s is %s, want %s (`make mujoco` fetches %s), or Options.AnyVersion to try it",
		ErrVersion,
		l.path, versions(l.version), versions(tested...), versions(tested[len(tested)-1]))
}

// versions are version numbers as people write them.
func versions(v ...int32) (text string) {
	for i, v := range v {
		if i > 0 {
			text += " or "
		}
		text += fmt.Sprintf("%d.%d.%d", v/1000000, v/1000%1000, v%1000)
	}
	return text
}

// MuJoCo says what goes wrong through a handler, on the thread that called it. A warning is kept for the caller, who
// stays on that thread until it has asked; the function that warned goes on. After an error it may not, and the
// program would end: the handler panics, which unwinds C's frames up to the caller, who recovers and gives the state
// up.
var (
	threadSelf atomic.Uintptr // pthread_self
	warnings   = struct {
		sync.Mutex
		of map[uintptr]string // by thread: the first
	}{of: map[uintptr]string{}}
	warned     atomic.Uint64 // how often
	logHandler = sync.OnceValue(func() uintptr { return purego.NewCallback(logged) })
)

// The levels of mjLogMessage.
const (
	logWarning = 2
	logError   = 3
)

// logMessage is the beginning of mjLogMessage, which is the same in all versions that have a handler for it.
type logMessage struct {
	level   int32
	_       int32
	subject [1024]byte
}

// fatal is what MuJoCo takes to be an error from which it cannot return.
type fatal struct{ text string }

func logged(m *logMessage) uintptr {
	switch {
	case m.level >= logError:
		panic(fatal{textOf(m.subject[:])})
	case m.level == logWarning:
		thread, _, _ := purego.SyscallN(threadSelf.Load())
		warnings.Lock()
		if _, full := warnings.of[thread]; !full {
			warnings.of[thread] = textOf(m.subject[:])
		}
		warnings.Unlock()
		warned.Add(1)
	}
	return 0
}

// textOf is a C string.
func textOf(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// What MuJoCo reported: Task.Fault wraps one of these, or env.ErrNotFinite.
var (
	ErrWarning = errors.New("MuJoCo warned")
	ErrFatal   = errors.New("MuJoCo failed")
)

// guarded calls into MuJoCo: its error is what was warned of in the meantime, or why the call did not return.
func (l *library) guarded(call func()) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := warned.Load()
	defer func() { err = l.report(before, recover()) }()
	call()
	return nil
}

// report is the error of calls on this thread, since before and ending with a panic.
func (l *library) report(before uint64, p any) (err error) {
	if warned.Load() != before { // by some thread
		thread, _, _ := purego.SyscallN(l.pthreadSelf)
		warnings.Lock()
		if text, ours := warnings.of[thread]; ours {
			err = fmt.Errorf("%w: %s", ErrWarning, text)
			delete(warnings.of, thread)
		}
		warnings.Unlock()
	}
	switch p := p.(type) {
	case nil:
		return err
	case fatal:
		return fmt.Errorf("%w: %s", ErrFatal, p.text)
	default:
		panic(p)
	}
}
