package engine

func init() { verify = true }

// WithoutVerifying runs f as programs do, without checks after every pass.
func WithoutVerifying(f func()) {
	verify = false
	defer func() { verify = true }()
	f()
}
