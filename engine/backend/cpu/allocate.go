package cpu

// reads and writes of a verb.
func (v verb) reads() int {
	switch v {
	case doBinary, doScalar:
		return 2
	case doSelect:
		return 3
	case doHere, doAcc, doInto, doLoad, doDraw:
		return 0
	}
	return 1
}

func (v verb) writes() bool { return v != doPut && v != doReduce }

// allocate gives virtual registers their slots, class by class, each from its first to its last use; what is pinned
// keeps its own. An instruction may write where it reads for the last time.
func (e *emitter[T]) allocate() {
	l := e.l
	for v := range e.virt {
		e.virt[v].slot = -1
	}
	sizes := [4]int{1, l.cols, l.high, l.high * l.wide}
	if l.high == 1 {
		sizes[col] = 1
	}
	var free []int32
	// Slots are numbered from 0 in each class first.
	for c := range e.code {
		free = free[:0]
		count := int32(0)
		take := func(v *virtual) {
			if n := len(free); n > 0 && !v.pinned {
				v.slot = free[n-1]
				free = free[:n-1]
				return
			}
			v.slot = count
			count++
		}
		if class(c) == point { // what the code before the tiles fills
			for i := range e.code[col] {
				if in := &e.code[col][i]; in.verb.writes() && e.virt[in.d].class == point {
					take(&e.virt[in.d])
				}
			}
		}
		for i := range e.code[c] {
			in := &e.code[c][i]
			reads := [3]int32{in.a, in.b, in.c}
			for k, r := range reads[:in.verb.reads()] {
				v := &e.virt[r]
				again := k > 0 && r == reads[0] || k > 1 && r == reads[1]
				if v.class == class(c) && !v.pinned && int(v.last) == i && !again {
					free = append(free, v.slot)
				}
			}
			if !in.verb.writes() {
				continue
			}
			if v := &e.virt[in.d]; v.class == class(c) && v.slot < 0 {
				take(v)
				if v.last < 0 && !v.pinned {
					free = append(free, v.slot) // read by nobody
				}
			}
		}
		l.regs[c] = registers{count: int(count), size: sizes[c]}
	}
	for c := range l.regs {
		r := &l.regs[c]
		r.first, r.mem = l.slots, l.mem
		l.slots += r.count
		l.mem += r.count * padded(r.size)
	}
	for i := range e.virt {
		v := &e.virt[i]
		switch {
		case v.class == fixed:
			v.slot = int32(l.slots)
			l.slots++
		case v.slot >= 0:
			v.slot += int32(l.regs[v.class].first)
		}
	}
	for c := range e.code {
		for i := range e.code[c] {
			in := &e.code[c][i]
			if in.verb.writes() {
				in.d = e.virt[in.d].slot
			}
			operands := [3]*int32{&in.a, &in.b, &in.c}
			for _, r := range operands[:in.verb.reads()] {
				*r = e.virt[*r].slot
			}
		}
	}
	for i := range e.fixed {
		e.fixed[i].slot = e.virt[e.fixed[i].slot].slot
	}
}
