package pass

import "testing"

// What each pass makes of small graphs, as text. Values are compared too.

func TestCanonicalise(t *testing.T) {
	const x = `%0 = input f64[2,3] "x"
		%1 = input f64[2,3] "y"
		`
	for _, c := range []struct{ before, after string }{
		{ // operands by number, repeated constants last
			`%2 = add f64[2,3] %1, %0
			%3 = sub f64[2,3] %1, %0
			%4 = const f64[] {2}
			%5 = broadcast f64[2,3] %4
			%6 = mul f64[2,3] %5, %2
			%7 = div f64[2,3] %5, %3
			outputs %6, %7`,
			`%2 = add f64[2,3] %0, %1
			%3 = sub f64[2,3] %1, %0
			%4 = const f64[] {2}
			%5 = broadcast f64[2,3] %4
			%6 = mul f64[2,3] %2, %5
			%7 = div f64[2,3] %5, %3
			outputs %6, %7`,
		},
		{ // chains of reshapes and transposes
			`%2 = reshape f64[6] %0
			%3 = reshape f64[3,2] %2
			%4 = reshape f64[2,3] %2
			%5 = transpose f64[2,3] %3 axes(1,0)
			%6 = transpose f64[3,2] %5 axes(1,0)
			%7 = reshape f64[1,2,3] %1
			%8 = transpose f64[2,1,3] %7 axes(1,0,2)
			%9 = transpose f64[2,3] %1 axes(0,1)
			outputs %6, %4, %8, %9`,
			`%2 = reshape f64[3,2] %0
			%3 = reshape f64[2,1,3] %1
			outputs %2, %0, %3, %1`,
		},
		{ // slices of slices, of broadcasts, of concats, of pads
			`%2 = concat f64[4,3] %0, %1 axes(0)
			%3 = slice f64[2,2] %2 start(2,1) step(1,1)
			%4 = slice f64[1,1] %3 start(1,1) step(5,5)
			%5 = slice f64[2,3] %2 start(1,0) step(1,1)
			%6 = slice f64[2,3] %5 start(0,0) step(1,1)
			%7 = pad f64[6,5] %0 start(1,1) step(3,1)
			%8 = slice f64[2,2] %7 start(1,2) step(3,1)
			%9 = slice f64[1,5] %7 start(5,0) step(1,1)
			outputs %4, %6, %8, %9`,
			`%2 = concat f64[4,3] %0, %1 axes(0)
			%3 = slice f64[1,1] %1 start(1,2) step(1,1)
			%4 = slice f64[2,3] %2 start(1,0) step(1,1)
			%5 = slice f64[2,2] %0 start(0,1) step(1,1)
			%6 = const f64[] {0}
			%7 = broadcast f64[1,5] %6
			outputs %3, %4, %5, %7`,
		},
		{ // slices of two concats, at the border of operands
			`%2 = concat f64[4,3] %0, %1 axes(0)
			%3 = concat f64[2,6] %0, %1 axes(1)
			%4 = slice f64[2,3] %2 start(1,0) step(1,1)
			%5 = slice f64[1,3] %2 start(2,0) step(1,1)
			%6 = slice f64[2,2] %3 start(0,3) step(1,1)
			%7 = slice f64[1,3] %2 start(1,0) step(1,1)
			outputs %4, %5, %6, %7`,
			`%2 = concat f64[4,3] %0, %1 axes(0)
			%3 = slice f64[2,3] %2 start(1,0) step(1,1)
			%4 = slice f64[1,3] %1 start(0,0) step(1,1)
			%5 = slice f64[2,2] %1 start(0,0) step(1,1)
			%6 = slice f64[1,3] %0 start(1,0) step(1,1)
			outputs %3, %4, %5, %6`,
		},
		{ // permutations that do not commute
			`%2 = input f64[2,3,5] "z"
			%3 = transpose f64[3,5,2] %2 axes(1,2,0)
			%4 = transpose f64[2,3,5] %3 axes(2,0,1)
			%5 = transpose f64[5,2,3] %3 axes(1,2,0)
			outputs %4, %5`,
			`%0 = input f64[2,3,5] "z"
			%1 = transpose f64[5,2,3] %0 axes(2,0,1)
			outputs %0, %1`,
		},
		{ // between the elements of a pad; beside each other, but not in line
			`%2 = pad f64[6,3] %0 start(0,0) step(3,1)
			%3 = slice f64[2,3] %2 start(1,0) step(1,1)
			%4 = slice f64[2,3] %2 start(0,0) step(2,1)
			%5 = slice f64[1,1] %0 start(0,0) step(1,1)
			%6 = slice f64[1,1] %0 start(1,1) step(1,1)
			%7 = concat f64[1,2] %5, %6 axes(1)
			%8 = pad f64[2,7] %0 start(0,0) step(1,3)
			%9 = slice f64[2,2] %8 start(0,1) step(1,3)
			outputs %3, %4, %7, %9`,
			`%0 = input f64[2,3] "x"
			%1 = pad f64[6,3] %0 start(0,0) step(3,1)
			%2 = slice f64[2,3] %1 start(1,0) step(1,1)
			%3 = slice f64[2,3] %1 start(0,0) step(2,1)
			%4 = slice f64[1,1] %0 start(0,0) step(1,1)
			%5 = slice f64[1,1] %0 start(1,1) step(1,1)
			%6 = concat f64[1,2] %4, %5 axes(1)
			%7 = pad f64[2,7] %0 start(0,0) step(1,3)
			%8 = slice f64[2,2] %7 start(0,1) step(1,3)
			outputs %2, %3, %6, %8`,
		},
		{ // concats of concats: over the same rows, but not where a slice or another use needs them
			`%2 = exp f64[2,3] %0
			%3 = exp f64[2,3] %1
			%4 = concat f64[2,6] %2, %3 axes(1)
			%5 = concat f64[2,9] %4, %0 axes(1)
			%6 = concat f64[4,3] %2, %3 axes(0)
			%7 = concat f64[6,3] %6, %0 axes(0)
			%8 = concat f64[4,3] %0, %3 axes(0)
			%9 = reshape f64[2,6] %8
			%10 = concat f64[2,12] %9, %4 axes(1)
			%11 = concat f64[2,6] %3, %2 axes(1)
			%12 = concat f64[2,12] %11, %11 axes(1)
			%13 = concat f64[2,6] %1, %2 axes(1)
			%14 = concat f64[2,9] %13, %0 axes(1)
			%15 = slice f64[2,2] %14 start(0,5) step(1,1)
			outputs %5, %7, %10, %12, %14, %15`,
			`%2 = exp f64[2,3] %0
			%3 = exp f64[2,3] %1
			%4 = concat f64[2,6] %2, %3 axes(1)
			%5 = concat f64[2,9] %4, %0 axes(1)
			%6 = concat f64[6,3] %2, %3, %0 axes(0)
			%7 = concat f64[4,3] %0, %3 axes(0)
			%8 = reshape f64[2,6] %7
			%9 = concat f64[2,12] %8, %4 axes(1)
			%10 = concat f64[2,6] %3, %2 axes(1)
			%11 = concat f64[2,12] %10, %10 axes(1)
			%12 = concat f64[2,6] %1, %2 axes(1)
			%13 = concat f64[2,9] %12, %0 axes(1)
			%14 = slice f64[2,2] %13 start(0,5) step(1,1)
			outputs %5, %6, %9, %11, %13, %14`,
		},
		{ // a concat of reshaped concats over the same rows
			`%2 = exp f64[2,3] %0
			%3 = exp f64[2,3] %1
			%4 = concat f64[2,6] %2, %3 axes(1)
			%5 = reshape f64[2,2,3] %4
			%6 = reshape f64[2,1,3] %0
			%7 = concat f64[2,3,3] %5, %6 axes(1)
			outputs %7`,
			`%2 = exp f64[2,3] %0
			%3 = exp f64[2,3] %1
			%4 = concat f64[2,9] %2, %3, %0 axes(1)
			%5 = reshape f64[2,3,3] %4
			outputs %5`,
		},
		{ // concat of what has been sliced apart
			`%2 = slice f64[2,1] %0 start(0,0) step(1,1)
			%3 = slice f64[2,1] %0 start(0,1) step(1,1)
			%4 = slice f64[2,1] %0 start(0,2) step(1,1)
			%5 = slice f64[2,0] %1 start(0,0) step(1,1)
			%6 = concat f64[2,3] %2, %3, %5, %4 axes(1)
			%7 = concat f64[2,3] %2, %4, %3 axes(1)
			%8 = concat f64[2,3] %1 axes(0)
			outputs %6, %7, %8`,
			`%2 = slice f64[2,1] %0 start(0,0) step(1,1)
			%3 = slice f64[2,1] %0 start(0,1) step(1,1)
			%4 = slice f64[2,1] %0 start(0,2) step(1,1)
			%5 = concat f64[2,3] %2, %4, %3 axes(1)
			outputs %0, %5, %1`,
		},
		{ // arithmetic on repeated values
			`%2 = slice f64[2,1] %0 start(0,0) step(1,1)
			%3 = slice f64[1,3] %1 start(0,0) step(1,1)
			%4 = broadcast f64[2,3] %2
			%5 = broadcast f64[2,3] %3
			%6 = mul f64[2,3] %4, %5
			%7 = const f64[] {3}
			%8 = broadcast f64[2,3] %7
			%9 = mul f64[2,3] %4, %8
			%10 = tanh f64[2,3] %9
			%11 = add f64[2,3] %8, %8
			outputs %6, %10, %11`,
			`%2 = slice f64[2,1] %0 start(0,0) step(1,1)
			%3 = slice f64[1,3] %1 start(0,0) step(1,1)
			%4 = broadcast f64[2,3] %2
			%5 = broadcast f64[2,3] %3
			%6 = mul f64[2,3] %4, %5
			%7 = const f64[] {3}
			%8 = broadcast f64[2,1] %7
			%9 = mul f64[2,1] %2, %8
			%10 = tanh f64[2,1] %9
			%11 = broadcast f64[2,3] %10
			%12 = add f64[] %7, %7
			%13 = broadcast f64[2,3] %12
			outputs %6, %11, %13`,
		},
		{ // repeated values stay so when they move; a constant of one value is one
			`%2 = const f64[2,3] {5, 5, 5, 5, 5, 5}
			%3 = transpose f64[3,2] %2 axes(1,0)
			%4 = const f64[2] {0, -0}
			%5 = reshape f64[2,1] %4
			%6 = broadcast f64[2,3] %5
			%7 = transpose f64[3,2] %6 axes(1,0)
			%8 = slice f64[3,1] %7 start(0,1) step(1,1)
			outputs %3, %8`,
			`%0 = const f64[] {5}
			%1 = broadcast f64[3,2] %0
			%2 = const f64[2] {0, -0}
			%3 = reshape f64[1,2] %2
			%4 = slice f64[1,1] %3 start(0,1) step(1,1)
			%5 = reshape f64[] %4
			%6 = broadcast f64[3,1] %5
			outputs %1, %6`,
		},
		{ // noise depends on the place: it is not drawn before it is repeated, nor moved
			`%2 = input i64[] "run" runnumber
			%3 = normal f64[3,2] %2 seed(1) draw(2)
			%4 = transpose f64[2,3] %3 axes(1,0)
			outputs %4`,
			`%0 = input i64[] "run" runnumber
			%1 = normal f64[3,2] %0 seed(1) draw(2)
			%2 = transpose f64[2,3] %1 axes(1,0)
			outputs %2`,
		},
		{ // pads of pads; a pad of zeros
			`%2 = pad f64[4,3] %0 start(1,0) step(2,1)
			%3 = pad f64[11,3] %2 start(1,0) step(3,1)
			%4 = const f64[] {0}
			%5 = broadcast f64[2,3] %4
			%6 = pad f64[11,3] %5 start(1,0) step(1,1)
			outputs %3, %6`,
			`%0 = input f64[2,3] "x"
			%1 = pad f64[11,3] %0 start(4,0) step(6,1)
			%2 = const f64[] {0}
			%3 = broadcast f64[11,3] %2
			outputs %1, %3`,
		},
		{ // nothing to gain: arrays without elements
			`%2 = slice f64[0,3] %0 start(7,0) step(1,1)
			%3 = slice f64[0,3] %2 start(9,0) step(1,1)
			%4 = pad f64[2,3] %3 start(5,0) step(1,1)
			outputs %4`,
			`%0 = input f64[2,3] "x"
			%1 = slice f64[0,3] %0 start(7,0) step(1,1)
			%2 = pad f64[2,3] %1 start(5,0) step(1,1)
			outputs %2`,
		},
	} {
		after := c.after
		if after[:2] != "%0" {
			after = x + after
		}
		becomes(t, "canonicalise", x+c.before, after)
	}
}

