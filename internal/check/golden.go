package check

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

//go:embed golden/*.json
var goldenFiles embed.FS

// Golden decodes the golden file of that name into a slice of cases, of one where the file is an object, and runs f on
// each as a subtest. The files are embedded, so a test binary carries them; GODCEM_GOLDEN=dir reads them from another
// folder of the same shape instead. A missing file or an empty one fails.
func Golden[C any](t *testing.T, name string, f func(t *testing.T, c C)) {
	t.Helper()
	cases, err := goldenCases[C](name)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		t.Run(CaseName(c, i), func(t *testing.T) { f(t, c) })
	}
}

func goldenCases[C any](name string) ([]C, error) {
	var raw []byte
	var err error
	if dir := os.Getenv("GODCEM_GOLDEN"); dir != "" {
		raw, err = os.ReadFile(filepath.Join(dir, name))
	} else {
		raw, err = goldenFiles.ReadFile("golden/" + name)
	}
	if err != nil {
		return nil, fmt.Errorf("golden file: %w", err)
	}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		raw = slices.Concat([]byte("["), raw, []byte("]"))
	}
	var cases []C
	if err := json.Unmarshal(raw, &cases); err != nil {
		return nil, fmt.Errorf("golden file %s: %w", name, err)
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("golden file %s has no case", name)
	}
	return cases, nil
}

// CaseName names case i: by its Name() if it has one, else by its number.
func CaseName(c any, i int) string {
	if n, ok := c.(interface{ Name() string }); ok {
		return n.Name()
	}
	return "case" + strconv.Itoa(i)
}

// Nested is a JSON array of any depth, flattened in row-major order. Anything in it but numbers and arrays is an
// error: an element left out would shift the ones after it.
type Nested []float64

// UnmarshalJSON implements json.Unmarshaler.
func (v *Nested) UnmarshalJSON(raw []byte) error {
	var any any
	if err := json.Unmarshal(raw, &any); err != nil {
		return err
	}
	flat, err := flatten((*v)[:0], any)
	if err != nil {
		return err
	}
	*v = flat
	return nil
}

func flatten(dst []float64, v any) ([]float64, error) {
	switch v := v.(type) {
	case float64:
		return append(dst, v), nil
	case []any:
		for _, e := range v {
			var err error
			if dst, err = flatten(dst, e); err != nil {
				return nil, err
			}
		}
		return dst, nil
	}
	return nil, fmt.Errorf("%v (%T) in an array of numbers", v, v)
}
