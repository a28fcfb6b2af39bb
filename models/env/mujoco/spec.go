package mujoco

import (
	"fmt"
	"strings"
)

// A spec is a task: what its model must be, how its episodes begin, what is observed and rewarded.
type spec struct {
	name, file string
	joints     []string // one coordinate each: the order of qpos and qvel
	actuators  []string
	bodies     []string // without the world, in the model's order
	sensor     string   // linear velocity of the whole body's centre of mass
	mass       float64  // kg, to half of its last digit
	massError  float64
	timestep   float64 // s, of the physics
	substeps   int     // of the physics, in a step of the task
	steps      int     // of an episode
	ranges     []jointRange
	settle     int  // steps of the physics before the episode begins
	posed      bool // places of bodies are observed or rewarded, not drawn alone
	observed   []string
	observe    func(p *pose, obs []float64)
	reward     func(p *pose) float64
	capsules   []capsule
}

// jointRange is where qpos[joint] begins: uniform between degrees low and high.
type jointRange struct {
	joint     int
	low, high float64
}

// pose is what is read of a state.
type pose struct {
	qpos, qvel []float64
	speed      float64      // m/s, along x
	xpos       [][3]float64 // of the bodies
	xmat       [][9]float64 // row-major
}

// specs are the tasks.
var specs = []spec{cheetah, walker}

var cheetah = spec{
	name: "cheetah-run", file: "cheetah.xml",
	joints:    []string{"rootx", "rootz", "rooty", "bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"},
	actuators: []string{"bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"},
	bodies:    []string{"torso", "bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"},
	sensor:    "torso_subtreelinvel",
	mass:      14, massError: 1e-9,
	timestep: 0.01, substeps: 1, steps: 1000,
	ranges: []jointRange{{3, -30, 60}, {4, -50, 50}, {5, -230, 50}, {6, -57, .40}, {7, -70, 50}, {8, -28, 28}},
	settle: 200,
	observed: []string{"rootz", "rooty", "bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot",
		"drootx", "drootz", "drooty", "dbthigh", "dbshin", "dbfoot", "dfthigh", "dfshin", "dffoot"},
	observe: func(p *pose, obs []float64) {
		n := copy(obs, p.qpos[1:])
		copy(obs[n:], p.qvel)
	},
	reward: func(p *pose) float64 { return cheetahReward(p.speed) },
	capsules: []capsule{
		{body: 1, r: .046, ends: [4]float64{.0107, -.0157, .1893, -.2443}},
		{body: 2, r: .046, ends: [4]float64{-.0052, -.0042, -.2748, -.1358}},
		{body: 3, r: .046, ends: [4]float64{.0543, -.1878, .0057, -.0062}},
		{body: 4, r: .046, ends: [4]float64{-.1365, -.2352, -.0035, -.0048}},
		{body: 5, r: .046, ends: [4]float64{.1243, -.1779, .0057, -.0021}},
		{body: 6, r: .046, ends: [4]float64{.0841, -.1280, .0059, -.0120}},
		{body: 0, r: .046, ends: [4]float64{.5, 0, -.5, 0}},
		{body: 0, r: .046, ends: [4]float64{.4851, .0036, .7149, .1964}},
	},
}

var walker = spec{
	name: "walker-walk", file: "walker.xml",
	joints: []string{"rootz", "rootx", "rooty", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
		"left_ankle"},
	actuators: []string{"right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"},
	bodies:    []string{"torso", "right_thigh", "right_leg", "right_foot", "left_thigh", "left_leg", "left_foot"},
	sensor:    "torso_subtreelinvel",
	mass:      28.540, massError: 5e-4,
	timestep: 0.0025, substeps: 10, steps: 1000,
	posed: true,
	// The first has no range in the model: the task turns the walker by any angle.
	ranges: []jointRange{{2, -180, 180}, {3, -20, 100}, {4, -150, 0}, {5, -45, 45}, {6, -20, 100}, {7, -150, 0},
		{8, -45, 45}},
	observed: []string{"torso_xx", "torso_xz", "right_thigh_xx", "right_thigh_xz", "right_leg_xx", "right_leg_xz",
		"right_foot_xx", "right_foot_xz", "left_thigh_xx", "left_thigh_xz", "left_leg_xx", "left_leg_xz", "left_foot_xx",
		"left_foot_xz", "height", "drootz", "drootx", "drooty", "dright_hip", "dright_knee", "dright_ankle", "dleft_hip",
		"dleft_knee", "dleft_ankle"},
	observe: func(p *pose, obs []float64) {
		n := len(p.xmat)
		for i := range p.xmat {
			obs[2*i], obs[2*i+1] = p.xmat[i][0], p.xmat[i][2]
		}
		obs[2*n] = p.xpos[0][2]
		copy(obs[2*n+1:], p.qvel)
	},
	reward: func(p *pose) float64 { return walkerReward(p.xpos[0][2], p.xmat[0][8], p.speed) },
	capsules: []capsule{
		{body: 4, r: .05, ends: [4]float64{0, -.45, 0, 0}, far: true},
		{body: 5, r: .04, ends: [4]float64{0, -.25, 0, .25}, far: true},
		{body: 6, r: .05, ends: [4]float64{-.1, 0, .1, 0}, far: true},
		{body: 0, r: .07, ends: [4]float64{0, -.3, 0, .3}},
		{body: 1, r: .05, ends: [4]float64{0, -.45, 0, 0}},
		{body: 2, r: .04, ends: [4]float64{0, -.25, 0, .25}},
		{body: 3, r: .05, ends: [4]float64{-.1, 0, .1, 0}},
	},
}

// Names lists the tasks.
func Names() []string {
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.name
	}
	return names
}

func specByName(name string) (*spec, error) {
	for i := range specs {
		if specs[i].name == name {
			return &specs[i], nil
		}
	}
	return nil, fmt.Errorf("mujoco: no task %q, want one of %s", name, strings.Join(Names(), ", "))
}
