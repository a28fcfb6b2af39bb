package regression

import (
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	"github.com/spf13/pflag"
)

func TestDefaultIsThePaper(t *testing.T) {
	c := Default()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	got := []any{c.Points, c.Hidden, c.Activation, c.Samples, c.Elites, c.Iterations, c.Temperature, c.Start, c.Sigma,
		c.GDRate, c.Rate, c.Clip, c.Patience, c.Backprop}
	want := []any{100, []int{128, 128, 128}, nn.Softplus, 100, 10, 10, 1., 0., 7., 0.1, 1e-3, 1., 20, 0}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if c.Updates < 4000 || c.Updates > 5000 || c.ValidateEvery != 100 {
		t.Errorf("%d updates, validated every %d", c.Updates, c.ValidateEvery)
	}
}

// unusual is a valid configuration without a default in it.
func unusual() Config {
	return Config{
		Seed: math.MaxUint64, Method: CEMForward, Updates: 7, Points: 11,
		Model: ModelICNN, Hidden: []int{5, 4}, Activation: nn.ReLU, Float64: true, Machine: train.Tape,
		Iterations: 4, Samples: 9, Elites: 3, Temperature: 0.1 + 0.2, Relaxation: "csparsemax", Backprop: 2, Sigma: 1.5,
		Start: -0.25, GDRate: 0.01, Lower: []float64{-6}, Upper: []float64{1. / 3},
		Rate: 1e-4, Clip: 0.5, Patience: 3, ValidateEvery: 2, CheckpointEvery: 5,
	}
}

func TestConfigRoundTrip(t *testing.T) {
	want := unusual()
	if err := want.Validate(); err != nil {
		t.Fatal(err)
	}
	if d := Default(); true { // every field takes part
		a, b := reflect.ValueOf(want), reflect.ValueOf(d)
		for i := range a.NumField() {
			if reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
				t.Errorf("%s has its default: a field that is lost would not be seen", a.Type().Field(i).Name)
			}
		}
	}
	for _, ext := range []string{".yaml", ".json"} {
		path := filepath.Join(t.TempDir(), "config"+ext)
		if err := run.SaveConfig(path, want); err != nil {
			t.Fatal(err)
		}
		got := Default()
		if err := run.LoadConfig(path, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", ext, got, want)
		}
	}
	// What the flags of one configuration print as defaults, another's parse.
	from, to := pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	got := Default()
	run.BindFlags(from, &want)
	run.BindFlags(to, &got)
	var args []string
	from.VisitAll(func(f *pflag.Flag) { args = append(args, "--"+f.Name+"="+f.DefValue) })
	if err := to.Parse(args); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("flags: %+v, want %+v", got, want)
	}
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`method is "sgd", want dcem, gd, cem-forward or both`: func(c *Config) { c.Method = "sgd" },
		`method is "", want dcem`:                             func(c *Config) { c.Method = "" },
		`model is "spen", want mlp, feedforward or icnn`:      func(c *Config) { c.Model = "spen" },
		"updates is 0, want 1 to":                             func(c *Config) { c.Updates = 0 },
		"points is 1, want 2 to":                              func(c *Config) { c.Points = 1 },
		"samples is 1, want 2 to":                             func(c *Config) { c.Samples = 1 },
		"iterations is 101, want 1 to 100":                    func(c *Config) { c.Iterations = 101 },
		"elites is -3, want 1 to samples = 100":               func(c *Config) { c.Elites = -3 },
		"elites is 101, want 1 to samples = 100":              func(c *Config) { c.Elites = 101 },
		"points * samples is 20000000, want at most":          func(c *Config) { c.Points, c.Samples = 200, 100_000 },
		"backprop is 11, want 0 (all) to iterations = 10":     func(c *Config) { c.Backprop = 11 },
		"backprop is -1":                                      func(c *Config) { c.Backprop = -1 },
		"hidden has 0 sizes, want 1 to":                       func(c *Config) { c.Hidden = nil },
		"hidden[1] is 0, want 1 to":                           func(c *Config) { c.Hidden = []int{3, 0} },
		"hidden[0] is 10000, want 1 to":                       func(c *Config) { c.Hidden = []int{10000} },
		"activation is tanh, want softplus or relu":           func(c *Config) { c.Model, c.Activation = ModelICNN, nn.Tanh },
		"temperature is 0, want":                              func(c *Config) { c.Temperature = 0 },
		"temperature is NaN":                                  func(c *Config) { c.Temperature = math.NaN() },
		"sigma is -1, want above 0":                           func(c *Config) { c.Sigma = -1 },
		"start is +Inf":                                       func(c *Config) { c.Start = math.Inf(1) },
		"gd_rate is 0, want above 0":                          func(c *Config) { c.GDRate = 0 },
		"rate is 0, want above 0":                             func(c *Config) { c.Rate = 0 },
		"clip is -1, want 0 to":                               func(c *Config) { c.Clip = -1 },
		"patience is -1":                                      func(c *Config) { c.Patience = -1 },
		"validate_every is 0":                                 func(c *Config) { c.ValidateEvery = 0 },
		"checkpoint_every is 0":                               func(c *Config) { c.CheckpointEvery = 0 },
		`relaxation is "softsort", want lml`:                  func(c *Config) { c.Relaxation = "softsort" },
		"lower has 2 numbers":                                 func(c *Config) { c.Lower = []float64{1, 2} },
		"lower is 2 and upper is 1, want lower below upper": func(c *Config) {
			c.Lower, c.Upper = []float64{2}, []float64{1}
		},
		"lower is NaN": func(c *Config) { c.Lower, c.Upper = []float64{math.NaN()}, []float64{1} },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want one line with %q", err, want)
		}
	}
}

func TestPoints(t *testing.T) {
	x, y := Points(100)
	if x[0] != 0 || x[99] != 2*math.Pi || !(math.Abs(x[50]-50*2*math.Pi/99) < 1e-14) {
		t.Errorf("x from %v to %v, x[50] = %v", x[0], x[99], x[50])
	}
	for i := range x {
		if y[i] != x[i]*math.Sin(x[i]) {
			t.Fatalf("y[%d] = %v", i, y[i])
		}
	}
}

// Every point has its turn, equally often, in an order that only seed and step decide.
func TestPointOf(t *testing.T) {
	const n, rounds = 100, 400
	count := make([]int, n)
	same := 0
	for step := 1; step <= n*rounds; step++ {
		i := pointOf(3, step, n)
		count[i]++
		if i == pointOf(4, step, n) {
			same++
		}
		if i != pointOf(3, step, n) {
			t.Fatal("two answers for one step")
		}
	}
	// Chi-square with 99 degrees of freedom: mean 99, deviation 14.
	chi := 0.0
	for _, c := range count {
		chi += float64((c-rounds)*(c-rounds)) / rounds
	}
	if !(chi > 99-5*14 && chi < 99+5*14) {
		t.Errorf("chi-square %v, want 99 or so", chi)
	}
	if share := float64(same) / (n * rounds); !(share > 0.005 && share < 0.02) {
		t.Errorf("two seeds agree for a share of %v of the steps, want 0.01", share)
	}
}
