package emit

// A Launcher is a backend.Executable that runs an emitted program. Explain asks it what a run is.
type Launcher interface {
	// Launches is the emitted program, and how many graphs of launches a Run starts: 1 where the host has nothing to do
	// in between.
	Launches() (p *Program, graphs int)
}
