package emit

import (
	"errors"

	"github.com/godcem/godcem/engine/plan"
)

func (e *emitter) update(i int, s *plan.Update) ([]part, error) {
	return nil, errors.New("not emitted yet")
}
