package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/godcem/godcem/internal/atomicfile"
	"gopkg.in/yaml.v3"
)

// A config struct has exported fields with a json tag each: `json:"sigma_min" help:"smallest sigma"`. A field is a
// bool, an integer, a float, a string, a time.Duration, a type with both MarshalText and UnmarshalText (written as a
// string), a slice of numbers, or a struct of such fields (an embedded one without a tag is flattened); `json:"-"`
// leaves a field out. `resume:"free"` says that a resumed run may change it.
//
// Files and flags are two spellings of the same text: numbers keep every digit, so that what is saved and loaded again
// is equal. A list that is empty is nil. NaN and infinities are refused in both directions.

// LoadConfig reads the YAML (.yaml, .yml) or JSON (.json) file at path into the config struct that into points to. Keys
// that the file does not mention keep their values. An unknown or repeated key and a value of the wrong type are errors
// that name the key.
func LoadConfig(path string, into any) error {
	const most = 1 << 20 // bytes; a config is a few hundred
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: cannot read: %w", path, atomicfile.Bare(err))
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return fmt.Errorf("%s: cannot read: %w", path, atomicfile.Bare(err))
	}
	if len(raw) > most {
		return fmt.Errorf("%s: more than %d bytes, want a config file", path, most)
	}
	if err := decodeConfig(filepath.Ext(path), raw, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// SaveConfig writes the config struct, atomically, as YAML with each field's help as a comment, or as JSON, by the
// extension of path.
func SaveConfig(path string, config any) error {
	raw, err := encodeConfig(filepath.Ext(path), config)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.WriteBytes(path, raw)
}

// EncodeConfig returns the config struct as one line of JSON, as checkpoints and result.json hold it.
func EncodeConfig(config any) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := writeJSON(&b, structOf(config), ""); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// DecodeConfig reads what EncodeConfig wrote, as strictly as LoadConfig.
func DecodeConfig(raw json.RawMessage, into any) error { return decodeConfig(".json", raw, into) }

func encodeConfig(ext string, config any) ([]byte, error) {
	switch ext {
	case ".json":
		raw, err := EncodeConfig(config)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", "  "); err != nil {
			return nil, err
		}
		b.WriteByte('\n')
		return b.Bytes(), nil
	case ".yaml", ".yml":
		n, err := yamlNode(structOf(config), "")
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		enc := yaml.NewEncoder(&b)
		enc.SetIndent(2)
		if err := enc.Encode(n); err != nil {
			return nil, err
		}
		return b.Bytes(), nil
	}
	return nil, fmt.Errorf("extension %q, want .yaml, .yml or .json", ext)
}

func decodeConfig(ext string, raw []byte, into any) error {
	if reflect.TypeOf(into).Kind() != reflect.Pointer {
		panic(fmt.Sprintf("run: config of type %T, want a pointer to a struct", into))
	}
	v := structOf(into)
	var t tree
	var err error
	switch ext {
	case ".json":
		t, err = parseJSON(raw)
	case ".yaml", ".yml":
		t, err = parseYAML(raw)
	default:
		return fmt.Errorf("extension %q, want .yaml, .yml or .json", ext)
	}
	if err != nil {
		return err
	}
	if t.kind == nullNode {
		return nil // an empty file
	}
	return assignStruct(v, t, "")
}

// structOf returns the struct behind config, or a copy of it where it came by value: MarshalText may need the fields'
// addresses. Anything else is the caller's bug and panics.
func structOf(config any) reflect.Value {
	v := reflect.ValueOf(config)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		panic(fmt.Sprintf("run: config of type %T, want a struct or a pointer to one", config))
	}
	if v.CanSet() {
		return v
	}
	w := reflect.New(v.Type()).Elem()
	w.Set(v)
	return w
}

func assignStruct(v reflect.Value, t tree, path string) error {
	if t.kind != mapNode {
		return fmt.Errorf("%sgot %s, want keys with values", keyPrefix(path), t)
	}
	fields := fieldsOf(v)
	for i, key := range t.keys {
		at, names := -1, make([]string, len(fields))
		for j, f := range fields {
			if names[j] = f.key; f.key == key {
				at = j
			}
		}
		if at < 0 {
			return fmt.Errorf("unknown key %q, the closest known one is %q", join(path, key), join(path, closest(key, names)))
		}
		f := fields[at]
		if f.nested {
			if err := assignStruct(f.value, t.values[i], join(path, key)); err != nil {
				return err
			}
			continue
		}
		if err := assign(f.value, t.values[i]); err != nil {
			return fmt.Errorf("%s%w", keyPrefix(join(path, key)), err)
		}
	}
	return nil
}

func writeJSON(b *bytes.Buffer, v reflect.Value, path string) error {
	b.WriteByte('{')
	for i, f := range fieldsOf(v) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(f.key))
		b.WriteByte(':')
		if f.nested {
			if err := writeJSON(b, f.value, join(path, f.key)); err != nil {
				return err
			}
			continue
		}
		t, err := textOf(f.value)
		if err != nil {
			return fmt.Errorf("%s%w", keyPrefix(join(path, f.key)), err)
		}
		t.writeJSON(b)
	}
	b.WriteByte('}')
	return nil
}

func yamlNode(v reflect.Value, path string) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fieldsOf(v) {
		var value *yaml.Node
		if f.nested {
			var err error
			if value, err = yamlNode(f.value, join(path, f.key)); err != nil {
				return nil, err
			}
		} else {
			t, err := textOf(f.value)
			if err != nil {
				return nil, fmt.Errorf("%s%w", keyPrefix(join(path, f.key)), err)
			}
			value = t.yaml()
		}
		key := &yaml.Node{Kind: yaml.ScalarNode, Value: f.key, HeadComment: strings.ReplaceAll(f.help, "`", "")}
		n.Content = append(n.Content, key, value)
	}
	return n, nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func keyPrefix(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// Suggest returns the name that a misspelt one most likely stands for: one that starts with it, or else the closest
// one within two letters. It is "" if there is none; a name of up to three letters is too short to tell.
func Suggest(misspelt string, names []string) string {
	if len(misspelt) <= 3 {
		return ""
	}
	misspelt = strings.ToLower(misspelt)
	for _, n := range names {
		if strings.HasPrefix(strings.ToLower(n), misspelt) {
			return n
		}
	}
	if n := closest(misspelt, names); n != "" && editDistance(misspelt, strings.ToLower(n)) <= 2 {
		return n
	}
	return ""
}

// closest returns the name with the smallest edit distance to key.
func closest(key string, names []string) string {
	best, at := -1, ""
	for _, n := range names {
		if d := editDistance(strings.ToLower(key), strings.ToLower(n)); best < 0 || d < best {
			best, at = d, n
		}
	}
	return at
}

func editDistance(a, b string) int {
	const most = 64 // a key longer than that is no misspelling of ours
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
