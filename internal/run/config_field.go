package run

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// field is one field of a config struct.
type field struct {
	key    string // in files
	flag   string // on the command line
	help   string
	free   bool // a resumed run may change it
	nested bool // a struct of fields
	value  reflect.Value
}

var (
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationType    = reflect.TypeFor[time.Duration]()
)

// fieldsOf lists the fields of a config struct, embedded ones in their place. A struct that breaks the rules of a
// config is the caller's bug and panics.
func fieldsOf(v reflect.Value) []field {
	var fields []field
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		tag, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if tag == "-" || !sf.IsExported() && !sf.Anonymous {
			continue
		}
		if sf.Anonymous && tag == "" && sf.Type.Kind() == reflect.Struct {
			fields = append(fields, fieldsOf(v.Field(i))...)
			continue
		}
		if tag == "" {
			panic(fmt.Sprintf("run: config %v: field %s has no json tag", v.Type(), sf.Name))
		}
		f := field{key: tag, flag: kebab(tag), help: sf.Tag.Get("help"), free: sf.Tag.Get("resume") == "free", value: v.Field(i)}
		f.nested = sf.Type.Kind() == reflect.Struct && !isText(sf.Type)
		if !f.nested && !isLeaf(sf.Type) && !(sf.Type.Kind() == reflect.Slice && isNumber(sf.Type.Elem())) {
			panic(fmt.Sprintf("run: config %v: field %s has unsupported type %v", v.Type(), sf.Name, sf.Type))
		}
		fields = append(fields, f)
	}
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.key] {
			panic(fmt.Sprintf("run: config %v: two fields have the json tag %q", v.Type(), f.key))
		}
		seen[f.key] = true
	}
	return fields
}

// leavesOf lists the fields that hold values, those of nested structs with the names joined: "optim.rate" and
// "optim-rate".
func leavesOf(v reflect.Value) []field {
	var leaves []field
	for _, f := range fieldsOf(v) {
		if !f.nested {
			leaves = append(leaves, f)
			continue
		}
		for _, in := range leavesOf(f.value) {
			in.key, in.flag, in.free = join(f.key, in.key), f.flag+"-"+in.flag, in.free || f.free
			leaves = append(leaves, in)
		}
	}
	return leaves
}

// kebab turns a key into a flag: sigma_min and sigmaMin into sigma-min.
func kebab(key string) string {
	var b strings.Builder
	for i, r := range key {
		switch {
		case r == '_' || r == '.':
			b.WriteByte('-')
		case unicode.IsUpper(r):
			if i > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isText(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(textMarshaler) && p.Implements(textUnmarshaler)
}

func isNumber(t reflect.Type) bool {
	if isText(t) || t == durationType {
		return false
	}
	k := t.Kind()
	return k >= reflect.Int && k <= reflect.Uint64 || k == reflect.Float32 || k == reflect.Float64
}

func isLeaf(t reflect.Type) bool {
	return isText(t) || t == durationType || isNumber(t) || t.Kind() == reflect.Bool || t.Kind() == reflect.String
}

// typeName is what pflag shows behind a flag.
func typeName(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Slice:
		return typeName(t.Elem()) + ",..."
	case t == durationType:
		return "duration"
	case isText(t):
		return "name"
	}
	switch k := t.Kind(); {
	case k == reflect.Bool:
		return "bool"
	case k == reflect.String:
		return "string"
	case k >= reflect.Uint && k <= reflect.Uint64:
		return "uint"
	case k == reflect.Float32 || k == reflect.Float64:
		return "float"
	}
	return "int"
}

// textOf returns the value of a leaf, or of a slice, as a file holds it.
func textOf(v reflect.Value) (tree, error) {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Slice && !isText(t):
		list := tree{kind: listNode}
		for i := range v.Len() {
			e, err := textOf(v.Index(i))
			if err != nil {
				return tree{}, fmt.Errorf("element %d: %w", i, err)
			}
			list.values = append(list.values, e)
		}
		return list, nil
	case t == durationType:
		return tree{kind: stringNode, text: time.Duration(v.Int()).String()}, nil
	case isText(t):
		text, err := v.Addr().Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil {
			return tree{}, err
		}
		return stringTree(string(text))
	}
	switch k := t.Kind(); {
	case k == reflect.Bool:
		return tree{kind: boolNode, text: strconv.FormatBool(v.Bool())}, nil
	case k == reflect.String:
		return stringTree(v.String())
	case k >= reflect.Uint && k <= reflect.Uint64:
		return tree{kind: numberNode, text: strconv.FormatUint(v.Uint(), 10)}, nil
	case k == reflect.Float32 || k == reflect.Float64:
		f := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return tree{}, fmt.Errorf("got %v, want a finite number", f)
		}
		return tree{kind: numberNode, text: strconv.FormatFloat(f, 'g', -1, t.Bits())}, nil
	}
	return tree{kind: numberNode, text: strconv.FormatInt(v.Int(), 10)}, nil
}

