//go:build linux && (amd64 || arm64)

package nvrtc

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/godcem/godcem/internal/atomicfile"
)

// A Library is a loaded NVRTC. It may be used by several goroutines.
type Library struct {
	path         string
	major, minor int
	archs        []int

	errorString    func(status int32) string
	version        func(major, minor *int32) int32
	supported      func(n *int32) int32
	supportedList  func(archs *int32) int32
	createProgram  func(program *uintptr, source, name string, headers int32, h, n unsafe.Pointer) int32
	compileProgram func(program uintptr, options int32, o unsafe.Pointer) int32
	destroyProgram func(program *uintptr) int32
	logSize        func(program uintptr, n *uintptr) int32
	log            func(program uintptr, to unsafe.Pointer) int32
	cubinSize      func(program uintptr, n *uintptr) int32
	cubin          func(program uintptr, to unsafe.Pointer) int32
	ptxSize        func(program uintptr, n *uintptr) int32
	ptx            func(program uintptr, to unsafe.Pointer) int32
}

// load opens the library of that name or path.
func load(name string) (*Library, error) {
	runtime.LockOSThread() // the loader keeps its words for an error by thread
	defer runtime.UnlockOSThread()
	handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	l := &Library{}
	for _, f := range []struct {
		name     string
		into     any
		optional bool
	}{
		{"nvrtcGetErrorString", &l.errorString, false},
		{"nvrtcVersion", &l.version, false},
		{"nvrtcGetNumSupportedArchs", &l.supported, true},
		{"nvrtcGetSupportedArchs", &l.supportedList, true},
		{"nvrtcCreateProgram", &l.createProgram, false},
		{"nvrtcCompileProgram", &l.compileProgram, false},
		{"nvrtcDestroyProgram", &l.destroyProgram, false},
		{"nvrtcGetProgramLogSize", &l.logSize, false},
		{"nvrtcGetProgramLog", &l.log, false},
		{"nvrtcGetCUBINSize", &l.cubinSize, false},
		{"nvrtcGetCUBIN", &l.cubin, false},
		{"nvrtcGetPTXSize", &l.ptxSize, false},
		{"nvrtcGetPTX", &l.ptx, false},
	} {
		at, err := purego.Dlsym(handle, f.name)
		if err != nil {
			if f.optional {
				continue
			}
			return nil, fmt.Errorf("%s is not NVRTC 11.2 or later: %w", name, err)
		}
		purego.RegisterFunc(f.into, at)
	}
	var major, minor int32
	if status := l.version(&major, &minor); status != 0 {
		return nil, fmt.Errorf("%s: nvrtcVersion: %s", name, l.errorString(status))
	}
	l.major, l.minor = int(major), int(minor)
	l.path = loadedFrom(name)
	if l.supported != nil && l.supportedList != nil {
		var n int32
		if l.supported(&n) == 0 && n > 0 && n < 1<<10 {
			list := make([]int32, n)
			if l.supportedList(&list[0]) == 0 {
				for _, a := range list {
					l.archs = append(l.archs, int(a))
				}
			}
		}
	}
	return l, nil
}

// Version is NVRTC's: 12, 9.
func (l *Library) Version() (major, minor int) { return l.major, l.minor }

// Path is the library's file.
func (l *Library) Path() string { return l.path }

// Archs are the compute capabilities that it compiles for (75 is 7.5), in ascending order; empty if it does not say.
func (l *Library) Archs() []int { return l.archs }

// Identity tells this library from any other: its version, and its file's name, size and time of change. It belongs
// into the key of whatever caches compiled code.
func (l *Library) Identity() string {
	s := fmt.Sprintf("nvrtc %d.%d %s", l.major, l.minor, filepath.Base(l.path))
	if f, err := os.Stat(l.path); err == nil {
		s += fmt.Sprintf(" %d %d", f.Size(), f.ModTime().UnixNano())
	}
	return s
}

// Compile makes machine code for one device of a program that includes no files. An option -arch=sm_XX must say which
// device. The name stands in the log and in errors. The log may have warnings. If the program is at fault the error is a
// *CompileError.
func (l *Library) Compile(name, source string, options ...string) (cubin []byte, log string, err error) {
	real := false
	for _, o := range options {
		real = real || strings.HasPrefix(o, "-arch=sm_") || strings.HasPrefix(o, "--gpu-architecture=sm_")
	}
	if !real {
		return nil, "", fmt.Errorf("nvrtc: %s: options %q: want -arch=sm_XX with the device's compute capability", name, options)
	}
	return l.compile(name, source, options, l.cubinSize, l.cubin)
}

