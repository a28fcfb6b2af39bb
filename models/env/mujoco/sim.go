//go:build (linux || darwin) && (amd64 || arm64)

package mujoco

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/godcem/godcem/models/env"
)

// model is an mjModel, shared by the simulations of a task and read by all of them.
type model struct {
	lib    *library
	spec   *spec
	path   string
	ptr    uintptr
	users  int
	sensor int32
}

// acquire is the model of a task, read from dir where it is not in use.
func (l *library) acquire(s *spec, dir string) (*model, error) {
	path, err := filepath.Abs(filepath.Join(dir, s.file))
	if err != nil {
		return nil, fmt.Errorf("mujoco: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.models[path]
	if m == nil {
		m = &model{lib: l, spec: s, path: path}
		if err := m.load(); err != nil {
			m.free()
			return nil,
				fmt.Errorf("mujoco: %w with %s: %w (`make mujoco` fetches the library and the models that were tested)",
					ErrLibrary, path, err)
		}
		l.models[path] = m
	}
	m.users++
	return m, nil
}

func (m *model) release() {
	m.lib.mu.Lock()
	defer m.lib.mu.Unlock()
	if m.users--; m.users == 0 {
		delete(m.lib.models, m.path)
		m.free()
	}
}

func (m *model) free() {
	if m.ptr != 0 {
		purego.SyscallN(m.lib.deleteModel, m.ptr)
		m.ptr = 0
	}
}

// load reads the model and tests that it is the task's, and that the library simulates it.
func (m *model) load() error {
	l, s := m.lib, m.spec
	var text [1024]byte
	err := l.guarded(func() { m.ptr = l.loadXML(m.path, nil, &text[0], int32(len(text))) })
	if m.ptr == 0 {
		return errors.Join(fmt.Errorf("MuJoCo does not read it: %s", textOf(text[:])), err)
	}
	if errors.Is(err, ErrFatal) {
		return err // a warning is another matter: the cheetah's model has a word that is out of use
	}
	for _, c := range []struct {
		what      string
		got, want int32
	}{
		{"coordinates", l.stateSize(m.ptr, stateQpos), int32(len(s.joints))},
		{"velocities", l.stateSize(m.ptr, stateQvel), int32(len(s.joints))},
		{"actuators", l.stateSize(m.ptr, stateCtrl), int32(len(s.actuators))},
		{"times", l.stateSize(m.ptr, stateTime), 1},
	} {
		if c.got != c.want {
			return fmt.Errorf("it has %d %s, want %d", c.got, c.what, c.want)
		}
	}
	for _, c := range []struct {
		kind, first int32
		what        string
		names       []string
	}{{objJoint, 0, "joint", s.joints}, {objActuator, 0, "actuator", s.actuators}, {objBody, 1, "body", s.bodies}} {
		for i, name := range c.names {
			if id := l.name2id(m.ptr, c.kind, name); id != c.first+int32(i) {
				return fmt.Errorf("its %s %q is number %d, want %d", c.what, name, id, c.first+int32(i))
			}
		}
	}
	if m.sensor = l.name2id(m.ptr, objSensor, s.sensor); m.sensor < 0 {
		return fmt.Errorf("it has no sensor %q", s.sensor)
	}
	if mass := l.totalMass(m.ptr); !(math.Abs(mass-s.mass) <= s.massError) {
		return fmt.Errorf("it weighs %v kg, want %v", mass, s.mass)
	}
	return m.try()
}

// try tests a step: gravity pulls, a torque turns its joint, and the time advances as the task has it.
func (m *model) try() error {
	d := newSim(m)
	defer d.close()
	if err := d.begin(nil, 0); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	ctrl := make([]float64, len(m.spec.actuators))
	ctrl[0] = 1
	if err := d.step(ctrl); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	if fall, turn := d.qvel[slices.Index(m.spec.joints, "rootz")], d.qvel[3]; !(fall < 0) || !(math.Abs(turn) > 0.1) {
		return fmt.Errorf("self-test: a step with one torque changes its height by %v m/s and that joint by %v rad/s, want it to "+
			"fall and to turn", fall, turn)
	}
	return nil
}

// sim is an mjData: the state of one simulation.
type sim struct {
	model *model
	lib   *library
	ptr   uintptr // 0: none
	time  float64 // where the simulation must stand
	velo  *float64
	state []float64 // time, qpos, qvel
	ctrl  []float64
	pose
}

func newSim(m *model) *sim {
	n := len(m.spec.joints)
	s := &sim{model: m, lib: m.lib, state: make([]float64, 1+2*n), ctrl: make([]float64, len(m.spec.actuators))}
	s.qpos, s.qvel = s.state[1:1+n], s.state[1+n:]
	s.xpos, s.xmat = make([][3]float64, len(m.spec.bodies)), make([][9]float64, len(m.spec.bodies))
	return s
}

// close frees the mjData. There may be none.
func (s *sim) close() {
	if s.ptr != 0 {
		purego.SyscallN(s.lib.deleteData, s.ptr)
		s.ptr, s.velo = 0, nil
	}
}

// begin sets the state to the model's own with coordinates qpos (nil: its own too), and lets it settle for that many
// steps of the physics.
//
// The kinematics of the first of these are those of the model's own coordinates, as in dm_control.
func (s *sim) begin(set func(qpos []float64), settle int) error {
	l, m := s.lib, s.model.ptr
	err := l.guarded(func() {
		if s.ptr == 0 {
			if s.ptr = l.makeData(m); s.ptr == 0 {
				panic(fatal{"no memory for a simulation"})
			}
			s.velo = l.readSensor(m, s.ptr, s.model.sensor, 0, nil, 0)
		}
		purego.SyscallN(l.resetData, m, s.ptr)
		purego.SyscallN(l.forward, m, s.ptr)
		s.get()
		if set != nil {
			set(s.qpos)
			purego.SyscallN(l.setState, m, s.ptr, uintptr(unsafe.Pointer(&s.qpos[0])), stateQpos)
		}
		if settle > 0 {
			s.advance(settle)
			s.state[0] = 0
			purego.SyscallN(l.setState, m, s.ptr, uintptr(unsafe.Pointer(&s.state[0])), stateTime)
		}
		purego.SyscallN(l.forward, m, s.ptr)
		s.time = 0
		s.read()
	})
	return s.verdict(err)
}

// advance takes n steps of the physics, and brings what depends on the coordinates and velocities up to date.
func (s *sim) advance(n int) {
	l, m := s.lib, s.model.ptr
	purego.SyscallN(l.step2, m, s.ptr)
	for range n - 1 {
		purego.SyscallN(l.step, m, s.ptr)
	}
	purego.SyscallN(l.step1, m, s.ptr)
}

// step is a step of the task under the controls, which MuJoCo clamps.
func (s *sim) step(ctrl []float64) error {
	copy(s.ctrl, ctrl)
	n := s.model.spec.substeps
	for range n {
		s.time += s.model.spec.timestep
	}
	return s.verdict(s.lib.guarded(func() {
		purego.SyscallN(s.lib.setState, s.model.ptr, s.ptr, uintptr(unsafe.Pointer(&s.ctrl[0])), stateCtrl)
		s.advance(n)
		s.read()
	}))
}

// verdict is what is wrong with the simulation after calls that ended with err. A state that a call did not return
// from is not used again.
func (s *sim) verdict(err error) error {
	switch {
	case errors.Is(err, ErrFatal):
		s.close()
		return err
	case err != nil:
		return err
	case s.state[0] != s.time: // MuJoCo starts again from the beginning where a state is not finite
		return fmt.Errorf("%w: the simulation was reset, its time is %v s, want %v s", ErrWarning, s.state[0], s.time)
	}
	for _, v := range s.state {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("it stands at %v: %w", s.state, env.ErrNotFinite)
		}
	}
	if math.IsNaN(s.speed) || math.IsInf(s.speed, 0) {
		return fmt.Errorf("its speed is %v: %w", s.speed, env.ErrNotFinite)
	}
	return nil
}

// read brings the pose up to date.
func (s *sim) read() {
	s.get()
	s.speed = *s.velo
	if s.model.spec.posed {
		s.readBodies()
	}
}

func (s *sim) get() {
	purego.SyscallN(s.lib.getState, s.model.ptr, s.ptr, uintptr(unsafe.Pointer(&s.state[0])),
		stateTime|stateQpos|stateQvel)
}

// sameFrame asks mj_local2Global for a body's own frame, bit by bit.
const sameFrame = 1

// origin is the place (0, 0, 0), turned by nothing (1, 0, 0, 0).
var origin = [2][4]float64{{}, {1}}

func (s *sim) readBodies() {
	for i := range s.xpos {
		purego.SyscallN(s.lib.local2Global, s.ptr, uintptr(unsafe.Pointer(&s.xpos[i])), uintptr(unsafe.Pointer(&s.xmat[i])),
			uintptr(unsafe.Pointer(&origin[0])), uintptr(unsafe.Pointer(&origin[1])), uintptr(i+1), sameFrame)
	}
}
