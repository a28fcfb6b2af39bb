package nn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// parseHeader reads the Python dictionary of an .npy header:
//
//	{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }
func parseHeader(s string) (h npyHeader, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("header %.100q: %w", strings.TrimSpace(s), err)
		}
	}()
	p := headerParser{rest: s}
	seen := map[string]bool{}
	p.expect("{")
	for p.err == nil && !p.accept("}") {
		key := p.quoted()
		p.expect(":")
		if p.err == nil && seen[key] {
			return h, fmt.Errorf("%q twice", key)
		}
		seen[key] = true
		switch key {
		case "descr":
			descr := p.quoted()
			h.order, h.size = parseDescr(descr)
			if p.err == nil && h.size == 0 {
				return h, fmt.Errorf("elements of type %q, want float32 or float64", descr)
			}
		case "fortran_order":
			if h.fortran = p.accept("True"); !h.fortran {
				p.expect("False")
			}
		case "shape":
			h.shape = p.tuple()
		default:
			p.fail(fmt.Errorf("unknown key %q", key))
		}
		if !p.accept(",") {
			p.expect("}")
			break
		}
	}
	if p.err != nil {
		return h, p.err
	}
	if strings.TrimSpace(p.rest) != "" {
		return h, errors.New("something follows the brace")
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return h, fmt.Errorf("no %q", key)
		}
	}
	return h, nil
}

func parseDescr(s string) (order binary.ByteOrder, size int) {
	switch s {
	case "<f4":
		return binary.LittleEndian, 4
	case "<f8":
		return binary.LittleEndian, 8
	case ">f4":
		return binary.BigEndian, 4
	case ">f8":
		return binary.BigEndian, 8
	}
	return nil, 0
}

// headerParser takes tokens off rest and keeps the first error.
type headerParser struct {
	rest string
	err  error
}

func (p *headerParser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *headerParser) accept(token string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t\n")
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *headerParser) expect(token string) {
	if !p.accept(token) {
		p.fail(fmt.Errorf("want %q before %.20q", token, p.rest))
	}
}

func (p *headerParser) quoted() string {
	for _, quote := range []string{"'", `"`} {
		if p.accept(quote) {
			text, rest, ok := strings.Cut(p.rest, quote)
			if !ok {
				break
			}
			p.rest = rest
			return text
		}
	}
	p.fail(fmt.Errorf("want a quoted word before %.20q", p.rest))
	return ""
}

// tuple reads (), (3,) or (3, 4).
func (p *headerParser) tuple() []int {
	const most = 8 // dimensions
	shape := []int{}
	p.expect("(")
	for p.err == nil && !p.accept(")") {
		p.rest = strings.TrimLeft(p.rest, " ")
		end := 0
		for end < len(p.rest) && p.rest[end] >= '0' && p.rest[end] <= '9' {
			end++
		}
		d, err := strconv.ParseInt(p.rest[:end], 10, 63)
		if err != nil || len(shape) == most {
			p.fail(fmt.Errorf("want up to %d sizes before %.20q", most, p.rest))
			return nil
		}
		shape, p.rest = append(shape, int(d)), p.rest[end:]
		if !p.accept(",") {
			p.expect(")")
			break
		}
	}
	return shape
}
