package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Float is an element type of a checkpoint's arrays.
type Float interface{ float32 | float64 }

// Checkpoint is the whole state of a run after Step updates: the configuration, any JSON-able state by name, and arrays
// by name whose bits are kept. The same state always gives the same file, byte for byte.
type Checkpoint struct {
	Kind   string          // the program it belongs to, such as "regression"
	Step   int             // updates done
	Config json.RawMessage // the configuration as EncodeConfig gives it; may be nil

	state  map[string]json.RawMessage
	arrays []array
	path   string // where it was loaded from, for messages
}

// array is a named array: exactly one of f32 and f64 is used, by dtype.
type array struct {
	Name  string `json:"name"`
	Dtype string `json:"dtype"` // "float32" or "float64"
	Shape []int  `json:"shape"`

	f32 []float32
	f64 []float64
}

// Errors of a checkpoint file. Load wraps one of them, unless the file could not be opened or read.
var (
	ErrForeign   = errors.New("not a godcem checkpoint")
	ErrNewer     = errors.New("written by a newer version")
	ErrTruncated = errors.New("truncated")
	ErrCorrupt   = errors.New("corrupt")
	ErrKind      = errors.New("checkpoint of another program")
	ErrMismatch  = errors.New("does not fit this program")
)

// NewCheckpoint returns an empty checkpoint.
func NewCheckpoint(kind string, step int) *Checkpoint {
	return &Checkpoint{Kind: kind, Step: step, state: map[string]json.RawMessage{}}
}

// Put stores v, which must be representable in JSON (so no NaN and no infinity: those go into arrays), under name.
// Float64 and uint64 values come back exactly. A name used twice panics.
func (c *Checkpoint) Put(name string, v any) error {
	if c.state == nil {
		c.state = map[string]json.RawMessage{}
	}
	if _, used := c.state[name]; used {
		panic(fmt.Sprintf("run: Checkpoint.Put: name = %q is used twice", name))
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("checkpoint state %q: %w", name, err)
	}
	c.state[name] = raw
	return nil
}

// Get decodes the state stored under name into the pointer into. A missing name, an unknown field or another type is an
// error.
func (c *Checkpoint) Get(name string, into any) error {
	raw, ok := c.state[name]
	if !ok {
		return c.mismatch("has no state %q", name)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return c.mismatch("state %q: %v", name, err)
	}
	return nil
}

// PutArray stores data of the given shape (row-major; no shape means (len(data))) under name. The data are not copied:
// they must stay as they are until the checkpoint is saved. A shape that does not fit or a name used twice panics.
func PutArray[T Float](c *Checkpoint, name string, data []T, shape ...int) {
	if len(shape) == 0 {
		shape = []int{len(data)}
	}
	if n, ok := product(shape); !ok || n != len(data) {
		panic(fmt.Sprintf("run: PutArray %q: shape = %v does not fit %d values", name, shape, len(data)))
	}
	if c.find(name) != nil {
		panic(fmt.Sprintf("run: PutArray: name = %q is used twice", name))
	}
	a := array{Name: name, Shape: slices.Clone(shape)}
	switch data := any(data).(type) {
	case []float32:
		a.Dtype, a.f32 = "float32", data
	case []float64:
		a.Dtype, a.f64 = "float64", data
	}
	c.arrays = append(c.arrays, a)
}

// GetArray copies the array stored under name into into. The element type and the shape (none: (len(into))) must be
// those it was stored with.
func GetArray[T Float](c *Checkpoint, name string, into []T, shape ...int) error {
	if len(shape) == 0 {
		shape = []int{len(into)}
	}
	if n, ok := product(shape); !ok || n != len(into) {
		panic(fmt.Sprintf("run: GetArray %q: shape = %v does not fit %d values", name, shape, len(into)))
	}
	data, have, err := ArrayOf[T](c, name)
	if err != nil {
		return err
	}
	if !slices.Equal(have, shape) {
		return c.mismatch("array %q has shape %v, want %v", name, have, shape)
	}
	copy(into, data)
	return nil
}

// ArrayOf returns the array stored under name and its shape, for arrays whose length only the checkpoint knows. The
// slices belong to the checkpoint.
func ArrayOf[T Float](c *Checkpoint, name string) (data []T, shape []int, err error) {
	a := c.find(name)
	if a == nil {
		return nil, nil, c.mismatch("has no array %q", name)
	}
	var held any = a.f64
	if a.Dtype == "float32" {
		held = a.f32
	}
	data, ok := held.([]T)
	if !ok {
		return nil, nil, c.mismatch("array %q holds %s, want %T", name, a.Dtype, *new(T))
	}
	return data, a.Shape, nil
}

// Keep copies the arrays, so that what they were put in from may change before the checkpoint is saved or loaded.
func (c *Checkpoint) Keep() {
	for i := range c.arrays {
		a := &c.arrays[i]
		a.f32, a.f64 = slices.Clone(a.f32), slices.Clone(a.f64)
	}
}

// Arrays returns the names of the arrays in the order in which they were stored.
func (c *Checkpoint) Arrays() []string {
	names := make([]string, len(c.arrays))
	for i, a := range c.arrays {
		names[i] = a.Name
	}
	return names
}

func (c *Checkpoint) find(name string) *array {
	for i := range c.arrays {
		if c.arrays[i].Name == name {
			return &c.arrays[i]
		}
	}
	return nil
}

// mismatch is the error of a sound checkpoint that does not hold what the program asks of it.
func (c *Checkpoint) mismatch(format string, args ...any) error {
	path := c.path
	if path == "" {
		path = "checkpoint"
	}
	return fmt.Errorf("%s: %w: %s", path, ErrMismatch, fmt.Sprintf(format, args...))
}

// product returns the number of elements of a shape, and whether the shape is sane (no negative dimension, no
// overflow).
func product(shape []int) (n int, ok bool) {
	const most = 1 << 40 // elements; also what keeps the product from overflowing
	n = 1
	for _, d := range shape {
		if d < 0 || d > most || d > 0 && n > most/d {
			return 0, false
		}
		n *= d
	}
	return n, true
}
