package run

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

type method uint8

func (m method) MarshalText() ([]byte, error) {
	if m > 1 {
		return nil, fmt.Errorf("method %d, want 0 or 1", uint8(m))
	}
	return []byte([]string{"dcem", "gd"}[m]), nil
}

func (m *method) UnmarshalText(text []byte) error {
	switch string(text) {
	case "dcem":
		*m = 0
	case "gd":
		*m = 1
	default:
		return errors.New("want dcem or gd")
	}
	return nil
}

type shared struct {
	Seed uint64 `json:"seed" help:"seed of everything"`
}

type testConfig struct {
	shared
	Samples int           `json:"samples" help:"samples per iteration"`
	Steps   int           `json:"steps" help:"updates" resume:"free"`
	Rate    float64       `json:"learning_rate" help:"Adam's rate"`
	Small   float32       `json:"small"`
	Byte    int8          `json:"byte"`
	Hard    bool          `json:"hard" help:"vanilla CEM"`
	Name    string        `json:"name"`
	Method  method        `json:"method"`
	Lower   []float64     `json:"lower" help:"lower bounds, one per dimension"`
	Sizes   []int         `json:"sizes"`
	Seeds   []uint64      `json:"seeds"`
	Every   time.Duration `json:"every"`
	Optim   struct {
		Rate  float64 `json:"rate"`
		Nudge struct {
			SigmaMin float64 `json:"sigmaMin"`
		} `json:"nudge"`
	} `json:"optim"`
	Skip chan int `json:"-"`
}

func (c *testConfig) Validate() error {
	if c.Samples < 0 {
		return fmt.Errorf("samples is %d, want at least 0", c.Samples)
	}
	return nil
}

func fullConfig() testConfig {
	c := testConfig{Samples: 100, Steps: -5, Rate: third, Small: 0.1, Byte: -128, Hard: true, Method: 1,
		Name: "a: \"b\"\n#c\té ✓", Lower: []float64{-1, 5e-324, math.MaxFloat64, math.Copysign(0, -1)},
		Sizes: []int{2, 128, 1}, Seeds: []uint64{math.MaxUint64}, Every: 90*time.Second + time.Nanosecond}
	c.Seed = math.MaxUint64
	c.Optim.Rate, c.Optim.Nudge.SigmaMin = 1e-3, 1e21
	return c
}

func TestConfigRoundTrip(t *testing.T) {
	for _, ext := range []string{".yaml", ".yml", ".json"} {
		for name, want := range map[string]testConfig{"full": fullConfig(), "zero": {}} {
			path := filepath.Join(t.TempDir(), "c"+ext)
			if err := SaveConfig(path, want); err != nil {
				t.Fatal(err)
			}
			got := fullConfig() // every key must be overwritten
			if name == "full" {
				got = testConfig{}
			}
			if err := LoadConfig(path, &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) || math.Signbit(want.Lower0()) != math.Signbit(got.Lower0()) {
				t.Errorf("%s %s: got %+v, want %+v", name, ext, got, want)
			}
			first, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := SaveConfig(path, got); err != nil {
				t.Fatal(err)
			}
			if second, err := os.ReadFile(path); err != nil || string(first) != string(second) {
				t.Errorf("%s %s: saved again, the file differs: %v\n%s\n%s", name, ext, err, first, second)
			}
		}
	}
}

// Lower0 is the last lower bound, which full has at -0.
func (c *testConfig) Lower0() float64 {
	if len(c.Lower) == 0 {
		return 0
	}
	return c.Lower[len(c.Lower)-1]
}

