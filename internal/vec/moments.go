package vec

// Weighted sums over samples, in float64. Of float32 they are plain: a product of two float32 is exact there, and
// what is rounded away of the sums is far below the last bit of a float32. Of float64 every addition's rounding error
// is added up beside it. Every sum is by a fixed sequence of IEEE operations, none fused but where the product is
// exact, so that the bits are the same with any instruction set.

// MomentLanes is the room that the sums of samples of one dimension take: that of the samples i, i+16, i+32 ...
const MomentLanes = 16

// momentKernels is what an instruction set has for an element type.
type momentKernels[T Float] struct {
	sums, squares         func(x, w, mu *T, n, d int, hi, lo *float64)
	lineSums, lineSquares func(x, w, mu *T, n int, hi, lo *float64)
}

var (
	momentGo32 = momentKernels[float32]{weightedGo[float32], squaresGo[float32], lineGo[float32], lineSquaresGo[float32]}
	momentGo64 = momentKernels[float64]{weightedGo[float64], squaresGo[float64], lineGo[float64], lineSquaresGo[float64]}
)

// WeightedSums sets hi[j] + lo[j] to sum_i w[i] x[i*d+j], j < d, over the n = len(w) samples whose weight is not 0.
// hi and lo have room for d numbers and MomentLanes at least; lo is the rounding errors' sum, NaN where hi is
// infinite.
func WeightedSums[T Float](hi, lo []float64, x, w []T, d int) {
	n := len(w)
	if !momentRoom(hi, lo, x, n, d) {
		return
	}
	k := of[T](&momentSets32[current], &momentSets64[current]).(*momentKernels[T])
	if d > 1 {
		k.sums(&x[0], &w[0], &x[0], n, d, &hi[0], &lo[0])
		return
	}
	k.lineSums(&x[0], &w[0], &x[0], n, &hi[0], &lo[0])
	foldMoments(hi, lo)
}

// WeightedSquares is WeightedSums of w[i] (x[i*d+j] - mu[j])^2.
func WeightedSquares[T Float](hi, lo []float64, x, w, mu []T) {
	n, d := len(w), len(mu)
	if !momentRoom(hi, lo, x, n, d) {
		return
	}
	k := of[T](&momentSets32[current], &momentSets64[current]).(*momentKernels[T])
	if d > 1 {
		k.squares(&x[0], &w[0], &mu[0], n, d, &hi[0], &lo[0])
		return
	}
	k.lineSquares(&x[0], &w[0], &mu[0], n, &hi[0], &lo[0])
	foldMoments(hi, lo)
}

// momentRoom clears the sums; without samples or dimensions they are what is asked for.
func momentRoom[T Float](hi, lo []float64, x []T, n, d int) bool {
	room := max(d, MomentLanes)
	clear(hi[:room])
	clear(lo[:room])
	if n == 0 || d == 0 {
		return false
	}
	_ = x[n*d-1]
	return true
}

// foldMoments adds the lanes, halves onto halves.
func foldMoments(hi, lo []float64) {
	hi, lo = hi[:MomentLanes], lo[:MomentLanes]
	for half := MomentLanes / 2; half > 0; half /= 2 {
		for i := range half {
			rest := lo[i] + lo[i+half]
			hi[i], lo[i] = twoSum(hi[i], rest, hi[i+half])
		}
	}
}

// twoSum adds v to hi + lo (Knuth's two-sum).
func twoSum(hi, lo, v float64) (float64, float64) {
	s := hi + v
	b := s - hi
	return s, lo + ((v - b) + (hi - (s - b)))
}

// addMoment adds v to a sum of T's.
func addMoment[T Float](hi, lo *float64, v float64) {
	if isSingle[T]() {
		*hi += v
		return
	}
	*hi, *lo = twoSum(*hi, *lo, v)
}

func isSingle[T Float]() bool {
	_, ok := any(T(0)).(float32)
	return ok
}

func weightedGo[T Float](x, w, _ *T, n, d int, hi, lo *float64) {
	xs, h, l := from(x, n*d), from(hi, d), from(lo, d)
	for i, wi := range from(w, n) {
		if wi == 0 {
			continue
		}
		for j, v := range xs[i*d:][:d] {
			addMoment[T](&h[j], &l[j], float64(float64(wi)*float64(v)))
		}
	}
}

func squaresGo[T Float](x, w, mu *T, n, d int, hi, lo *float64) {
	xs, centre, h, l := from(x, n*d), from(mu, d), from(hi, d), from(lo, d)
	for i, wi := range from(w, n) {
		if wi == 0 {
			continue
		}
		for j, v := range xs[i*d:][:d] {
			t := float64(v) - float64(centre[j])
			addMoment[T](&h[j], &l[j], float64(float64(wi)*float64(t*t)))
		}
	}
}

func lineGo[T Float](x, w, _ *T, n int, hi, lo *float64) {
	xs, h, l := from(x, n), from(hi, MomentLanes), from(lo, MomentLanes)
	for i, wi := range from(w, n) {
		if wi != 0 {
			addMoment[T](&h[i%MomentLanes], &l[i%MomentLanes], float64(float64(wi)*float64(xs[i])))
		}
	}
}

func lineSquaresGo[T Float](x, w, mu *T, n int, hi, lo *float64) {
	xs, h, l := from(x, n), from(hi, MomentLanes), from(lo, MomentLanes)
	for i, wi := range from(w, n) {
		if wi != 0 {
			t := float64(xs[i]) - float64(*mu)
			addMoment[T](&h[i%MomentLanes], &l[i%MomentLanes], float64(float64(wi)*float64(t*t)))
		}
	}
}
