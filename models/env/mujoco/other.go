//go:build !((linux || darwin) && (amd64 || arm64))

package mujoco

import (
	"fmt"

	"github.com/godcem/godcem/models/env"
)

// New makes the task of that name, one of Names.
func New(name string, _ Options) (env.Task, error) {
	if _, err := specByName(name); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("mujoco: %w", ErrPlatform)
}

// Version is that of the library which New would use, such as "4.0.0".
func Version(Options) (string, error) { return "", fmt.Errorf("mujoco: %w", ErrPlatform) }
