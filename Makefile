# godcem: two commands do everything on a machine with Go and make: `make run` and `make test`.
GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GO_FILES = $(shell find . -path ./out -prune -o -path './.*' -prune -o -name '*.go' -print)
FUZZTIME ?= 10m
SOAK_ROWS ?= 1000000
SOAK_KILLS ?= 100
PLANT ?= 1
# how old results of the same sources may be that bench-full does not measure again
RESUME ?= 6h
# time that bench-full's cases share: with more of it they have more rounds
BUDGET ?= 32m

.PHONY: help run gpu cuda test test-go test-gpu test-gpu-asan ptxas gpu-kit check check-gpu generated cross noasm race \
	fuzz soak \
	accept-first-light accept-control accept-cartpole accept-cartpole-full accept-rl accept-cheetah accept-engine accept-mujoco \
	accept-functions bench bench-full bench-report bench-check bench-measurements bench-kernels bench-peers bench-gomlx \
	mujoco mujoco-python clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 22

run: bin/godcem ## train the regression with DCEM and with gradient descent: pictures and report in out/regression
	./bin/godcem regression --method both --out out/regression

.PHONY: bin/godcem # Go knows best what has changed: assembly and embedded files too
bin/godcem:
	$(GO) build -o $@ ./cmd/godcem

gpu: bin/godcem ## godcem-gpu beside godcem, which runs it for --device cuda:0 (needs a CUDA toolkit or make cuda)
	cuda/go.sh build -tags gpu -o bin/godcem-gpu ./cmd/godcem

cuda: ## CUDA's headers, NVRTC and ptxas into .cuda, where there is no toolkit (320 MB from PyPI; needs python3, pip)
	cuda/fetch.sh

test: ## every test that this machine can run; at the end, what it cannot and why
	@if command -v g++ >/dev/null; then cuda/env.sh >/dev/null || true; fi # the compiler, before tests look for it
	$(GO) test ./...
	cuda/test.sh --quick
	@mujoco/missing.sh
	@internal/live/missing.sh

test-go: ## every test that a machine with Go alone can run
	$(GO) test ./...
	@mujoco/missing.sh
	@internal/live/missing.sh

test-gpu: ## the CUDA backend, the library and the models on the GPU, or on a simulated driver (needs g++)
	cuda/test.sh

test-gpu-asan: ## the CUDA backend on the simulated driver under AddressSanitizer
	cuda/test.sh --asan

ptxas: cuda ## every kernel through NVIDIA's compiler for five devices: out/ptxas.json, and fails beyond the limits
	GODCEM_PTXAS=all $(GO) test ./bench/ptxas -count 1 -timeout 60m -v

gpu-kit: ## out/gpu-kit: tests, benchmark and scripts for a GPU machine that has neither Go nor a network
	bench/gpu-kit.sh

check: ## formatting, vet, staticcheck
	@[ -n "$(GO_FILES)" ] || { echo "no Go files found" >&2; exit 1; }
	@out=$$(gofmt -l $(GO_FILES)); [ -z "$$out" ] || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

check-gpu: ## vet and staticcheck of what has the tag gpu
	cuda/go.sh vet -tags gpu ./engine/... ./cmd/... ./models/... ./bench/...
	cuda/go.sh run $(STATICCHECK) -tags gpu ./engine/... ./cmd/... ./models/... ./bench/...

cross: ## builds for the other platforms that import godcem
	@for p in linux/arm64 darwin/arm64 windows/amd64; do \
	  echo "build $$p"; CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build ./... || exit 1; done

# What the tag noasm does not change, or what `make test` runs with plain Go too: products of every shape, the generator,
# a look at the compiler's output.
NOASM_SKIP = ^Test(GemmShapes|GeneratedIsCurrent|NoFusedMultiplyAdd)$$

