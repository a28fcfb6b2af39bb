package engine

func init() { verify = true }

// WithoutVerifying runs f as programs do, without checks after every pass.
func WithoutVerifying(f func()) {
	verify = false
	defer func() { verify = true }()
	f()
}

// Owners is the number of graphs that VMs are known of.
func Owners() int {
	owners.Lock()
	defer owners.Unlock()
	return len(owners.of)
}
