package ir

import "unsafe"

// Bytes is the memory of a slice that a Tensor may hold, for as long as that lives; nil for another.
func Bytes(data any) []byte {
	switch d := data.(type) {
	case []float32:
		return raw(d)
	case []float64:
		return raw(d)
	case []int64:
		return raw(d)
	case []int:
		return raw(d)
	case []int32:
		return raw(d)
	case []uint8:
		return d
	case []bool:
		return raw(d)
	}
	return nil
}

func raw[S any](s []S) []byte {
	var one S
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(one)))
}
