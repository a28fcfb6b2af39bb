//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// become replaces this process by another program with the same arguments. It returns only if it cannot.
func become(path string) error {
	args := append([]string{path}, os.Args[1:]...)
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, args, os.Environ()))
}