func TestConfigReads(t *testing.T) {
	for _, c := range []struct {
		ext, text string
		want      func(*testConfig)
	}{
		{".yaml", "", func(*testConfig) {}},
		{".yaml", "# only a comment\n", func(*testConfig) {}},
		{".json", "  \n", func(*testConfig) {}},
		{".yaml", "samples: 0x10\nlearning_rate: 1\nlower: [1, .5, -1e-3]\n", func(c *testConfig) {
			c.Samples, c.Rate, c.Lower = 16, 1, []float64{1, .5, -1e-3}
		}},
		{".yaml", "optim: {rate: 2, nudge: {sigmaMin: 3}}\nmethod: gd\nevery: 1m\nhard: true\n", func(c *testConfig) {
			c.Optim.Rate, c.Optim.Nudge.SigmaMin, c.Method, c.Every, c.Hard = 2, 3, 1, time.Minute, true
		}},
		{".json", `{"seed": 18446744073709551615, "seeds": [], "lower": null, "name": "\u00e9"}`, func(c *testConfig) {
			c.Seed, c.Name = math.MaxUint64, "é"
		}},
	} {
		want := testConfig{}
		c.want(&want)
		var got testConfig
		if err := decodeConfig(c.ext, []byte(c.text), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", c.text, got, err, want)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct{ ext, text, want string }{
		{".yaml", "sampels: 3", `unknown key "sampels", the closest known one is "samples"`},
		{".json", `{"optim": {"nudge": {"sigma_min": 1}}}`,
			`unknown key "optim.nudge.sigma_min", the closest known one is "optim.nudge.sigmaMin"`},
		{".yaml", "samples: 1\nsamples: 2", `key "samples" appears twice`},
		{".json", `{"samples": 1, "samples": 2}`, `key "samples" appears twice`},
		{".yaml", "samples: many", `samples: got "many", want an integer`},
		{".yaml", "samples: 1.5", `samples: got "1.5", want an integer`},
		{".yaml", "samples: 99999999999999999999", `samples: got "99999999999999999999", want an integer`},
		{".yaml", "byte: 128", `byte: got "128", want an integer of 8 bits`},
		{".json", `{"samples": null}`, "samples: got null, want an integer"},
		{".json", `{"samples": "3"}`, `samples: got "3", want an integer`},
		{".json", `{"seed": -1}`, `seed: got "-1", want an integer, 0 or more`},
		{".yaml", "learning_rate: .nan", `learning_rate: got ".nan", want a finite number`},
		{".yaml", "learning_rate: -.inf", `learning_rate: got "-.inf", want a finite number`},
		{".json", `{"learning_rate": 1e999}`, `learning_rate: got "1e999", want a finite number`},
		{".json", `{"learning_rate": NaN}`, "line 1"},
		{".yaml", "small: 1e39", "small: got \"1e39\", want a finite number"},
		{".yaml", "name: 12", "name: got 12, want a string in quotes"},
		{".yaml", "hard: 1", "hard: got 1, want true or false"},
		{".yaml", "method: newton", `method: got "newton": want dcem or gd`},
		{".yaml", "every: 5", "every: got 5, want a duration"},
		{".yaml", "every: soon", `every: got "soon", want a duration`},
		{".yaml", "lower: 3", "lower: got 3, want a list of numbers"},
		{".yaml", "lower: [1, a]", `lower: element 1: got "a", want a finite number`},
		{".yaml", "optim: 3", "optim: got 3, want keys with values"},
		{".yaml", "- 1", "got [1], want keys with values"},
		{".yaml", "a: &x 1\nb: *x", "aliases are not supported"},
		{".yaml", "samples: 1\n---\nsamples: 2", "more than one YAML document"},
		{".yaml", "samples: [", "line"},
		{".yaml", "name: !!binary aGk=", "!!binary is not supported"},
		{".yaml", strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested more than"},
		{".json", strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested more than"},
		{".json", `{"samples": 1} x`, "line 1"},
		{".json", "{\"samples\":\n 1", "unexpected EOF"},
		{".json", "{\"name\": \"\xff\"}", "UTF-8"},
		{".toml", "", `extension ".toml", want .yaml, .yml or .json`},
	} {
		path := filepath.Join(t.TempDir(), "c"+c.ext)
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		var got testConfig
		says(t, c.text, LoadConfig(path, &got), path+": ", c.want)
	}
	if err := LoadConfig(filepath.Join(t.TempDir(), "none.yaml"), &testConfig{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	for want, c := range map[string]testConfig{
		"learning_rate: got NaN":             {Rate: math.NaN()},
		"lower: element 0: got +Inf":         {Lower: []float64{math.Inf(1)}},
		"method: method 7, want 0 or 1":      {Method: 7},
		`name: got "\xff", want valid UTF-8`: {Name: "\xff"},
	} {
		path := filepath.Join(t.TempDir(), "c.yaml")
		says(t, want, SaveConfig(path, c), path+": ", want)
	}
	mustPanic(t, "value", func() { LoadConfig(os.DevNull, testConfig{}) })
	mustPanic(t, "no struct", func() { EncodeConfig(3) })
	mustPanic(t, "map", func() {
		EncodeConfig(struct {
			M map[string]int `json:"m"`
		}{})
	})
	mustPanic(t, "no tag", func() { EncodeConfig(struct{ M int }{}) })
	mustPanic(t, "twice", func() {
		EncodeConfig(struct {
			shared
			Again int `json:"seed"`
		}{})
	})
}

func TestFlags(t *testing.T) {
	parse := func(file string, args ...string) (testConfig, error) {
		c := testConfig{Samples: 10, Rate: 0.5, Lower: []float64{1, 2}}
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		BindFlags(fs, &c)
		if err := fs.Parse(args); err != nil {
			return c, err
		}
		path := ""
		if file != "" {
			path = filepath.Join(t.TempDir(), "c.yaml")
			if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return c, Resolve(fs, &c, path)
	}

	got, err := parse("samples: 20\nlearning_rate: 0.25\nhard: true\nseed: 4", "--samples", "30", "--seed=5",
		"--hard=false", "--lower=-3,4.5", "--sizes", "2, 3", "--method=gd", "--every=2s", "--optim-nudge-sigma-min=1e-9", "--lower", "7")
	want := testConfig{Samples: 30, Rate: 0.25, Lower: []float64{7}, Sizes: []int{2, 3}, Method: 1, Every: 2 * time.Second}
	want.Seed, want.Optim.Nudge.SigmaMin = 5, 1e-9
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	got, err = parse("samples: 20", "--hard", "--lower=")
	if err != nil || got.Samples != 20 || !got.Hard || got.Lower != nil || got.Rate != 0.5 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, c := range []struct{ file, flag, want string }{
		{"", "--samples=x", `invalid argument "x" for "--samples" flag: got "x", want an integer`},
		{"", "--lower=1,b", `element 1: got "b", want a finite number`},
		{"", "--learning-rate=nan", "want a finite number"},
		{"", "--sampels=1", "unknown flag: --sampels"},
		{"", "--method=newton", "want dcem or gd"},
		{"", "--samples=-3", "samples is -3, want at least 0"},
		{"samples: -4", "--seed=1", "samples is -4, want at least 0"},
		{"sampels: 4", "--seed=1", "closest known one is"},
	} {
		_, err := parse(c.file, c.flag)
		says(t, c.file+c.flag, err, c.want)
	}

	// Usage shows names, types, help and defaults.
	c := testConfig{Samples: 10}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	BindFlags(fs, &c)
	usage := fs.FlagUsages()
	for _, want := range []string{"--samples int ", "samples per iteration (default 10)", "--lower float,...",
		"--method name", "--every duration", "--hard "} {
		if !strings.Contains(usage, want) {
			t.Errorf("usage lacks %q:\n%s", want, usage)
		}
	}
	if strings.Contains(usage, "--hard bool") || strings.Contains(usage, "skip") {
		t.Errorf("usage:\n%s", usage)
	}
	mustPanic(t, "value", func() { BindFlags(fs, c) })
}

func TestResolveResume(t *testing.T) {
	saved := fullConfig()
	raw, err := EncodeConfig(&saved)
	if err != nil {
		t.Fatal(err)
	}
	ck := NewCheckpoint("k", 1)
	ck.Config = raw
	resolve := func(args ...string) (testConfig, error) {
		c := testConfig{Samples: 1}
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		BindFlags(fs, &c)
		if err := fs.Parse(args); err != nil {
			t.Fatal(err)
		}
		return c, ResolveResume(fs, &c, "", ck)
	}
	got, err := resolve("--steps=77", "--samples=100")
	want := fullConfig()
	want.Steps = 77
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = resolve("--samples=101")
	says(t, "change", err, ErrMismatch.Error(), "samples is 101, was 100, and cannot change on resume")
	ck.Config = nil
	if _, err := resolve(); !errors.Is(err, ErrMismatch) {
		t.Errorf("got %v", err)
	}
}

// FuzzConfig: whatever is read is saved and read again as the same, in both formats, and saving that gives the same
// bytes.
func FuzzConfig(f *testing.F) {
	for _, ext := range []string{".yaml", ".json"} {
		raw, err := encodeConfig(ext, fullConfig())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, ext == ".json")
	}
	f.Add([]byte("name: \"\\u2028 \\x85\"\nlower: [0x10, .5, 1_000.5, -0, 0o17]\n"), false)
	f.Add([]byte("a: &x [*x, *x]\n<<: *x"), false)
	f.Add([]byte(`{"name":"\ud800","seeds":[1]}`), true)
	f.Fuzz(func(t *testing.T, raw []byte, isJSON bool) {
		ext := ".yaml"
		if isJSON {
			ext = ".json"
		}
		var c testConfig
		if err := decodeConfig(ext, raw, &c); err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("error of several lines: %q", err)
			}
			return
		}
		for _, ext := range []string{".yaml", ".json"} {
			first, err := encodeConfig(ext, &c)
			if err != nil {
				t.Fatalf("cannot save what was read: %v", err)
			}
			var d testConfig
			if err := decodeConfig(ext, first, &d); err != nil {
				t.Fatalf("cannot read what was saved: %v\n%s", err, first)
			}
			if !reflect.DeepEqual(c, d) {
				t.Fatalf("%+v was saved and read as %+v\n%s", c, d, first)
			}
			if second, err := encodeConfig(ext, &d); err != nil || string(first) != string(second) {
				t.Fatalf("saved again: %v\n%s\n%s", err, first, second)
			}
		}
	})
}

func TestSuggest(t *testing.T) {
	names := []string{"out", "samples", "sigma", "cem-sigma", "method", "rate"}
	for misspelt, want := range map[string]string{
		"sampels": "samples", "Samples": "samples", "mehtod": "method", "samp": "samples", "cem-sigm": "cem-sigma", "simga": "sigma",
		"nope": "", "xylophone": "", "oot": "", "ou": "", "": "", "rates": "rate",
	} {
		if got := Suggest(misspelt, names); got != want {
			t.Errorf("%q: suggests %q, want %q", misspelt, got, want)
		}
	}
	if got := Suggest("method", nil); got != "" {
		t.Errorf("suggests %q of nothing", got)
	}
}
