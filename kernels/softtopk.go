package kernels

import (
	"fmt"
	"math"
	"strings"
	"sync"
)

// Relaxation is a soft top-k: the weights y of a row of scores x, the unique
//
//	y = argmin -(scale x)'y - H(y)  over  0 <= y <= 1, sum y = k
//
// for one of three H. By its optimality conditions each is one increasing map applied to every entry with one shift per
// row that makes the sum k:
//
//	y = phi(z),  z = (scale*x - p) + delta
//
// The weights are monotone in the scores to the last bit: of two scores in a row the larger has no smaller weight (at
// scale > 0), and equal ones have equal weights. Only the search for the shift differs. p (a score near the threshold, in
// units of scale*x) keeps the digits that scale*x + nu would lose at a large common offset.
type Relaxation uint8

// The relaxations.
const (
	// LML: H = binary entropy, phi = logistic function s, 0 < y < 1 (lml.go); doc/equations.md (3).
	LML Relaxation = iota
	// ConstrainedSoftmax: H = -sum y log y, phi = min(1, e^z), 0 < y <= 1; k = 1 is the softmax (csoftmax.go);
	// doc/equations.md (3s).
	ConstrainedSoftmax
	// ConstrainedSparsemax: H = -|y|^2/2, phi = clip(z, 0, 1), exact zeros and ones: the projection of scale*x
	// (csparsemax.go); doc/equations.md (3p).
	ConstrainedSparsemax
)

// softLink is what differs between the relaxations. The functions work on tiles; phi's z may be -Inf (weight 0) but not
// NaN.
type softLink struct {
	name string
	// solve finds p and delta of a row of more than k finite scores a, which it overwrites; ok is false past the step
	// limit.
	solve func(a []float64, k int, single bool) (p, delta float64, ok bool)
	phi   func(y, z []float64)
	slope func(h, z []float64, shift float64) // phi'(z) e^shift
	curve func(c, z []float64)                // second over first derivative of phi
	tails bool                                // phi' may underflow in a whole row
}

var softLinks = [...]softLink{
	LML:                  {"lml", lmlSolveRow, lmlPhi, lmlSlope, lmlCurve, true},
	ConstrainedSoftmax:   {"csoftmax", csoftmaxSolve, csoftmaxPhi, csoftmaxSlope, csoftmaxCurve, false},
	ConstrainedSparsemax: {"csparsemax", csparsemaxSolve, csparsemaxPhi, csparsemaxSlope, csparsemaxCurve, false},
}

// String returns the name that ParseRelaxation takes: lml, csoftmax or csparsemax.
func (r Relaxation) String() string {
	if int(r) < len(softLinks) {
		return softLinks[r].name
	}
	return fmt.Sprintf("Relaxation(%d)", uint8(r))
}

// ParseRelaxation returns the relaxation of that name (case does not matter).
func ParseRelaxation(name string) (Relaxation, error) {
	for r, l := range softLinks {
		if strings.EqualFold(name, l.name) {
			return Relaxation(r), nil
		}
	}
	return 0, fmt.Errorf("relaxation %q: want lml, csoftmax or csparsemax", name)
}

// RowStatus is what the mathematics did to a row.
type RowStatus uint8

// The states of a row. All but RowOK mean that the row's result is 0 and so is its gradient.
const (
	RowOK        RowStatus = iota
	RowNonFinite           // NaN or +Inf in scale*x
	RowTooFew              // fewer than k entries above -Inf (top-k: fewer than k finite ones)
	RowStepLimit           // the solver reached its step limit; no input is known to do this
)

// String describes the status.
func (s RowStatus) String() string {
	switch s {
	case RowOK:
		return "ok"
	case RowNonFinite:
		return "NaN or +Inf"
	case RowTooFew:
		return "fewer than k usable entries"
	case RowStepLimit:
		return "step limit"
	}
	return fmt.Sprintf("RowStatus(%d)", uint8(s))
}