func TestFold(t *testing.T) {
	for _, c := range []struct{ before, after string }{
		{ // float32 rounds after each operation: 1/3, and cube by two products
			`%0 = const f32[2] {1, 1.1}
			%1 = const f32[] {3}
			%2 = broadcast f32[2] %1
			%3 = div f32[2] %0, %2
			%4 = cube f32[2] %0
			%5 = invsqrt f32[2] %0
			outputs %3, %4, %5`,
			`%0 = const f32[2] {0.33333334, 0.36666667}
			%1 = const f32[2] {1, 1.3310001}
			%2 = const f32[2] {1, 0.9534626}
			outputs %0, %1, %2`,
		},
		{ // moved constants of any type
			`%0 = const bool[2,2] {true, true, false, true}
			%1 = transpose bool[2,2] %0 axes(1,0)
			%2 = const i64[1,2] {9223372036854775807, -1}
			%3 = pad i64[2,3] %2 start(0,0) step(1,2)
			%4 = slice i64[1,2] %3 start(0,1) step(1,1)
			%5 = concat i64[1,4] %2, %4 axes(1)
			%6 = const f64[2] {NaN:7ff8000000000007, -0}
			%7 = reshape f64[2,1] %6
			outputs %1, %3, %5, %7`,
			`%0 = const bool[2,2] {true, false, true, true}
			%1 = const i64[2,3] {9223372036854775807, 0, -1, 0, 0, 0}
			%2 = const i64[1,4] {9223372036854775807, -1, 0, -1}
			%3 = const f64[2,1] {NaN:7ff8000000000007, -0}
			outputs %0, %1, %2, %3`,
		},
		{ // comparisons, choices, conversions; not where machines differ
			`%0 = const f64[3] {1, NaN, -3.7}
			%1 = const f64[3] {1, 2, 3}
			%2 = le bool[3] %0, %1
			%3 = where f64[3] %2, %0, %1
			%4 = cast i64[3] %1
			%5 = cast bool[3] %0
			%6 = cast i64[3] %0
			%7 = const i64[1] {9223372036854775807}
			%8 = cast f64[1] %7
			outputs %3, %4, %5, %6, %8`,
			`%0 = const f64[3] {1, NaN, -3.7}
			%1 = const f64[3] {1, 2, -3.7}
			%2 = const i64[3] {1, 2, 3}
			%3 = const bool[3] {true, true, true}
			%4 = cast i64[3] %0
			%5 = const i64[1] {9223372036854775807}
			%6 = cast f64[1] %5
			outputs %1, %2, %3, %4, %6`,
		},
		{ // extremes, and sums that are exact in any order
			`%0 = const f64[2,3] {1, 2, 3, -0, 5, 6}
			%1 = maxof f64[2] %0 axes(1)
			%2 = sum f64[3] %0 axes(0)
			%3 = const f32[] {1}
			%4 = broadcast f32[100,2] %3
			%5 = sum f32[2] %4 axes(0)
			%6 = const f32[2] {0.5, 1}
			%7 = sum f32[] %6 axes(0)
			%8 = const f32[2] {1.6777216e+07, 1}
			%9 = sum f32[] %8 axes(0)
			outputs %1, %2, %5, %7, %9`,
			`%0 = const f64[2,3] {1, 2, 3, -0, 5, 6}
			%1 = const f64[2] {3, 6}
			%2 = sum f64[3] %0 axes(0)
			%3 = const f32[2] {100, 100}
			%4 = const f32[2] {0.5, 1}
			%5 = sum f32[] %4 axes(0)
			%6 = const f32[2] {1.6777216e+07, 1}
			%7 = sum f32[] %6 axes(0)
			outputs %1, %2, %3, %5, %7`,
		},
		{ // never kernels, noise, nor more than 1024 elements
			`%0 = const i64[] {1}
			%1 = normal f64[2] %0 seed(0) draw(0)
			%2 = const f64[1,1025] splat(1)
			%3 = neg f64[1,1025] %2
			%4 = reshape f64[1025] %2
			outputs %1, %3, %4`,
			`%0 = const i64[] {1}
			%1 = normal f64[2] %0 seed(0) draw(0)
			%2 = const f64[1,1025] splat(1)
			%3 = neg f64[1,1025] %2
			%4 = const f64[1025] splat(1)
			outputs %1, %3, %4`,
		},
	} {
		becomes(t, "fold", c.before, c.after)
	}
}

