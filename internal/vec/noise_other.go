//go:build !amd64 || noasm

package vec

// Plain Go is all there is: nothing calls these.

func philoxGroups(words *uint32, keys *[20]uint32, run, block uint64, n int) {
	panic("vec: no assembly")
}
func groups32(dst *float32, words *uint32, n int, normal bool) { panic("vec: no assembly") }
func groups64(dst *float64, words *uint32, n int, normal bool) { panic("vec: no assembly") }