// SoftTopKSolve finds the threshold in doc/equations.md (3), (3s) or (3p) of each row of x (rows,n), 1 <= k <= n:
// thresh (rows,2) gets p and delta. What counts is the product scale*x in float64: entries where it is -Inf (by x, by
// the scale's sign or by overflow) are left out and have weight 0; NaN or +Inf spoils the row, and so do fewer than k
// entries that are left. Exactly k left all have weight 1: delta = +Inf. A spoilt row gets NaN thresholds and its
// status. status (rows) may be nil. Cost: a selection, one exponential and two or three logistic functions per entry.
//
// The thresholds of ConstrainedSparsemax, and those of LML for float32 rows of ordinary shape (lml_rows.go), have the
// same bits on every machine. The others also rest on a few values of math.Exp and math.Log, whose last bit is the
// machine's; SoftTopKForward is the same everywhere given thresh.
func SoftTopKSolve[T Float](thresh []float64, status []RowStatus, x []T, r Relaxation, scale float64, rows, n, k int) {
	softCheck("SoftTopKSolve", r, scale, rows, n, k)
	needLen("SoftTopKSolve", "thresh", len(thresh), 2*rows, "2*rows")
	needLen("SoftTopKSolve", "x", len(x), rows*n, "rows*n")
	needOptional("SoftTopKSolve", "status", status, rows, "rows")
	runSoft(softJob[T]{op: softSolve, x: x, thresh: thresh, status: status, r: r, scale: scale, n: n, k: k}, rows)
}

// SoftTopKForward computes y (rows,n) = phi(z), doc/equations.md (3), (3s) or (3p), from x (rows,n) and
// SoftTopKSolve's thresh (rows,2). A spoilt row gets 0. The sum of a row is k to the rounding of y: within 5e-7 k in
// float32, 1e-15 k in float64. y may be x.
func SoftTopKForward[T Float](y, x []T, thresh []float64, r Relaxation, scale float64, rows, n, k int) {
	softCheck("SoftTopKForward", r, scale, rows, n, k)
	needLen("SoftTopKForward", "y", len(y), rows*n, "rows*n")
	needLen("SoftTopKForward", "x", len(x), rows*n, "rows*n")
	needLen("SoftTopKForward", "thresh", len(thresh), 2*rows, "2*rows")
	runSoft(softJob[T]{op: softForward, out: y, x: x, thresh: thresh, r: r, scale: scale, n: n, k: k}, rows)
}

// SoftTopK is SoftTopKSolve and SoftTopKForward in one: the same bits, and less work. y must be apart from x.
func SoftTopK[T Float](y []T, thresh []float64, status []RowStatus, x []T, r Relaxation, scale float64, rows, n, k int) {
	softCheck("SoftTopK", r, scale, rows, n, k)
	needLen("SoftTopK", "y", len(y), rows*n, "rows*n")
	needLen("SoftTopK", "thresh", len(thresh), 2*rows, "2*rows")
	needLen("SoftTopK", "x", len(x), rows*n, "rows*n")
	needOptional("SoftTopK", "status", status, rows, "rows")
	runSoft(softJob[T]{op: softBoth, out: y, x: x, thresh: thresh, status: status, r: r, scale: scale, n: n, k: k}, rows)
}

// SoftTopKResidual sets resid[row] = |sum y - k| over the rows of y (rows,n), by compensated summation. NaN in y gives
// NaN.
func SoftTopKResidual[T Float](resid []float64, y []T, rows, n, k int) {
	softCheck("SoftTopKResidual", LML, 1, rows, n, k)
	needLen("SoftTopKResidual", "resid", len(resid), rows, "rows")
	needLen("SoftTopKResidual", "y", len(y), rows*n, "rows*n")
	runSoft(softJob[T]{op: softResidual, x: y, thresh: resid, n: n, k: k}, rows)
}

type softOp uint8

const (
	softSolve softOp = iota
	softForward
	softResidual
	softBackward
	softBackward2
	softBoth
)

// softJob is one call of a soft top-k kernel.
type softJob[T Float] struct {
	op           softOp
	out, x, g, v []T
	thresh       []float64
	status       []RowStatus
	r            Relaxation
	scale        float64
	n, k         int
	lml          lmlProblem
}

// softScratch is a thread's space: two rows and three tiles.
type softScratch struct {
	a, b    []float64
	z, y, c [softTile]float64
	lml     lmlScratch
}

var (
	softJobs      poolPair
	softScratches = sync.Pool{New: func() any { return new(softScratch) }}
)

func runSoft[T Float](job softJob[T], rows int) {
	grain := 1 + 256/job.n // some 5 us
	if isSingle[T]() && job.op != softResidual && job.op != softBackward2 {
		if job.lml = lmlProblemOf(job.r, job.scale, job.n, job.k); job.lml.here {
			shares := max(1, rows*job.n/4096) // of some 4 us
			grain = (rows + shares - 1) / shares
		}
	}
	runPooled[T](&softJobs, job, rows, grain)
}