// PTX is Compile for NVIDIA's intermediate language, as text; an option -arch=compute_XX says for which devices, from XX
// on. A driver that is older than the library may refuse it.
func (l *Library) PTX(name, source string, options ...string) (ptx []byte, log string, err error) {
	ptx, log, err = l.compile(name, source, options, l.ptxSize, l.ptx)
	return bytes.TrimRight(ptx, "\x00"), log, err
}

func (l *Library) compile(name, source string, options []string, size func(uintptr, *uintptr) int32,
	get func(uintptr, unsafe.Pointer) int32) (out []byte, log string, err error) {
	for what, s := range map[string]string{"name": name, "source": source, "options": strings.Join(options, "")} {
		if at := strings.IndexByte(s, 0); at >= 0 {
			return nil, "", fmt.Errorf("nvrtc: %q: byte %d of the %s is 0, want C text", name, at, what)
		}
	}
	var program uintptr
	if status := l.createProgram(&program, source, name, 0, nil, nil); status != 0 {
		return nil, "", l.failure(name, "create the program", status)
	}
	defer l.destroyProgram(&program)

	var pinner runtime.Pinner // the array of options points to Go memory
	defer pinner.Unpin()
	pointers := make([]*byte, len(options)+1)
	for i, o := range options {
		text := append([]byte(o), 0)
		pinner.Pin(&text[0])
		pointers[i] = &text[0]
	}
	compiled := l.compileProgram(program, int32(len(options)), unsafe.Pointer(&pointers[0]))
	runtime.KeepAlive(pointers)

	text, err := l.fetch(name, "log", program, l.logSize, l.log)
	if err != nil && compiled == 0 {
		return nil, "", err
	}
	log = strings.TrimRight(string(text), "\x00\n")
	if compiled != 0 {
		return nil, log, l.compileError(name, source, options, log, compiled)
	}
	out, err = l.fetch(name, "compiled code", program, size, get)
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("nvrtc: %s: it compiled to nothing with options %q: want -arch=sm_XX", name, options)
	}
	return out, log, err
}

// fetch gets something of a program whose size must be asked first.
func (l *Library) fetch(name, what string, program uintptr, size func(uintptr, *uintptr) int32,
	get func(uintptr, unsafe.Pointer) int32) ([]byte, error) {
	var n uintptr
	if status := size(program, &n); status != 0 {
		return nil, l.failure(name, "size of the "+what, status)
	}
	if n == 0 {
		return nil, nil
	}
	b := make([]byte, n)
	if status := get(program, unsafe.Pointer(&b[0])); status != 0 {
		return nil, l.failure(name, "get the "+what, status)
	}
	return b, nil
}

func (l *Library) failure(name, doing string, status int32) error {
	return fmt.Errorf("nvrtc: %s: %s: %s (%d), from %s", name, doing, l.errorString(status), status, l.path)
}

// failedDir is the folder for what did not compile: below that of compiled kernels; "": none.
func failedDir() string {
	switch at := os.Getenv(cacheEnv); at {
	case "":
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		return filepath.Join(cache, "godcem", "failed")
	case "off":
		return ""
	default:
		return filepath.Join(at, "failed")
	}
}

// compileError saves what there is to read and reports it.
func (l *Library) compileError(name, source string, options []string, log string, status int32) error {
	e := &CompileError{Name: name, Status: l.errorString(status), Options: options, Log: log, Source: numbered(source)}
	dir := failedDir()
	if dir == "" {
		return e
	}
	sum := sha256.Sum256([]byte(e.Source + e.Log + strings.Join(options, " ")))
	path := filepath.Join(dir, "nvrtc-"+hex.EncodeToString(sum[:8])+".txt")
	text := fmt.Sprintf("%s: %s\nNVRTC %d.%d: %s\noptions: %s\n\n%s\n\n%s", e.Name, e.Status, l.major, l.minor, l.path, strings.Join(options, " "), log, e.Source)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), atomicfile.WriteBytes(path, []byte(text))); err == nil {
		e.Path = path
	}
	return e
}
