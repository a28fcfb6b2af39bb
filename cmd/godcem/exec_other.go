//go:build !unix

package main

import (
	"fmt"
	"runtime"
)

// become says that it cannot be done.
func become(path string) error {
	return fmt.Errorf("a program cannot become %s on %s: run that one itself", path, runtime.GOOS)
}
