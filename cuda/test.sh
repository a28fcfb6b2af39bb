#!/usr/bin/env bash
# The tests that run on a GPU: the backend's own, and those of the engine, the library and the models with the engine on cuda:0. Where
# there is no GPU they run on the driver and the compiler that internal/simcuda simulates with g++. It says which.
#
#   cuda/test.sh [--simulated] [--asan] [--quick] [flags of go test]
#
# --simulated: even where there is a GPU. --asan: under AddressSanitizer, simulated: the driver's and the backend's tests.
# --quick: fewer variants, and of the engine, the library and the models a choice; where nothing can be built for a GPU, or there is
# neither a GPU nor g++, it says at the end what was left out, and why, and succeeds. Without --quick that is an error. So is
# a GPU that cannot be used.
set -euo pipefail
cd "$(dirname "$0")/.."
simulated= asan= quick=
while [ $# -gt 0 ]; do
  case $1 in
  --simulated) simulated=1 ;;
  --asan) asan=-asan simulated=1 ;;
  --quick) quick=-short ;;
  *) break ;;
  esac
  shift
done
go=${GO:-go}

skipped=()
summary() {
  if [ -z "$quick" ]; then return; fi
  # What `go test` passes over, says ok and does not name.
  if ! command -v g++ >/dev/null; then
    skipped+=("CUDA kernels on the emulator (./internal/simcuda, ./engine/emit, ./engine/backend/emulated, ./dcem, ./models/energy): no g++; install it")
  fi
  if LD_LIBRARY_PATH=$path GODCEM_NVRTC=$nvrtc missing compiler | grep -q .; then
    skipped+=("kernels through NVIDIA's compiler (./internal/nvrtc, ./bench/ptxas, ./dcem): no NVRTC; \`make cuda\` fetches one")
  fi
  if [ ${#skipped[@]} -gt 0 ]; then printf 'NOT TESTED: %s\n' "${skipped[@]}"; fi
}
# absent WHAT WHY: all that is left to do cannot be done.
absent() {
  if [ -z "$quick" ]; then
    echo "cuda/test.sh: $2" >&2
    exit 1
  fi
  skipped+=("$1: $2")
  summary
  exit 0
}

# The simulated driver is known by a symbol of its own: it is not taken for a real one, whoever put it into the library path.
isSimulated() { grep -qs simcudaLive "$1/libcuda.so.1"; }
path=
IFS=: read -ra folders <<<"${LD_LIBRARY_PATH:-}"
for f in "${folders[@]}"; do
  if ! isSimulated "$f"; then path=$path${path:+:}$f; fi
done
export LD_LIBRARY_PATH=$path
nvrtc=${GODCEM_NVRTC:-}
if [ -n "$nvrtc" ] && { isSimulated "$nvrtc" || isSimulated "${nvrtc%/*}"; }; then
  nvrtc=
  unset GODCEM_NVRTC
fi

# missing KINDS prints the doctor's lines about what is missing.
missing() { "$go" run ./cmd/godcem doctor | grep -E "^-- *($1) " || true; }
why=
if [ -z "$simulated" ]; then
  why=$(missing 'driver|GPU')
fi
if [ -n "$simulated$why" ] && ! command -v g++ >/dev/null; then
  absent "the CUDA backend" "there is no GPU (${why:-not asked for}) and no g++, which the simulated driver needs: install g++"
fi
# Headers and, where there is no toolkit, NVIDIA's compiler.
if ! problem=$(cuda/env.sh 2>&1 >/dev/null); then
  echo "$problem" >&2
  absent "the CUDA backend" "nothing can be built with the tag gpu here: $(tail -1 <<<"$problem")"
fi
if [ -z "$simulated$why" ]; then
  why=$(missing compiler)
  if [ -n "$why" ] && cuda/fetch.sh; then why=$(missing compiler); fi
fi
if [ -n "$why" ]; then
  # A GPU that cannot be used is a fault to mend, no reason to test something else in its place.
  gpu=$("$go" run ./cmd/godcem devices | grep '^cuda:' || true)
  for node in /dev/nvidia[0-9]*; do
    if [ -e "$node" ]; then gpu=${gpu:-$node}; fi
  done
  if [ -n "$gpu" ]; then
    echo "cuda/test.sh: this machine has a GPU ($gpu) that cannot be used: $why; or test with --simulated" >&2
    exit 1
  fi
  simulated=1
fi
if [ -n "$simulated" ]; then
  dir=$("$go" run ./internal/simcuda/cmd/simcuda $asan)
  export LD_LIBRARY_PATH=$dir${path:+:$path} GODCEM_NVRTC=$dir GODCEM_SIM_QUIET=${GODCEM_SIM_QUIET-1}
  echo "CUDA backend: on the SIMULATED driver of internal/simcuda${asan:+ under AddressSanitizer}. ${why:+Not on a GPU: $why}"
else
  echo "CUDA backend: on the GPU. $("$go" run ./cmd/godcem devices | grep '^cuda:0')"
fi

run() {
  echo "go test -tags gpu $*"
  cuda/go.sh test -tags gpu -timeout 30m "$@"
}
if [ -n "$asan" ]; then
  echo "the simulated driver's own tests under AddressSanitizer"
  GODCEM_SIM_ASAN=1 "$go" test -run TestDriverASan ./internal/simcuda
  # Go's runtime keeps what it allocated to the end. Of the table what differs in how it uses the driver; kernels alone
  # are seen by the checks of the simulated device.
  ASAN_OPTIONS=detect_leaks=0 run -asan -short -skip 'TestBackend/^(elementwise|movement|cast|chain|reduce|dot|random)' "$@" ./engine/backend/cuda/...
  exit
fi
run $quick "$@" ./engine/backend/cuda/...
run -run 'TestOnGPU' "$@" ./cmd/godcem
export GODCEM_DEVICE=cuda:0
# Tests of kernels on the emulator need no driver: make test-go has run them.
emulator='TestStepAsCUDA|TestCUDA|Emulated|Emulator'
if [ -n "$quick" ]; then
  run $quick "$@" -skip 'Random|SameSeed|MemoryBudget|Golden|Upstream|Switches|AllocatesNothing|Solves' ./engine
  run $quick -skip "$emulator" "$@" -run 'Golden|Train|Step|Resume' ./dcem/... ./models/...
  unset GODCEM_DEVICE
  summary
else
  run -skip "$emulator" "$@" ./engine ./dcem/... ./models/...
fi
