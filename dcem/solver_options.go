package dcem

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/kernels"
)

// SolverOptions are what a [Solver] can do beyond the plain method. The zero value is the plain method: the same bits
// as [Unroll].
type SolverOptions[T kernels.Float] struct {
	// MuTolerance and SigmaTolerance stop a problem early, both in units of the coordinate's Sigma at the start of
	// the solve: it has converged after an iteration in which, over all coordinates,
	//
	//	|mu' - mu| <= MuTolerance*sigma0   and   sigma' <= max(SigmaTolerance*sigma0, SigmaMin)
	//
	// A tolerance of 0 is not asked for; with both 0 no problem stops early. Coordinates that cannot move (sigma0 =
	// 0, or Lower = Upper) do not count, nor does an iteration in which the problem had too few finite costs. A
	// problem that has stopped is frozen: its Mu, Sigma and best candidate stay what they are while the others go on.
	MuTolerance, SigmaTolerance float64

	// MuSmoothing and SigmaSmoothing, in [0, 1), hold the refitted moments back: mu' = a*mu + (1-a)*refit(mu), and so
	// for sigma.
	MuSmoothing, SigmaSmoothing float64

	// KeepElites is how many of an iteration's best candidates, at most Config.Elites and fewer than Config.Samples,
	// take part in the next one again. They replace that one's last candidates and are costed afresh. A problem with
	// fewer finite costs than that keeps none.
	KeepElites int

	// EvaluateMean adds the cost of the final mean to the [Solution], at the price of one more call of the objective;
	// unless there is a Project (the mean is not projected), it then also competes for Best. A solve that was ended
	// early does without.
	EvaluateMean bool

	// Project moves a candidate x, D values, of the problem of that number in the batch into the feasible set, in
	// place, after the bounds. It is called for all candidates from several goroutines at once.
	Project func(problem int, x []T)

	// Noise fills eps, shape (B, N, D), with the noise of one iteration in place of independent standard normals:
	// correlated noise, say, or noise of your own. The iteration's draw number is Config.Draw plus the number of the
	// iteration.
	Noise func(eps []T, run, draw uint64) error

	// Problem0 is the number of the batch's first problem in the noise: problem b draws the noise that problem
	// Problem0 + b of a larger batch would, in the same Samples and Dim. So problem b of a batch has the same bits as
	// the same problem on its own with Problem0 = b. Noise is left to itself.
	Problem0 int

	// Callback sees every iteration after it was done, the last one included. stop ends the solve; an error ends the
	// call, with the iteration counted.
	Callback func(*Iteration[T]) (stop bool, err error)
}

// IterationInfo sums up one iteration of a [Solver].
type IterationInfo struct {
	Iteration  int     // number of the iteration, from 0
	Running    int     // problems that took part in it
	Converged  int     // those of them that have now met the tolerances
	Kept       int     // those of them with fewer than k finite costs, which kept their mu and sigma
	Excluded   int     // costs that were not finite
	MuChange   float64 // largest |change of mu| over the start of sigma, over problems and coordinates
	SigmaRatio float64 // largest ratio of sigma to its start
	Done       bool    // nothing is left to do: all problems have stopped, the limit is reached, or the callback said so
}

// An Iteration is what a [SolverOptions] callback sees. The slices belong to the solver: they are valid during the
// call, and must not be changed. The rows of problems that were not active are those of their last iteration.
type Iteration[T kernels.Float] struct {
	IterationInfo
	Run            uint64 // run number of the noise
	Active         []bool // (B): the problems that took part
	X              []T    // candidates, (B, N, D)
	Costs, Weights []T    // (B, N); the weights sum to k, or are all 0 where a problem kept its mu and sigma
	Mu, Sigma      []T    // after the iteration, (B, D)
	Best           []T    // best candidate so far, (B, D); meaningless where BestCost is +Inf
	BestCost       []T    // its cost, (B)
}

// A Solution is the outcome of a solve; its slices are the receiver's own.
type Solution[T kernels.Float] struct {
	Mean     []T // the method's answer, (B, D): the last mean, clamped to the bounds (not projected)
	MeanCost []T // its cost, (B); nil without EvaluateMean
	Best     []T // the candidate of least cost among all that were evaluated, (B, D); Mean where no cost was finite
	BestCost []T // its cost, (B); +Inf where no cost was finite

	Mu, Sigma  []T         // the last mean, not clamped, and standard deviation, (B, D): for Reset
	Run        uint64      // run number of the noise
	Iterations int         // iterations done
	Diagnoses  []Diagnosis // one per problem
}

// Converged reports whether every problem met the tolerances.
func (s *Solution[T]) Converged() bool {
	for _, d := range s.Diagnoses {
		if d.Status != Converged {
			return false
		}
	}
	return true
}

// solverConfig checks the configuration of a solver.
func solverConfig[T kernels.Float](fn string, c Config) (Config, error) {
	for _, f := range []struct {
		set            bool
		field, instead string
	}{
		{c.MuNode != nil, "MuNode", "a Solver starts from Config.Mu, Reset or Warm"},
		{c.SigmaNode != nil, "SigmaNode", "a Solver starts from Config.Sigma or Reset"},
		{c.Run != nil, "Run", "the run number of a Solver is set by SetRun"},
		{c.Noise != nil, "Noise", "a Solver takes SolverOptions.Noise"},
		{c.Project != nil, "Project", "a Solver takes SolverOptions.Project"},
		{c.Backprop != 0, "Backprop", "a Solver has no gradients"},
	} {
		if f.set {
			return c, fmt.Errorf("dcem: %s: Config.%s is for graphs: %s", fn, f.field, f.instead)
		}
	}
	dt := dtypeOf[T]()
	if c.Dtype.Type != nil && c.Dtype != dt {
		return c, fmt.Errorf("dcem: %s: Config.Dtype = %v, want %v, the Solver's type argument", fn, c.Dtype, dt)
	}
	c.Dtype = dt
	c, err := c.withDefaults(fn)
	c.Backprop = 0
	return c, err
}

// check checks the options against the configuration with its defaults filled in.
func (o SolverOptions[T]) check(fn string, c Config) error {
	for _, v := range []struct {
		name  string
		value float64
		below float64
	}{
		{"MuTolerance", o.MuTolerance, math.Inf(1)},
		{"SigmaTolerance", o.SigmaTolerance, math.Inf(1)},
		{"MuSmoothing", o.MuSmoothing, 1},
		{"SigmaSmoothing", o.SigmaSmoothing, 1},
	} {
		if !(v.value >= 0 && v.value < v.below) {
			return fmt.Errorf("dcem: %s: %s = %v, want at least 0 and below %v", fn, v.name, v.value, v.below)
		}
	}
	if o.KeepElites < 0 || o.KeepElites > min(c.Elites, c.Samples-1) {
		return fmt.Errorf("dcem: %s: KeepElites = %d, want 0 <= KeepElites <= min(Elites, Samples-1) = %d",
			fn, o.KeepElites, min(c.Elites, c.Samples-1))
	}
	if o.Problem0 < 0 {
		return fmt.Errorf("dcem: %s: Problem0 = %d, want at least 0", fn, o.Problem0)
	}
	return nil
}
