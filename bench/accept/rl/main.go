// Command rl checks what the programs of reinforcement learning claim, over seeds, with their quick presets:
//
//	ppo       PPO on a net: a mean return of at least -300 over 100 episodes of the pendulum
//	embed     model and latent DCEM on the cartpole's swing-up: a score of at least 0.8 on average, where 0 is random
//	          and 1 plans by the cross-entropy method with the true dynamics, and at most 60 minutes for a seed; the
//	          model's error over 12 steps without observations is at most half of that of "nothing changes"
//	finetune  PPO through embed's controller, whose search is cut until its score is between 0.4 and 0.6, with its
//	          transition frozen, gains at least 0.1 on average, 20 episodes each, and comes to its score in at most
//	          half the steps of the environment, those of embed included, that PPO on a net needs for it; at most 60
//	          minutes for a seed, those of embed included. It takes embed's run from -out where that is done
//	cost      no claim: how long the paper's preset would take here, from single steps (some 30 seconds; it wants an
//	          idle machine)
//
// What is measured goes into bench/results/rl.json after each seed, beside what the file has of other programs and
// seeds, and the curves into doc/img. It prints a table and exits with 1 if a claim of the programs measured does not
// hold; a claim holds when all three seeds are there.
//
//	go run ./bench/accept/rl [-only ppo,embed,finetune,cost] [-seeds 0,1,2] [-resume]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/internal/run"
)

// seeds is how many a claim is about: 0, 1 and 2.
const seeds = 3

// An experiment measures a seed of a program.
type experiment struct {
	name    string
	measure func(ctx context.Context, seed uint64, c config) (*outcome, error)
	judge   func(found []*outcome) []record.Claim
}

var experiments = []experiment{{"ppo", measurePPO, judgePPO}, {"embed", measureEmbed, judgeEmbed},
	{"finetune", measureFineTune, judgeFineTune}, {"cost", measureCost, judgeCost}}

// config is what the flags say about runs.
type config struct {
	runs   string // of all programs
	out    string // of this one's seed
	resume bool
}

func main() {
	out := flag.String("out", "out/accept/rl", "folder for the runs")
	path := flag.String("json", "bench/results/rl.json", "file for the results")
	figures := flag.String("figures", "doc/img", "folder for the curves; empty: none")
	only := flag.String("only", "", "programs to check, comma-separated: ppo, embed, finetune, cost; empty: all")
	which := flag.String("seeds", "0,1,2", "seeds to run, comma-separated; those of the record are kept")
	resume := flag.Bool("resume", false, "go on with the runs in -out")
	flag.Parse()
	if flag.NArg() > 0 {
		fatal(fmt.Errorf("flags alone are taken, got %q", flag.Arg(0)))
	}
	wanted, err := choose(*only)
	if err != nil {
		fatal(err)
	}
	numbers, err := parseSeeds(*which)
	if err != nil {
		fatal(err)
	}
	r, err := readReport(*path)
	if err != nil {
		fatal(err)
	}
	ctx, stop := run.Interruptible(context.Background())
	defer stop()
	var claims []record.Claim
	for _, e := range wanted {
		s := r.section(e.name)
		for _, seed := range numbers {
			if e.name == "cost" && seed > 0 {
				continue // nothing is random about it
			}
			dir := filepath.Join(*out, e.name, fmt.Sprint(seed))
			o, err := e.measure(ctx, seed, config{*out, dir, *resume})
			if err != nil {
				fatal(fmt.Errorf("%s, seed %d: %w", e.name, seed, err))
			}
			s.take(o, record.Here(strings.Join(append([]string{"rl"}, os.Args[1:]...), " ")))
			s.Claims = e.judge(s.Outcomes)
			if err := record.Write(*path, r); err != nil { // what is measured is kept
				fatal(err)
			}
			if *figures != "" {
				if err := draw(*figures, e.name, s.Outcomes); err != nil {
					fatal(err)
				}
			}
		}
		claims = append(claims, s.Claims...)
	}
	if !record.Print(os.Stdout, claims) {
		os.Exit(run.ExitError)
	}
}

// choose are the experiments of a list of names, all of them for "".
func choose(only string) (wanted []experiment, err error) {
	if only == "" {
		return experiments, nil
	}
	for name := range strings.SplitSeq(only, ",") {
		at := slices.IndexFunc(experiments, func(e experiment) bool { return e.name == name })
		if at < 0 {
			return nil, fmt.Errorf("-only names %q, want ppo, embed, finetune or cost", name)
		}
		wanted = append(wanted, experiments[at])
	}
	return wanted, nil
}

func parseSeeds(list string) (numbers []uint64, err error) {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n >= seeds {
			return nil, fmt.Errorf("-seeds names %q, want numbers from 0 to %d", text, seeds-1)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

func fatal(err error) {
	fmt.Fprintf(os.Stderr, "rl: %v\n", err)
	os.Exit(run.ExitCode(err))
}
