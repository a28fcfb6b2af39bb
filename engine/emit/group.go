package emit

// group says which parts become one kernel.
func (e *emitter) group() []group {
	var groups []group
	for _, q := range e.stages {
		groups = append(groups, group{lanes: []lane{{parts: []part{q}}}})
	}
	return groups
}
