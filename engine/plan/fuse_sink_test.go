package plan_test

import (
	"testing"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// Node 4 is needed in part by one loop, and by another that comes to need it when loops are merged: it must be stored
// whole, by a loop over all of its elements.
func TestAPartThatIsNeededTwiceIsStoredWhole(t *testing.T) {
	g, err := ir.Parse(`%0 = input f32[5,2] "x1"
%1 = maxof f32[5] %0 axes(1)
%2 = floor f32[5] %1
%3 = ne f32[5] %2, %2
%4 = add f32[5] %3, %2
%5 = input f32[3,3,3] "x3"
%6 = input f32[2] "c"
%7 = slice f32[2] %4 start(1) step(1)
%8 = sub f32[2] %6, %7
%9 = maxof f32[3,3] %5 axes(2)
%10 = minof f32[] %8 axes(0)
%11 = minof f32[3] %9 axes(0)
%12 = broadcast f32[3] %10
%13 = div f32[3] %12, %12
%14 = pad f32[6] %11 start(0) step(2)
%15 = sqrt f32[6] %14
%16 = le f32[2] %7, %6
%17 = slice f32[2] %15 start(0) step(1)
%18 = min f32[2] %16, %17
%19 = slice f32[2] %13 start(0) step(1)
%20 = gt bool[2] %16, %19
outputs %18, %20
`)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.New(g, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(); err != nil {
		t.Error(err)
	}
}
