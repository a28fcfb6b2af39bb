package run

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/pflag"
)

// BindFlags registers a flag for every field of the config struct that cfg points to: named after the json tag
// (sigma_min is --sigma-min; the fields of a nested struct have its name before theirs), described by the help tag,
// defaulting to the field's present value. Parsing writes into the struct. A list is given as 1,2.5,-3; the empty
// string is the empty list; a flag given twice counts once, the last time.
func BindFlags(fs *pflag.FlagSet, cfg any) {
	v := reflect.ValueOf(cfg)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("run: BindFlags: cfg of type %T, want a pointer to a struct", cfg))
	}
	for _, f := range leavesOf(v.Elem()) {
		flag := fs.VarPF(&flagValue{owner: cfg, field: f}, f.flag, "", f.help)
		if f.value.Kind() == reflect.Bool {
			flag.NoOptDefVal = "true"
		}
	}
}

// flagValue is a field as a pflag.Value. It remembers the text it was given, so that Resolve can apply it again above a
// config file.
type flagValue struct {
	owner any
	field field
	given string
}

func (f *flagValue) Type() string { return typeName(f.field.value.Type()) }

func (f *flagValue) Set(text string) error {
	if err := setText(f.field.value, text); err != nil {
		return err
	}
	f.given = text
	return nil
}

func (f *flagValue) String() string {
	if !f.field.value.IsValid() {
		return "" // pflag asks the zero flagValue for its default
	}
	t, err := textOf(f.field.value)
	if err != nil {
		return fmt.Sprint(f.field.value.Interface())
	}
	if t.kind != listNode {
		return t.text
	}
	parts := make([]string, len(t.values))
	for i, e := range t.values {
		parts[i] = e.text
	}
	return strings.Join(parts, ",")
}

func setText(v reflect.Value, text string) error {
	if v.Kind() != reflect.Slice || isText(v.Type()) {
		return parseLeaf(v, text)
	}
	if strings.TrimSpace(text) == "" {
		v.SetZero()
		return nil
	}
	parts := strings.Split(text, ",")
	list := reflect.MakeSlice(v.Type(), len(parts), len(parts))
	for i, p := range parts {
		if err := parseLeaf(list.Index(i), strings.TrimSpace(p)); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	v.Set(list)
	return nil
}

// Resolve gives the config its final values after fs was parsed: defaults, above them the config file at path (none if
// empty), above that the flags that were given. It ends with the config's own Validate() error, if it has one, which
// should name the field in one line. cfg is the pointer that BindFlags was given.
func Resolve(fs *pflag.FlagSet, cfg any, path string) error {
	if path != "" {
		if err := LoadConfig(path, cfg); err != nil {
			return err
		}
	}
	if err := applyFlags(fs, cfg); err != nil {
		return err
	}
	return validate(cfg)
}

// ResolveResume is Resolve for a run that continues from a checkpoint: the checkpoint's configuration stands in the
// defaults' place, and only fields tagged resume:"free" may end up with another value.
func ResolveResume(fs *pflag.FlagSet, cfg any, path string, from *Checkpoint) error {
	if len(from.Config) == 0 {
		return from.mismatch("holds no configuration")
	}
	if err := DecodeConfig(from.Config, cfg); err != nil {
		return from.mismatch("configuration: %v", err)
	}
	if err := Resolve(fs, cfg, path); err != nil {
		return err
	}
	return SameConfig(from, cfg)
}

// SameConfig returns an error that names the first field, other than those tagged resume:"free", in which cfg differs
// from the configuration in the checkpoint. A field that the checkpoint does not have counts as the same.
func SameConfig(from *Checkpoint, cfg any) error {
	now := structOf(cfg)
	was := reflect.New(now.Type())
	was.Elem().Set(now)
	if err := DecodeConfig(from.Config, was.Interface()); err != nil {
		return from.mismatch("configuration: %v", err)
	}
	name, before, after, err := Differ(was.Interface(), cfg)
	if err != nil || name == "" {
		return err
	}
	return from.mismatch("%s is %s, was %s, and cannot change on resume", name, after, before)
}

// Differ names the first field, other than those tagged resume:"free", in which two config structs of a type differ,
// and its values as text; "" if there is none.
func Differ(was, now any) (name, before, after string, err error) {
	a, b := leavesOf(structOf(was)), leavesOf(structOf(now))
	for i, f := range b {
		x, errX := textOf(a[i].value)
		y, errY := textOf(f.value)
		if err := errors.Join(errX, errY); err != nil {
			return "", "", "", fmt.Errorf("%s: %w", f.key, oneLine(err))
		}
		if !f.free && !x.same(y) {
			return f.key, x.String(), y.String(), nil
		}
	}
	return "", "", "", nil
}

func (t tree) same(o tree) bool {
	var a, b bytes.Buffer
	t.writeJSON(&a)
	o.writeJSON(&b)
	return bytes.Equal(a.Bytes(), b.Bytes())
}

func applyFlags(fs *pflag.FlagSet, cfg any) error {
	var errs []error
	fs.Visit(func(flag *pflag.Flag) {
		if f, ok := flag.Value.(*flagValue); ok && f.owner == cfg {
			if err := f.Set(f.given); err != nil {
				errs = append(errs, fmt.Errorf("--%s: %w", flag.Name, err))
			}
		}
	})
	return oneLine(errors.Join(errs...))
}

func validate(cfg any) error {
	if v, ok := cfg.(interface{ Validate() error }); ok {
		return oneLine(v.Validate())
	}
	return nil
}