noasm: ## the kernels built without assembly, and the CPU backend's table in short with plain Go and with AVX2
	$(GO) vet -tags noasm ./internal/vec ./kernels ./engine/backend/cpu
	$(GO) test -tags noasm -skip '$(NOASM_SKIP)' ./internal/vec ./kernels
	$(GO) test -tags noasm -short -run '^TestBackend$$' ./engine/backend/cpu
	GODCEM_ISA=avx2 $(GO) test -short -run '^TestBackend$$' ./engine/backend/cpu

# What takes minutes under the race detector, which sees nothing in it; `make test` runs it. Kernels on the emulator
# are C++, out of its sight; TestNoFusedMultiplyAdd compiles. Shapes of products, errors of functions, distributions,
# long rows, derivatives of plans, a long descent, and batches beside single problems are about numbers: the workers
# that share them are seen in TestGemmConcurrent, TestGemmSameBits, TestParallel*, TestControllerIsPlan and all other
# tests of these packages.
RACE_SKIP = ^TestCUDA|^Test(NoFusedMultiplyAdd|GemmShapes|GemmAlphaBeta|SoftTopKLongRows)$$|$(NUMBERS)
NUMBERS = ^Test(Func|Pair)Errors|Distribution$$|^Test(BatchIsItsProblems|ImplicitIsLongDescent|PlanGradients)$$

# Where collection and learning, or environments, run beside each other.
RACE_RL = ^Test(Agent|AgentFaults|Interrupted|Known|Faults|Threads)$$

race: ## the library under the race detector (needs cgo); the backends' table without its variants
	$(GO) test -race -skip '$(RACE_SKIP)' ./kernels/... ./internal/... ./dcem/... ./autodiff/... ./models/nn/... \
	  ./models/train/... ./models/env/mujoco
	$(GO) test -race -run '$(RACE_RL)' ./models/rl
	$(GO) test -race -short -timeout 20m ./engine ./engine/backend/cpu ./engine/frontend ./engine/ir ./engine/pass \
	  ./engine/plan

accept-first-light: ## the claims of the regression and of bumps (15 minutes): bench/results/first-light.json
	$(GO) run ./bench/accept/firstlight

accept-control: ## the claims about control and structured prediction (35 minutes): bench/results/control.json
	$(GO) run ./bench/accept/control

accept-cartpole: ## the claim of the cartpole over three seeds (45 minutes): bench/results/cartpole.json
	$(GO) run ./bench/accept/cartpole

accept-cartpole-full: ## the cartpole's full preset beside the strong expert (about half an hour; goes on where it was)
	$(GO) run ./bench/accept/cartpole -full -resume

accept-rl: ## the claims about reinforcement learning, three seeds each (hours): bench/results/rl.json
	$(GO) run ./bench/accept/rl

accept-cheetah: ## the cheetah's quick presets and their claim (a quarter of an hour of a core; needs mujoco; goes on where it was)
	$(GO) run ./bench/accept/cheetah -resume

# $(call passes,TEST,PACKAGE) runs one test, and fails also where it is skipped or there is none of that name.
passes = $(GO) test $(2) -run '^$(1)$$' -v -count 1 -timeout 2h 2>&1 | awk '{ print; fflush() } \
	/^--- PASS: $(1) / { passed = 1 } /^ok[ \t]/ { ok = 1 } \
	END { if (!passed || !ok) { print "$(1) in $(2): did not run and pass"; exit 1 } }'

generated: ## the assembly is what its generator writes: fails where that could not be seen
	$(call passes,TestGeneratedIsCurrent,./internal/vec)

soak: ## a million LML rows, a hundred kills per program, ten minutes of fuzzing per parser (about an hour)
	GODCEM_SOAK=$(SOAK_ROWS) $(call passes,TestSoakLML,./kernels)
	GODCEM_KILLS=$(SOAK_KILLS) $(call passes,TestKill,./internal/run)
	GODCEM_KILLS=$(SOAK_KILLS) $(call passes,TestKillBumps,./cmd/godcem)
	GODCEM_KILLS=$(SOAK_KILLS) $(call passes,TestKillRegression,./cmd/godcem)
	$(MAKE) fuzz

