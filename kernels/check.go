package kernels

import "fmt"

// The checks of arguments that several kernels share. They panic before any work starts, with the kernel, the argument,
// its value and what was expected.

func needSize(kernel, name string, got int) {
	if got < 0 {
		panic(fmt.Sprintf("kernels: %s: %s = %d, want >= 0", kernel, name, got))
	}
}

// needElites checks k, the number of entries to select out of n.
func needElites(kernel string, k, n int) {
	if k < 1 || k > n {
		panic(fmt.Sprintf("kernels: %s: k = %d, want 1 <= k <= n = %d", kernel, k, n))
	}
}

// needLen checks a slice's length; shape names the product that want is, as in "b*n".
func needLen(kernel, name string, got, want int, shape string) {
	if got != want {
		panic(fmt.Sprintf("kernels: %s: len(%s) = %d, want %s = %d", kernel, name, got, shape, want))
	}
}

// needOptional is needLen for a slice that may be nil.
func needOptional[E any](kernel, name string, s []E, want int, shape string) {
	if s != nil && len(s) != want {
		panic(fmt.Sprintf("kernels: %s: len(%s) = %d, want nil or %s = %d", kernel, name, len(s), shape, want))
	}
}
