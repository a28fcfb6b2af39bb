//go:build unix

package record

import "syscall"

// CPUSeconds is the time that this process has spent on all cores; 0 where the system does not tell.
func CPUSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
