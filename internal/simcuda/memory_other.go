//go:build !linux

package simcuda

func guarded(int) (mapped, data []byte, err error) { return nil, nil, ErrUnavailable }
func release([]byte)                               {}
