package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestSoakLML runs the LML over GODCEM_SOAK random rows of both types: every family, scales 1e-30 to 1e30, offsets,
// -Inf mixed in, n to 500 and one row in 2000 with n = 1e5. It asks for sums within the budget, finite weights and
// gradients, and steps far from the limit. GODCEM_SEED is the rows' seed, by default the clock.
func TestSoakLML(t *testing.T) {
	rows, err := strconv.Atoi(os.Getenv("GODCEM_SOAK"))
	if err != nil {
		t.Skip("set GODCEM_SOAK to a number of rows (1000000 for the full soak)")
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("GODCEM_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("GODCEM_SEED is %q, want an integer, 0 or more", s)
		}
	}
	t.Logf("GODCEM_SEED=%d repeats these rows", seed)
	bothTypes(t, func(t *testing.T) { soakLML[float32](t, seed, rows/2) },
		func(t *testing.T) { soakLML[float64](t, seed, rows-rows/2) })
}

func soakLML[T Float](t *testing.T, seed uint64, rows int) {
	last := lmlLastStep64
	if isSingle[T]() {
		last = lmlLastStep32
	}
	rng := rand.New(rand.NewPCG(seed, 72))
	var steps [lmlStepLimit + 1]int
	worst := 0.0
	for row := range rows {
		n := 1 + rng.IntN(500)
		if rng.IntN(2000) == 0 {
			n = 100_000 - rng.IntN(1000)
		}
		fam := rowFamilies[rng.IntN(len(rowFamilies))]
		scale := math.Pow(10, 60*rng.Float64()-30)
		if rng.IntN(2) == 0 {
			scale = math.Pow(10, 6*rng.Float64()-3)
		}
		offset := 0.0
		if rng.IntN(4) == 0 {
			offset = math.Pow(10, 12*rng.Float64()) * rng.NormFloat64()
		}
		s := make([]float64, n)
		fam.fill(rng, s)
		x, g, used := make([]T, n), make([]T, n), make([]float64, 0, n)
		leaveOut := rng.IntN(4) == 0
		for i, v := range s {
			x[i] = T(max(-math.MaxFloat32, min(math.MaxFloat32, v*scale+offset)))
			g[i] = T(rng.NormFloat64())
			if leaveOut && rng.IntN(3) == 0 {
				x[i] = T(math.Inf(-1))
				continue
			}
			used = append(used, float64(x[i]))
		}
		if len(used) == 0 {
			continue
		}
		k := 1 + rng.IntN(len(used))
		if rng.IntN(4) == 0 {
			k = 1
		}
		if rng.IntN(20) == 0 && !leaveOut { // the start's worst case: all of the upper k but one far above
			for i := range k - 1 {
				x[i] = T(min(math.MaxFloat32, float64(x[i])+50*(1+math.Abs(scale))))
				used[i] = float64(x[i])
			}
		}
		where := fmt.Sprintf("row %d (%s, scale %g, offset %g, n %d, k %d)", row, fam.name, scale, offset, n, k)
		o := runRow(x, g, g, LML, 1, k)
		if o.status != RowOK || !(o.left <= sumBudget[T](k)) {
			t.Fatalf("%s: %v, |sum y - k| = %g", where, o.status, o.left)
		}
		worst = math.Max(worst, o.left/float64(k))
		for _, err := range []error{allFinite("y", o.y), allFinite("dx", o.dx), allFinite("dx2", o.dx2)} {
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
		}
		if k < len(used) {
			_, _, taken, _ := lmlSolve(used, k, last, lmlStepLimit)
			steps[taken]++
			if taken > lmlStepLimit/2 {
				t.Errorf("%s: %d steps, want at most half the limit", where, taken)
			}
		}
	}
	t.Logf("%d rows: largest |sum y - k| / k %.2g; rows by evaluations 0, 1, ...: %v", rows, worst, steps)
}
