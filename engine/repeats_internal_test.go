package engine

import (
	"reflect"
	"testing"
)

func TestRepeats(t *testing.T) {
	for _, c := range []struct {
		name string
		ids  []int
		want []Repeat
	}{
		{"nothing", nil, nil},
		{"different", []int{1, 2, 3, 4}, nil},
		{"twice is chance", []int{1, 2, 1, 2}, nil},
		{"one kernel", []int{9, 1, 1, 1, 1, 8}, []Repeat{{First: 1, Length: 1, Times: 4}}},
		{"forward and backward", []int{0, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 7, 4, 5, 4, 5, 4, 5, 6}, []Repeat{
			{First: 1, Length: 3, Times: 3}, {First: 12, Length: 2, Times: 3}}},
		{"the host parts", []int{1, -2, 1, -4, 1, -6, 1}, nil},
	} {
		if got := repeats(c.ids); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
