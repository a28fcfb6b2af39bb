package emit

import (
	"errors"

	"github.com/godcem/godcem/engine/plan"
)

func (e *emitter) loop(i int, s *plan.Loop) ([]part, error) {
	return nil, errors.New("not emitted yet")
}
