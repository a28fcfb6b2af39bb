package kernels

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

// Every field changes the answer of some rule, and 0 means the documented default.
func TestOptimizerFieldsAndDefaults(t *testing.T) {
	after := func(o Optimizer) [][]float64 {
		p := [][]float64{{1, -2}, {3}}
		var s OptimizerState[float64]
		for _, g := range [][][]float64{{{0.5, -1e-8}, {-3}}, {{-0.1, 2e-8}, {0.25}}} {
			OptimizerStep(o, &s, p, g)
		}
		return p
	}
	for i, o := range []Optimizer{
		{Rate: 1e-3, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8},
		{Method: RMSProp, Rate: 1e-3, Decay: 0.99, Epsilon: 1e-8},
		{Method: Momentum, Rate: 1e-3},
	} {
		sameTensors(t, "defaults", after(Optimizer{Method: Method(i)}), after(o))
	}
	rms, velocity := Optimizer{Method: RMSProp}, Optimizer{Method: Momentum}
	for _, c := range [][2]Optimizer{
		{{}, {Rate: 2e-3}}, {{}, {Beta1: 0.8}}, {{}, {Beta2: 0.99}}, {{}, {Epsilon: 1e-7}}, {{}, {WeightDecay: 0.1}},
		{{}, rms}, {{}, velocity},
		{rms, {Method: RMSProp, Decay: 0.9}}, {rms, {Method: RMSProp, Momentum: 0.9}}, {rms, {Method: RMSProp, Epsilon: 1e-7}},
		{velocity, {Method: Momentum, Momentum: 0.9}}, {velocity, {Method: Momentum, ClipNorm: 1}},
	} {
		if reflect.DeepEqual(after(c[0]), after(c[1])) {
			t.Errorf("%+v and %+v give the same parameters", c[0], c[1])
		}
	}
}

func TestOptimizerValidate(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, o := range []Optimizer{
		{}, {Rate: 1e9, Beta1: 0.999999, WeightDecay: 10, ClipNorm: 1e300}, {Method: Momentum, Momentum: 0.99},
	} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, c := range []struct {
		field string
		o     Optimizer
	}{
		{"Method", Optimizer{Method: 3}},
		{"Rate", Optimizer{Rate: -1}}, {"Rate", Optimizer{Rate: nan}}, {"Rate", Optimizer{Rate: inf}},
		{"Beta1", Optimizer{Beta1: 1}}, {"Beta1", Optimizer{Beta1: nan}},
		{"Beta2", Optimizer{Beta2: -0.1}}, {"Beta2", Optimizer{Beta2: 1.5}},
		{"Epsilon", Optimizer{Epsilon: -1e-8}}, {"Epsilon", Optimizer{Epsilon: inf}},
		{"Decay", Optimizer{Decay: 1}}, {"Decay", Optimizer{Decay: nan}},
		{"Momentum", Optimizer{Momentum: -0.5}}, {"Momentum", Optimizer{Momentum: 1}},
		{"WeightDecay", Optimizer{WeightDecay: -1}}, {"WeightDecay", Optimizer{WeightDecay: nan}},
		{"ClipNorm", Optimizer{ClipNorm: -1}}, {"ClipNorm", Optimizer{ClipNorm: nan}},
	} {
		if err := c.o.Validate(); err == nil || !strings.Contains(err.Error(), c.field+" = ") {
			t.Errorf("%+v: error %v, want one that names %s", c.o, err, c.field)
		}
	}
}

func TestOptimizerJSONAndMethodNames(t *testing.T) {
	for _, c := range []struct {
		o    Optimizer
		text string
	}{
		{Optimizer{}, `{}`},
		{Optimizer{Method: RMSProp, Rate: 0.5, Beta1: 0.25, Beta2: 0.75, Epsilon: 1e-5, Decay: 0.9, Momentum: 0.125,
			WeightDecay: 2, ClipNorm: 3},
			`{"method":"rmsprop","rate":0.5,"beta1":0.25,"beta2":0.75,"epsilon":0.00001,"decay":0.9,"momentum":0.125,` +
				`"weight_decay":2,"clip_norm":3}`},
	} {
		text, err := json.Marshal(c.o)
		if err != nil || string(text) != c.text {
			t.Errorf("%+v marshals to %s, %v, want %s", c.o, text, err, c.text)
		}
		var back Optimizer
		if err := json.Unmarshal(text, &back); err != nil || back != c.o {
			t.Errorf("%s unmarshals to %+v, %v, want %+v", text, back, err, c.o)
		}
	}
	for m, name := range map[Method]string{Adam: "adam", RMSProp: "rmsprop", Momentum: "momentum"} {
		parsed, err := ParseMethod(strings.ToUpper(name))
		if m.String() != name || parsed != m || err != nil {
			t.Errorf("%v: String %q, parsed %v, %v", uint8(m), m.String(), parsed, err)
		}
	}
	known := `"adamw", want one of adam, rmsprop, momentum`
	if _, err := ParseMethod("adamw"); err == nil || !strings.Contains(err.Error(), known) {
		t.Errorf("error %v, want the name given and those known", err)
	}
	var o Optimizer
	if err := json.Unmarshal([]byte(`{"method":"adamw"}`), &o); err == nil {
		t.Error("an unknown method unmarshals")
	}
	if got := Method(9).String(); got != "Method(9)" {
		t.Errorf("unknown method prints %q", got)
	}
	if _, err := json.Marshal(Optimizer{Method: 9}); err == nil {
		t.Error("an unknown method marshals")
	}
}
