package emit

import (
	"errors"

	"github.com/godcem/godcem/engine/plan"
)

func (e *emitter) dot(i int, s *plan.Dot) ([]part, error) { return nil, errors.New("not emitted yet") }