// Run implements vec.Job.
func (j *softJob[T]) Run(lo, hi int) {
	s := softScratches.Get().(*softScratch)
	if len(s.a) < j.n {
		s.a, s.b = make([]float64, j.n), make([]float64, j.n)
	}
	if j.lml.here {
		switch j.op {
		case softSolve, softBoth:
			j.solveLML(s, &j.lml, lo, hi)
		case softForward:
			j.forwardLML(s, &j.lml, lo, hi)
		case softBackward:
			j.backwardLML(s, &j.lml, lo, hi)
		}
		softScratches.Put(s)
		return
	}
	for row := lo; row < hi; row++ {
		switch j.op {
		case softSolve:
			j.solve(s, row)
		case softBoth:
			j.solve(s, row)
			j.forward(s, row)
		case softForward:
			j.forward(s, row)
		case softResidual:
			j.residual(row)
		case softBackward:
			j.backward(s, row)
		case softBackward2:
			j.backward2(s, row)
		}
	}
	softScratches.Put(s)
}

func (j *softJob[T]) row(a []T, row int) []T { return a[row*j.n : (row+1)*j.n] }

func (j *softJob[T]) solve(s *softScratch, row int) {
	status := RowOK
	m := 0
	for _, v := range j.row(j.x, row) {
		a := j.scale * float64(v)
		if !(a <= math.MaxFloat64) {
			status = RowNonFinite
			break
		}
		s.a[m] = a
		if a >= -math.MaxFloat64 {
			m++
		}
	}
	p, delta := 0.0, math.Inf(1)
	switch {
	case status != RowOK:
	case m < j.k:
		status = RowTooFew
	case m > j.k:
		var ok bool
		if p, delta, ok = softLinks[j.r].solve(s.a[:m], j.k, isSingle[T]()); !ok {
			status = RowStepLimit
		}
	}
	if status != RowOK {
		p, delta = math.NaN(), math.NaN()
	}
	j.thresh[2*row], j.thresh[2*row+1] = p, delta
	if j.status != nil {
		j.status[row] = status
	}
}

func (j *softJob[T]) forward(s *softScratch, row int) {
	x, out := j.row(j.x, row), j.row(j.out, row)
	p, delta := j.thresh[2*row], j.thresh[2*row+1]
	if !(delta < math.Inf(1)) { // a spoilt row, or all of k entries
		for i, v := range x {
			out[i] = 0
			if delta > 0 && j.scale*float64(v) >= -math.MaxFloat64 {
				out[i] = 1
			}
		}
		return
	}
	var sum compensated
	spread := 0.0
	for lo := 0; lo < len(x); lo += softTile {
		hi := min(lo+softTile, len(x))
		z, y := s.z[:hi-lo], s.y[:hi-lo]
		shiftTile(z, x[lo:hi], j.scale, p, delta)
		softLinks[j.r].phi(y, z)
		for i, v := range y {
			out[lo+i] = T(v)
		}
		if !isSingle[T]() {
			for _, v := range y {
				sum = sum.plus(v)
				spread += v - float64(v*v)
			}
		}
	}
	// In float64 the last bit of delta and of z shows in the sum: with all entries equal and n/k = 1e5, delta is -11.5
	// and half its last bit makes 9e-16 k. What is left is spread in proportion to y(1-y), which moves no 0 or 1 and
	// keeps the order. It is rounding that goes away here, never a wrong threshold.
	left := sum.less(float64(j.k))
	if c := left / spread; math.Abs(left) > 0x1p-52*float64(j.k) && math.Abs(c) < 0x1p-40 && !isSingle[T]() {
		for i, v := range out {
			out[i] = v - T(T(c)*(v-T(v*v)))
		}
	}
}

func (j *softJob[T]) residual(row int) {
	var sum compensated
	for _, v := range j.row(j.x, row) {
		sum = sum.plus(float64(v))
	}
	j.thresh[row] = math.Abs(sum.less(float64(j.k)))
}

// shiftTile sets z = (scale*x - p) + delta; -Inf stays -Inf.
func shiftTile[T Float](z []float64, x []T, scale, p, delta float64) {
	for i, v := range x {
		z[i] = (float64(scale*float64(v)) - p) + delta
	}
}

func softCheck(kernel string, r Relaxation, scale float64, rows, n, k int) {
	switch {
	case int(r) >= len(softLinks):
		panic(fmt.Sprintf("kernels: %s: r = %v, want LML, ConstrainedSoftmax or ConstrainedSparsemax", kernel, r))
	case !(math.Abs(scale) <= math.MaxFloat64):
		panic(fmt.Sprintf("kernels: %s: scale = %v, want a finite number", kernel, scale))
	}
	needSize(kernel, "rows", rows)
	needElites(kernel, k, n)
}
