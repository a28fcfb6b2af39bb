package kernels

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/godcem/godcem/internal/vec"
)

// A Method is an optimiser's update rule.
type Method uint8

// The update rules, as PyTorch defines them.
const (
	Adam     Method = iota // torch.optim.Adam
	RMSProp                // torch.optim.RMSprop, not centred
	Momentum               // torch.optim.SGD; without Momentum it is plain gradient descent
)

var methodNames = [...]string{Adam: "adam", RMSProp: "rmsprop", Momentum: "momentum"}

// String returns the method's name in lower case.
func (m Method) String() string {
	if int(m) < len(methodNames) {
		return methodNames[m]
	}
	return fmt.Sprintf("Method(%d)", uint8(m))
}

// ParseMethod is the inverse of String; letter case does not matter.
func ParseMethod(name string) (Method, error) {
	for m, s := range methodNames {
		if strings.EqualFold(s, name) {
			return Method(m), nil
		}
	}
	return 0, fmt.Errorf("kernels: unknown optimiser %q, want one of %s", name, strings.Join(methodNames[:], ", "))
}

// MarshalText implements encoding.TextMarshaler.
func (m Method) MarshalText() ([]byte, error) {
	if int(m) >= len(methodNames) {
		return nil, fmt.Errorf("kernels: unknown optimiser %v", m)
	}
	return []byte(m.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Method) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMethod(string(text))
	return err
}

// An Optimizer is the configuration of an update rule. The zero value is Adam as in PyTorch. In the equations g is the
// gradient after clipping, with WeightDecay*p added to it; Adam is doc/equations.md (12).
//
//	Adam:     m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  p -= Rate/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + Epsilon)
//	RMSProp:  v = Decay v + (1-Decay) g^2;  buf = Momentum buf + g/(sqrt(v) + Epsilon);  p -= Rate buf
//	Momentum: buf = Momentum buf + g (buf = g in the first step);  p -= Rate buf
//
// where no buf is kept while Momentum is 0.
type Optimizer struct {
	Method      Method  `json:"method,omitempty"`
	Rate        float64 `json:"rate,omitempty"`         // learning rate; 0: 1e-3
	Beta1       float64 `json:"beta1,omitempty"`        // Adam, in [0,1); 0: 0.9
	Beta2       float64 `json:"beta2,omitempty"`        // Adam, in [0,1); 0: 0.999
	Epsilon     float64 `json:"epsilon,omitempty"`      // Adam and RMSProp; 0: 1e-8
	Decay       float64 `json:"decay,omitempty"`        // RMSProp (PyTorch's alpha), in [0,1); 0: 0.99
	Momentum    float64 `json:"momentum,omitempty"`     // RMSProp and Momentum, in [0,1); 0: none
	WeightDecay float64 `json:"weight_decay,omitempty"` // adds WeightDecay*p to the gradient, after clipping
	ClipNorm    float64 `json:"clip_norm,omitempty"`    // bound of the norm of all gradients together; 0: none
}

// Validate returns an error that names the first field out of its range.
func (o Optimizer) Validate() error {
	if int(o.Method) >= len(methodNames) {
		return fmt.Errorf("kernels: Optimizer: Method = %d, want one of %s", o.Method, strings.Join(methodNames[:], ", "))
	}
	for _, f := range [...]struct {
		name  string
		value float64
	}{{"Rate", o.Rate}, {"Epsilon", o.Epsilon}, {"WeightDecay", o.WeightDecay}, {"ClipNorm", o.ClipNorm}} {
		if !(f.value >= 0 && f.value <= math.MaxFloat64) {
			return fmt.Errorf("kernels: Optimizer: %s = %v, want a finite number >= 0", f.name, f.value)
		}
	}
	for _, f := range [...]struct {
		name  string
		value float64
	}{{"Beta1", o.Beta1}, {"Beta2", o.Beta2}, {"Decay", o.Decay}, {"Momentum", o.Momentum}} {
		if !(f.value >= 0 && f.value < 1) {
			return fmt.Errorf("kernels: Optimizer: %s = %v, want it in [0, 1)", f.name, f.value)
		}
	}
	return nil
}

