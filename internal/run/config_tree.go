package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// tree is a config file without its syntax: YAML and JSON are both read into it. A number keeps its text, so that no
// digit is lost on the way.
type tree struct {
	kind   nodeKind
	text   string   // of a scalar
	keys   []string // of a map, in the file's order
	values []tree   // of a map or a list
}

type nodeKind uint8

const (
	nullNode nodeKind = iota
	boolNode
	numberNode
	stringNode
	listNode
	mapNode
)

// String describes the node for a message: its value, cut to a short line.
func (t tree) String() string {
	switch t.kind {
	case nullNode:
		return "null"
	case stringNode:
		return shorten(strconv.Quote(t.text))
	case listNode:
		parts := make([]string, min(len(t.values), 4))
		for i := range parts {
			parts[i] = t.values[i].String()
		}
		if len(parts) < len(t.values) {
			parts = append(parts, "...")
		}
		return shorten("[" + strings.Join(parts, ", ") + "]")
	case mapNode:
		return "keys with values"
	}
	return shorten(t.text)
}

func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}

func (t tree) writeJSON(b *bytes.Buffer) {
	switch t.kind {
	case nullNode:
		b.WriteString("null")
	case stringNode:
		raw, _ := json.Marshal(t.text) // a string of valid UTF-8 always has a JSON form
		b.Write(raw)
	case listNode:
		b.WriteByte('[')
		for i, v := range t.values {
			if i > 0 {
				b.WriteByte(',')
			}
			v.writeJSON(b)
		}
		b.WriteByte(']')
	default:
		b.WriteString(t.text)
	}
}

func (t tree) yaml() *yaml.Node {
	switch t.kind {
	case nullNode:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	case stringNode:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: t.text}
		if !plainWord(t.text) {
			n.Style = yaml.DoubleQuotedStyle
		}
		return n
	case listNode:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, v := range t.values {
			n.Content = append(n.Content, v.yaml())
		}
		return n
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: t.text}
}

// plainWord reports whether YAML reads s back as a string without quotes whatever its dialect.
func plainWord(s string) bool {
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf":
		return false
	}
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '_' || c == '-' || c == '/' || c == '.')) {
			return false
		}
	}
	return true
}

const maxDepth = 32 // levels of lists and maps in a config file

var errDepth = fmt.Errorf("nested more than %d levels deep", maxDepth)