func TestDots(t *testing.T) {
	const head = `%0 = input f64[2,3] "x"
		%1 = input f64[4,2,3] "b"
		%2 = input f64[3,5] "w"
		`
	for _, c := range []struct {
		before, after string
		tol           float64
	}{
		{ // transposes become flags, of operands and of the result
			`%3 = transpose f64[3,2] %0 axes(1,0)
			%4 = dot f64[2,2] %0, %3
			%5 = dot f64[3,3] %3, %0
			%6 = dot f64[2,5] %0, %2
			%7 = transpose f64[5,2] %6 axes(1,0)
			outputs %4, %5, %7`,
			`%0 = input f64[2,3] "x"
			%1 = input f64[3,5] "w"
			%2 = dot f64[2,2] %0, %0 trans(b)
			%3 = dot f64[3,3] %0, %0 trans(a)
			%4 = dot f64[5,2] %1, %0 trans(a,b)
			outputs %2, %3, %4`,
			0,
		},
		{ // not where the product is wanted as it is, nor for other transposes
			`%3 = dot f64[2,5] %0, %2
			%4 = transpose f64[5,2] %3 axes(1,0)
			%5 = transpose f64[2,4,3] %1 axes(1,0,2)
			%6 = dot f64[2,4,4] %5, %5 trans(b)
			outputs %3, %4, %6`,
			`%0 = input f64[2,3] "x"
			%1 = input f64[4,2,3] "b"
			%2 = input f64[3,5] "w"
			%3 = dot f64[2,5] %0, %2
			%4 = transpose f64[5,2] %3 axes(1,0)
			%5 = transpose f64[2,4,3] %1 axes(1,0,2)
			%6 = dot f64[2,4,4] %5, %5 trans(b)
			outputs %3, %4, %6`,
			0,
		},
		{ // a batch that shares its matrix
			`%3 = reshape f64[1,3,5] %2
			%4 = broadcast f64[4,3,5] %3
			%5 = dot f64[4,2,5] %1, %4
			outputs %5`,
			`%0 = input f64[4,2,3] "b"
			%1 = input f64[3,5] "w"
			%2 = reshape f64[8,3] %0
			%3 = dot f64[8,5] %2, %1
			%4 = reshape f64[4,2,5] %3
			outputs %4`,
			0,
		},
		{ // the gradient of the shared matrix
			`%3 = tanh f64[4,2,3] %1
			%4 = dot f64[4,3,3] %1, %3 trans(a)
			%5 = sum f64[3,3] %4 axes(0)
			outputs %5`,
			`%0 = input f64[4,2,3] "b"
			%1 = tanh f64[4,2,3] %0
			%2 = reshape f64[8,3] %0
			%3 = reshape f64[8,3] %1
			%4 = dot f64[3,3] %2, %3 trans(a)
			outputs %4`,
			1e-14, // four sums of two products of at most 4, then their sum, became one of eight: 8 roundings of 32
		},
		{ // no sum over the batch where the products are wanted, or are not contracted over rows; no batch of columns
			`%3 = dot f64[4,3,3] %1, %1 trans(a)
			%4 = sum f64[3,3] %3 axes(0)
			%5 = dot f64[4,2,2] %1, %1 trans(b)
			%6 = sum f64[2,2] %5 axes(0)
			%7 = reshape f64[1,2,3] %0
			%8 = broadcast f64[4,2,3] %7
			%9 = dot f64[4,3,3] %1, %8 trans(a)
			%10 = transpose f64[4,3,2] %1 axes(0,2,1)
			%11 = tanh f64[4,3,2] %10
			%12 = dot f64[4,3,3] %11, %11 trans(b)
			%13 = sum f64[3,3] %12 axes(0)
			outputs %3, %4, %6, %9, %13`,
			`%0 = input f64[2,3] "x"
			%1 = input f64[4,2,3] "b"
			%2 = dot f64[4,3,3] %1, %1 trans(a)
			%3 = sum f64[3,3] %2 axes(0)
			%4 = dot f64[4,2,2] %1, %1 trans(b)
			%5 = sum f64[2,2] %4 axes(0)
			%6 = reshape f64[1,2,3] %0
			%7 = broadcast f64[4,2,3] %6
			%8 = dot f64[4,3,3] %1, %7 trans(a)
			%9 = transpose f64[4,3,2] %1 axes(0,2,1)
			%10 = tanh f64[4,3,2] %9
			%11 = dot f64[4,3,3] %10, %10 trans(b)
			%12 = sum f64[3,3] %11 axes(0)
			outputs %2, %3, %5, %8, %12`,
			0,
		},
		{ // a square batch: only the flags say over what is summed
			`%3 = input f64[4,3,3] "q"
			%4 = dot f64[4,3,3] %3, %3 trans(a,b)
			%5 = sum f64[3,3] %4 axes(0)
			outputs %5`,
			`%0 = input f64[4,3,3] "q"
			%1 = dot f64[4,3,3] %0, %0 trans(a,b)
			%2 = sum f64[3,3] %1 axes(0)
			outputs %2`,
			0,
		},
		{ // a batch of one
			`%3 = reshape f64[1,2,3] %0
			%4 = reshape f64[1,3,5] %2
			%5 = dot f64[1,2,5] %3, %4
			outputs %5`,
			`%0 = input f64[2,3] "x"
			%1 = input f64[3,5] "w"
			%2 = dot f64[2,5] %0, %1
			%3 = reshape f64[1,2,5] %2
			outputs %3`,
			0,
		},
	} {
		becomesWithin(t, "dot", head+c.before, c.after, c.tol)
	}
}

