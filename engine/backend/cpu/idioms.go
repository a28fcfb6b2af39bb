package cpu

import (
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

// idioms finds what package vec does in one pass over a tile, to the bit, and a plan says in several instructions:
//
//	neg(expm1(neg y))                  vec.Expc: softplus' derivative from its value
//	where(gt(x, 0), x, expm1 x)        vec.ELU
//	where(gt(x, 0), 1, exp x)          vec.ELUSlope
//
// It returns the loop with such an instruction as one of a single operand, for which e.once has the function. The ones
// that nobody else needs are not emitted.
func (e *emitter[T]) idioms(pl *plan.Loop) *plan.Loop {
	n := int32(len(pl.Loads))
	clear(e.once)
	body := pl.Body
	of := func(v int32, op ir.Op) *plan.Instr {
		if v < n || pl.Body[v-n].Op != op {
			return nil
		}
		return &pl.Body[v-n]
	}
	number := func(v int32, want float64) bool {
		in := of(v, ir.Const)
		return in != nil && in.Imm == want
	}
	found := func(j int, arg int32, f func(dst, a []T)) {
		if &body[0] == &pl.Body[0] { // the program is everybody's
			body = append([]plan.Instr(nil), pl.Body...)
		}
		body[j].Op, body[j].A, body[j].B, body[j].C = ir.Expm1, arg, -1, -1
		if e.once == nil {
			e.once = map[int32]func(dst, a []T){}
		}
		e.once[int32(j)] = f
	}
	for j := range pl.Body {
		in := &pl.Body[j]
		switch in.Op {
		case ir.Neg:
			if x := of(in.A, ir.Expm1); x != nil {
				if y := of(x.A, ir.Neg); y != nil {
					found(j, y.A, vec.Expc[T])
				}
			}
		case ir.Where:
			c := of(in.A, ir.Gt)
			if c == nil || !number(c.B, 0) {
				continue
			}
			if x := of(in.C, ir.Expm1); x != nil && x.A == c.A && in.B == c.A {
				found(j, c.A, vec.ELU[T])
			} else if x := of(in.C, ir.Exp); x != nil && x.A == c.A && number(in.B, 1) {
				found(j, c.A, vec.ELUSlope[T])
			}
		}
	}
	if len(e.once) == 0 {
		return pl
	}
	short := *pl
	short.Body = body
	return &short
}
