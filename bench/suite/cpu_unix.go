//go:build unix

package main

import "syscall"

// processTime is the CPU time of this process so far in ms; 0 where the system does not tell.
func processTime() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}