// WithDefaults returns o with the defaults in place of zeros.
func (o Optimizer) WithDefaults() Optimizer {
	for _, f := range [...]struct {
		field *float64
		value float64
	}{{&o.Rate, 1e-3}, {&o.Beta1, 0.9}, {&o.Beta2, 0.999}, {&o.Epsilon, 1e-8}, {&o.Decay, 0.99}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return o
}

// OptimizerState is what a rule remembers between steps; the zero value starts it. The arrays have the parameters'
// shapes and are made in the first step that needs them. A copy of a state (its arrays copied too) continues bit for
// bit.
type OptimizerState[T Float] struct {
	Steps uint64 `json:"steps"`         // steps taken, without the skipped ones
	M     [][]T  `json:"m,omitempty"`   // Adam: mean of the gradients
	V     [][]T  `json:"v,omitempty"`   // Adam and RMSProp: mean of their squares
	Buf   [][]T  `json:"buf,omitempty"` // RMSProp and Momentum, with Momentum: the velocity
}

// Clone returns a copy that shares no memory with s.
func (s OptimizerState[T]) Clone() OptimizerState[T] {
	for _, arrays := range []*[][]T{&s.M, &s.V, &s.Buf} {
		*arrays = slices.Clone(*arrays)
		for i, a := range *arrays {
			(*arrays)[i] = slices.Clone(a)
		}
	}
	return s
}

// StepInfo says what a step did.
type StepInfo struct {
	GradNorm float64 // 2-norm of all gradients together, before clipping; Inf or NaN if it has no finite value
	Clipped  bool    // the gradients were scaled down to ClipNorm
	Skipped  bool    // GradNorm is not finite: parameters and state are as they were
}

// OptimizerStep moves the parameters by one step of o. grads[i] belongs to params[i] and is only read. The factor of
// clipping is min(1, ClipNorm/(GradNorm + 1e-6)), doc/equations.md (13), as in torch.nn.utils.clip_grad_norm_. The
// norm is taken in float64 and is infinite only if it exceeds float64's range; the update is computed in T in
// PyTorch's order of operations, every operation rounded. A state that took steps must hold the arrays that o needs:
// one of another rule or of other parameters panics, as do an invalid o and lengths that differ.
func OptimizerStep[T Float](o Optimizer, s *OptimizerState[T], params, grads [][]T) StepInfo {
	if err := o.Validate(); err != nil {
		panic(err.Error())
	}
	o = o.WithDefaults()
	needLen("OptimizerStep", "grads", len(grads), len(params), "len(params)")
	for i, p := range params {
		if len(grads[i]) != len(p) {
			panic(fmt.Sprintf("kernels: OptimizerStep: len(grads[%d]) = %d, want len(params[%d]) = %d",
				i, len(grads[i]), i, len(p)))
		}
	}
	needsM, needsV := o.Method == Adam, o.Method != Momentum
	needsBuf := o.Method != Adam && o.Momentum != 0
	checkMoments("M", s.M, params, needsM, s.Steps)
	checkMoments("V", s.V, params, needsV, s.Steps)
	checkMoments("Buf", s.Buf, params, needsBuf, s.Steps)

	info := StepInfo{GradNorm: gradNorm(grads)}
	if !(info.GradNorm <= math.MaxFloat64) {
		info.Skipped = true
		return info
	}
	factor := 1.0
	if o.ClipNorm != 0 {
		factor = min(1, o.ClipNorm/(info.GradNorm+1e-6))
		info.Clipped = factor < 1
	}
	makeMoments(&s.M, params, needsM)
	makeMoments(&s.V, params, needsV)
	makeMoments(&s.Buf, params, needsBuf)
	s.Steps++

	j := fromPool[T, updateJob[T]](&updateJobs)
	for i, p := range params {
		j.configure(o, s.Steps, factor)
		j.p, j.g = p, grads[i]
		if needsM {
			j.m = s.M[i]
		}
		if needsV {
			j.v = s.V[i]
		}
		if needsBuf {
			j.buf = s.Buf[i]
		}
		vec.Parallel(len(p), 4096, j)
	}
	*j = updateJob[T]{}
	poolOf[T](&updateJobs).Put(j)
	return info
}

// checkMoments panics unless the arrays fit the parameters, or there are none and no step has needed them yet.
func checkMoments[T Float](name string, arrays, params [][]T, needed bool, steps uint64) {
	if !needed || len(arrays) == 0 && steps == 0 {
		return
	}
	if len(arrays) != len(params) {
		panic(fmt.Sprintf("kernels: OptimizerStep: the state after %d steps has len(%s) = %d, want len(params) = %d",
			steps, name, len(arrays), len(params)))
	}
	for i, p := range params {
		if len(arrays[i]) != len(p) {
			panic(fmt.Sprintf("kernels: OptimizerStep: the state has len(%s[%d]) = %d, want len(params[%d]) = %d",
				name, i, len(arrays[i]), i, len(p)))
		}
	}
}

func makeMoments[T Float](arrays *[][]T, params [][]T, needed bool) {
	if !needed || len(*arrays) == len(params) {
		return
	}
	*arrays = make([][]T, len(params))
	for i, p := range params {
		(*arrays)[i] = make([]T, len(p))
	}
}