func TestCSE(t *testing.T) {
	becomes(t, "cse", `
		%0 = input f64[2] "x"
		%1 = input f64[2] "x"
		%2 = input i64[] "run" runnumber
		%3 = const f64[2] {0, NaN}
		%4 = const f64[2] {-0, NaN}
		%5 = const f64[2] {0, NaN}
		%6 = const f32[2] {0, NaN}
		%7 = add f64[2] %0, %3
		%8 = add f64[2] %0, %5
		%9 = add f64[2] %0, %4
		%10 = normal f64[2] %2 seed(1) draw(1)
		%11 = normal f64[2] %2 seed(1) draw(1)
		%12 = normal f64[2] %2 seed(1) draw(2)
		%13 = uniform f64[2] %2 seed(1) draw(1)
		%14 = mul f64[2] %8, %11
		%15 = mul f64[2] %7, %10
		%16 = reshape f64[1,2] %15
		%17 = reshape f64[2,1] %15
		%18 = slice f64[1] %14 start(0) step(1)
		%19 = slice f64[1] %15 start(1) step(1)
		outputs %14, %15, %0, %1, %9, %12, %13, %16, %17, %18, %19, %6`, `
		%0 = input f64[2] "x"
		%1 = input f64[2] "x"
		%2 = input i64[] "run" runnumber
		%3 = const f64[2] {0, NaN}
		%4 = const f64[2] {-0, NaN}
		%5 = const f32[2] {0, NaN}
		%6 = add f64[2] %0, %3
		%7 = add f64[2] %0, %4
		%8 = normal f64[2] %2 seed(1) draw(1)
		%9 = normal f64[2] %2 seed(1) draw(2)
		%10 = uniform f64[2] %2 seed(1) draw(1)
		%11 = mul f64[2] %6, %8
		%12 = reshape f64[1,2] %11
		%13 = reshape f64[2,1] %11
		%14 = slice f64[1] %11 start(0) step(1)
		%15 = slice f64[1] %11 start(1) step(1)
		outputs %11, %11, %0, %1, %7, %9, %10, %12, %13, %14, %15, %5`)
}

func TestDead(t *testing.T) {
	becomes(t, "", `
		%0 = input f64[] "unused"
		%1 = input f64[] "w" resident
		%2 = neg f64[] %0
		%3 = neg f64[] %1
		%4 = abs f64[] %3
		%5 = exp f64[] %1
		outputs %5, %5
		update params(%1) grads(%3) loss(%5) "sgd"`, `
		%0 = input f64[] "w" resident
		%1 = neg f64[] %0
		%2 = exp f64[] %0
		outputs %2, %2
		update params(%0) grads(%1) loss(%2) "sgd"`)
}