func stringTree(s string) (tree, error) {
	if !utf8.ValidString(s) {
		return tree{}, fmt.Errorf("got %s, want valid UTF-8", shorten(strconv.Quote(s)))
	}
	return tree{kind: stringNode, text: s}, nil
}

// assign sets a leaf or a slice from a file's node, which must be of the fitting kind.
func assign(v reflect.Value, t tree) error {
	typ := v.Type()
	if typ.Kind() == reflect.Slice && !isText(typ) {
		if t.kind == nullNode || t.kind == listNode && len(t.values) == 0 {
			v.SetZero()
			return nil
		}
		if t.kind != listNode {
			return fmt.Errorf("got %s, want a list of numbers", t)
		}
		list := reflect.MakeSlice(typ, len(t.values), len(t.values))
		for i, e := range t.values {
			if err := assign(list.Index(i), e); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		v.Set(list)
		return nil
	}
	want := numberNode
	switch {
	case isText(typ), typ == durationType, typ.Kind() == reflect.String:
		want = stringNode
	case typ.Kind() == reflect.Bool:
		want = boolNode
	}
	if t.kind != want {
		return fmt.Errorf("got %s, want %s", t, expected(typ))
	}
	return parseLeaf(v, t.text)
}

// parseLeaf sets a leaf from its text, as a flag or a file's scalar gives it.
func parseLeaf(v reflect.Value, text string) error {
	typ := v.Type()
	fail := func() error { return fmt.Errorf("got %s, want %s", shorten(strconv.Quote(text)), expected(typ)) }
	switch {
	case typ == durationType:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fail()
		}
		v.SetInt(int64(d))
		return nil
	case isText(typ):
		fresh := reflect.New(typ) // an UnmarshalText that fails may leave half a value
		if err := fresh.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
			if err = oneLine(err); strings.Contains(err.Error(), strconv.Quote(text)) {
				return err
			}
			return fmt.Errorf("got %s: %w", shorten(strconv.Quote(text)), err)
		}
		v.Set(fresh.Elem())
		return nil
	}
	switch k := typ.Kind(); {
	case k == reflect.String:
		if !utf8.ValidString(text) {
			return fmt.Errorf("got %s, want valid UTF-8", shorten(strconv.Quote(text)))
		}
		v.SetString(text)
	case k == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fail()
		}
		v.SetBool(b)
	case k >= reflect.Uint && k <= reflect.Uint64:
		u, err := strconv.ParseUint(text, 10, typ.Bits())
		if err != nil {
			return fail()
		}
		v.SetUint(u)
	case k == reflect.Float32 || k == reflect.Float64:
		f, err := strconv.ParseFloat(text, typ.Bits())
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return fail()
		}
		v.SetFloat(f)
	default:
		i, err := strconv.ParseInt(text, 10, typ.Bits())
		if err != nil {
			return fail()
		}
		v.SetInt(i)
	}
	return nil
}

// expected says in words what a leaf of that type accepts.
func expected(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration such as \"90s\" or \"1h30m\""
	case isText(t):
		return "a name in quotes"
	}
	switch k := t.Kind(); {
	case k == reflect.Bool:
		return "true or false"
	case k == reflect.String:
		return "a string in quotes"
	case k >= reflect.Uint && k <= reflect.Uint64:
		if t.Bits() == 64 {
			return "an integer, 0 or more"
		}
		return fmt.Sprintf("an integer from 0 to %d", uint64(math.MaxUint64)>>(64-t.Bits()))
	case k == reflect.Float32 || k == reflect.Float64:
		return "a finite number"
	}
	if t.Bits() == 64 {
		return "an integer"
	}
	return fmt.Sprintf("an integer of %d bits", t.Bits())
}
