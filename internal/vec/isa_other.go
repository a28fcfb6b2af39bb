//go:build !amd64 || noasm

package vec

func detect() isa { return isaGo }
