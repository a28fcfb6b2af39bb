package run

import (
	"fmt"
	"slices"
	"strings"
)

// Within returns an error if a number of a configuration, under the name that it has there, is not from low to high; NaN
// is not. Configurations join theirs by cmp.Or, which gives the first.
func Within[T int | float64](name string, value, low, high T) error {
	if value >= low && value <= high {
		return nil
	}
	form := "%s is %d, want %d to %d"
	if _, real := any(value).(float64); real {
		form = "%s is %v, want %g to %g"
	}
	return fmt.Errorf(form, name, value, low, high)
}

// OneOf returns an error if the value of that name is none of those named.
func OneOf(name, value string, of []string) error {
	if !slices.Contains(of, value) {
		return fmt.Errorf("%s is %q, want one of %s", name, value, strings.Join(of, ", "))
	}
	return nil
}
