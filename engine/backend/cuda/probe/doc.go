//go:build !gpu

// Package probe ends a program that was built with the tag gpu, with advice, where there is no GPU. Without the tag it
// does nothing.
package probe