fuzz: ## FUZZTIME (10m) per parser, and for products of any shape
	$(GO) test ./internal/run -run '^$$' -fuzz '^FuzzConfig$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 5x
	$(GO) test ./internal/run -run '^$$' -fuzz '^FuzzCheckpoint$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 5x
	$(GO) test ./models/nn -run '^$$' -fuzz '^FuzzNPZ$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 5x
	$(GO) test ./engine/ir -run '^$$' -fuzz '^FuzzParse$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 5x
	$(GO) test ./internal/vec -run '^$$' -fuzz '^FuzzGemm$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 5x

bench: ## godcem beside what bench-peers has installed, checked, then timed in turn (some minutes): out/bench/cpu.json
	$(GO) run ./bench/suite -quick

bench-full: bench-gomlx ## every case (BUDGET and two minutes; goes on where it was): bench/results/cpu.json
	$(GO) run ./bench/suite -full -budget $(BUDGET) -resume $(RESUME); ended=$$?; \
	for m in regression cartpole; do for b in 1 100; do \
	  $(GO) run ./bench/where -case $$m -batch $$b -seconds 2 > out/where.txt && \
	    mv out/where.txt bench/results/where-$$m-$$b.txt || exit 1; done; done; \
	$(GO) run ./bench/suite -report && exit $$ended

bench-measurements: ## what doc/measurements.md tells of times, again (3 minutes on a quiet machine), and bench-report
	bench/measurements.sh
	$(MAKE) bench-report

bench-report: ## figures and tables of doc/benchmarks.md from the record
	$(GO) run ./bench/suite -report

bench-check: ## fails if a case is slower than the record says, beyond noise, over a yardstick; PLANT=1.4 plants that
	$(GO) run ./bench/suite -check -plant $(PLANT)

bench-kernels: ## the kernels' and the engine's own benchmarks
	$(GO) test ./kernels ./models/nn ./internal/vec ./engine/... -run '^$$' -bench . -benchtime 300ms

bench-peers: ## PyTorch and JAX for bench, pinned, in .venv-peers (6 GB from PyPI; needs Python 3.11 or later)
	python3 -m venv .venv-peers
	echo '*' > .venv-peers/.gitignore
	.venv-peers/bin/python -m pip install --disable-pip-version-check -q -r bench/peers/requirements.txt

bench-gomlx: ## GoMLX's backend in pure Go as a contestant, from a module of its own: out/peers/gomlx
	cd bench/gomlx && CGO_ENABLED=0 $(GO) build -o ../../out/peers/gomlx .

accept-engine: ## the engine beside the TapeMachine (3 minutes): bench/results/engine.json
	$(GO) run ./bench/engine -check

mujoco: ## the MuJoCo library and the models of cheetah and walker into .mujoco (66 MB from PyPI; needs python3, pip)
	mujoco/fetch.sh

mujoco-python: ## the Python implementation of the same tasks in .venv-mujoco, for accept-mujoco (Python >= 3.11)
	python3 -m venv .venv-mujoco
	echo '*' > .venv-mujoco/.gitignore
	.venv-mujoco/bin/python -m pip install --disable-pip-version-check -q -r mujoco/requirements-python.txt

accept-mujoco: ## environment steps a second beside the Python implementation (3 minutes; needs mujoco mujoco-python)
	$(GO) run ./bench/accept/mujoco

accept-functions: ## the functions' errors at every float32 and at a million float64 (half an hour): doc/functions.md
	GODCEM_EXHAUSTIVE=all $(GO) test ./internal/vec -run 'TestFuncErrors|TestPairErrors|TestErrorTable' \
	  -count 1 -timeout 6h -update

clean:
	rm -rf bin out