func parseJSON(raw []byte) (tree, error) {
	if !utf8.Valid(raw) {
		return tree{}, errors.New("not JSON: not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	t, err := jsonTree(dec, 0)
	if err == io.EOF {
		return tree{}, nil // an empty file
	}
	if err == nil {
		if _, err = dec.Token(); err == io.EOF {
			return t, nil
		}
		err = errors.New("something follows the closing brace")
	}
	line := 1 + bytes.Count(raw[:min(int(dec.InputOffset()), len(raw))], []byte("\n"))
	return tree{}, fmt.Errorf("line %d: %w", line, oneLine(err))
}

func jsonTree(dec *json.Decoder, depth int) (tree, error) {
	if depth > maxDepth {
		return tree{}, errDepth
	}
	token, err := dec.Token()
	if err != nil {
		return tree{}, notEOF(err, depth)
	}
	switch token := token.(type) {
	case nil:
		return tree{kind: nullNode}, nil
	case bool:
		return tree{kind: boolNode, text: strconv.FormatBool(token)}, nil
	case json.Number:
		return tree{kind: numberNode, text: token.String()}, nil
	case string:
		return tree{kind: stringNode, text: token}, nil
	case json.Delim:
		t := tree{kind: listNode}
		if token == '{' {
			t.kind = mapNode
		}
		for dec.More() {
			if t.kind == mapNode {
				key, err := dec.Token()
				if err != nil {
					return tree{}, notEOF(err, depth+1)
				}
				name, ok := key.(string)
				if !ok {
					return tree{}, fmt.Errorf("got %v, want a key", key)
				}
				if err := t.addKey(name); err != nil {
					return tree{}, err
				}
			}
			v, err := jsonTree(dec, depth+1)
			if err != nil {
				return tree{}, err
			}
			t.values = append(t.values, v)
		}
		if _, err := dec.Token(); err != nil {
			return tree{}, notEOF(err, depth+1)
		}
		return t, nil
	}
	return tree{}, fmt.Errorf("unexpected %v", token)
}

// notEOF turns the end of the file inside of a value into an error of its own.
func notEOF(err error, depth int) error {
	if err == io.EOF && depth > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (t *tree) addKey(name string) error {
	for _, k := range t.keys {
		if k == name {
			return fmt.Errorf("key %q appears twice", name)
		}
	}
	t.keys = append(t.keys, name)
	return nil
}

func parseYAML(raw []byte) (t tree, err error) {
	defer func() { // yaml.v3 has panicked on hostile input before
		if r := recover(); r != nil {
			t, err = tree{}, fmt.Errorf("not YAML: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var doc yaml.Node
	if err := dec.Decode(&doc); err == io.EOF {
		return tree{}, nil // an empty file
	} else if err != nil {
		return tree{}, oneLine(err)
	}
	var second yaml.Node
	if err := dec.Decode(&second); err != io.EOF {
		return tree{}, errors.New("more than one YAML document, want one")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return tree{}, nil
	}
	return yamlTree(doc.Content[0], 0)
}

func yamlTree(n *yaml.Node, depth int) (tree, error) {
	fail := func(format string, args ...any) (tree, error) {
		return tree{}, fmt.Errorf("line %d: %w", n.Line, fmt.Errorf(format, args...))
	}
	if depth > maxDepth {
		return fail("%w", errDepth)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return fail("aliases are not supported, write the value out")
	case yaml.SequenceNode:
		t := tree{kind: listNode}
		for _, c := range n.Content {
			v, err := yamlTree(c, depth+1)
			if err != nil {
				return tree{}, err
			}
			t.values = append(t.values, v)
		}
		return t, nil
	case yaml.MappingNode:
		t := tree{kind: mapNode}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Kind != yaml.ScalarNode {
				return fail("a key is not a word")
			}
			if err := t.addKey(n.Content[i].Value); err != nil {
				return tree{}, fmt.Errorf("line %d: %w", n.Content[i].Line, err)
			}
			v, err := yamlTree(n.Content[i+1], depth+1)
			if err != nil {
				return tree{}, err
			}
			t.values = append(t.values, v)
		}
		return t, nil
	case yaml.ScalarNode:
		t, err := yamlScalar(n)
		if err != nil {
			return fail("%w", err)
		}
		return t, nil
	}
	return fail("unexpected YAML")
}

func yamlScalar(n *yaml.Node) (tree, error) {
	switch n.ShortTag() {
	case "!!null":
		return tree{kind: nullNode}, nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return tree{}, oneLine(err)
		}
		return tree{kind: boolNode, text: strconv.FormatBool(b)}, nil
	case "!!int":
		if json.Valid([]byte(n.Value)) {
			return tree{kind: numberNode, text: n.Value}, nil
		}
		var u uint64 // 0x10, 0o17, 1_000
		if n.Decode(&u) == nil {
			return tree{kind: numberNode, text: strconv.FormatUint(u, 10)}, nil
		}
		var i int64
		if err := n.Decode(&i); err != nil {
			return tree{}, oneLine(err)
		}
		return tree{kind: numberNode, text: strconv.FormatInt(i, 10)}, nil
	case "!!float":
		if json.Valid([]byte(n.Value)) {
			return tree{kind: numberNode, text: n.Value}, nil
		}
		var f float64 // .5, 1., +1e3, .inf, .nan
		if err := n.Decode(&f); err != nil {
			return tree{}, oneLine(err)
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return tree{kind: numberNode, text: n.Value}, nil // refused by the field, which can name its key
		}
		return tree{kind: numberNode, text: formatFloat(f)}, nil
	case "!!str", "!!timestamp":
		return tree{kind: stringNode, text: n.Value}, nil
	}
	return tree{}, fmt.Errorf("%s is not supported, want a number, a word, true or false", n.Tag)
}

// oneLine makes an error of a parser, or several joined ones, fit one line.
func oneLine(err error) error {
	if err == nil || !strings.ContainsAny(err.Error(), "\n\r") {
		return err
	}
	return flat{err}
}

type flat struct{ error }

func (f flat) Unwrap() error { return f.error }

func (f flat) Error() string {
	lines := strings.FieldsFunc(f.error.Error(), func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}

func formatFloat(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
