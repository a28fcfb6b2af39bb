package ir

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// constant consumes a constant's elements.
func (p *parser) constant(n *Node) error {
	count, body, end := n.Count(), 0, ")"
	splat := p.take("splat")
	if splat {
		if count > maxSplat {
			return fmt.Errorf("splat of %d elements, want at most %d", count, maxSplat)
		}
		if err := p.want("("); err != nil {
			return err
		}
	} else {
		end = "}"
		if err := p.want("{"); err != nil {
			return err
		}
	}
	if body = strings.Index(p.rest, end); body < 0 {
		return p.fail(strconv.Quote(end))
	}
	var items []string
	if s := strings.TrimSpace(p.rest[:body]); s != "" {
		items = strings.Split(s, ",")
	}
	p.rest = p.rest[body+1:]
	p.skip()
	for i := range items {
		if items[i] = strings.TrimSpace(items[i]); items[i] == "..." {
			return errors.New("an abbreviated constant, want all of its elements")
		}
	}
	want := count
	if splat {
		want = 1
	}
	if len(items) != want {
		return fmt.Errorf("%d elements, want %d for the shape %v", len(items), want, n.Shape)
	}
	data, err := parseData(n.Type, items)
	if err == nil && splat {
		data = repeated(data, count)
	}
	n.Attr = &Tensor{Data: data}
	return err
}

func parseData(t DType, items []string) (any, error) {
	switch t {
	case F32:
		return elements(items, func(s string) (float32, error) {
			if bits, ok := strings.CutPrefix(s, "NaN:"); ok {
				b, err := strconv.ParseUint(bits, 16, 32)
				return math.Float32frombits(uint32(b)), isNaN(err, float64(math.Float32frombits(uint32(b))))
			}
			v, err := strconv.ParseFloat(s, 32)
			return float32(v), err
		})
	case F64:
		return elements(items, func(s string) (float64, error) {
			if bits, ok := strings.CutPrefix(s, "NaN:"); ok {
				b, err := strconv.ParseUint(bits, 16, 64)
				return math.Float64frombits(b), isNaN(err, math.Float64frombits(b))
			}
			return strconv.ParseFloat(s, 64)
		})
	case Int64:
		return elements(items, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
	case Int:
		return elements(items, strconv.Atoi)
	case Int32:
		return elements(items, func(s string) (int32, error) {
			v, err := strconv.ParseInt(s, 10, 32)
			return int32(v), err
		})
	case Uint8:
		return elements(items, func(s string) (uint8, error) {
			v, err := strconv.ParseUint(s, 10, 8)
			return uint8(v), err
		})
	}
	return elements(items, strconv.ParseBool)
}

func isNaN(err error, v float64) error {
	if err == nil && v == v {
		err = errors.New("not the bits of a NaN")
	}
	return err
}

func elements[T any](items []string, f func(string) (T, error)) ([]T, error) {
	out := make([]T, len(items))
	for i, s := range items {
		v, err := f(s)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		out[i] = v
	}
	return out, nil
}

// repeated makes a splat's data from its one element.
func repeated(data any, n int) any {
	switch d := data.(type) {
	case []float32:
		return fill(d, n)
	case []float64:
		return fill(d, n)
	case []int64:
		return fill(d, n)
	case []int:
		return fill(d, n)
	case []int32:
		return fill(d, n)
	case []uint8:
		return fill(d, n)
	case []bool:
		return fill(d, n)
	}
	return data
}

func fill[T any](one []T, n int) []T {
	out := make([]T, n)
	if len(one) == 1 {
		for i := range out {
			out[i] = one[0]
		}
	}
	return out
}
