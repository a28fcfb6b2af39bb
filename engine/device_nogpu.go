//go:build !gpu

package engine

import "errors"

// errNoCUDA is the error of a GPU's name in a program that knows none.
var errNoCUDA = errors.New("this program is built without the tag gpu: build it with it (`make gpu` does so for " +
	"godcem, see doc/gpu.md); `godcem doctor` says what the machine has")

func openCUDA(int) (Device, error) { return nil, errNoCUDA }

func describeCUDA(int) (Info, error) { return Info{}, errNoCUDA }

func countCUDA() int { return 0 }
