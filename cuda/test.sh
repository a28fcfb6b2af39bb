#!/usr/bin/env bash
# The tests that run on a GPU: the backend's own, and those of the library and the models with the engine on cuda:0. Where there is no
# GPU they run on the driver and the compiler that internal/simcuda simulates with g++. It says which.
#
#   cuda/test.sh [--simulated] [--asan] [--quick] [flags of go test]
#
# --simulated: even where there is a GPU. --asan: under AddressSanitizer, simulated: the driver's and the backend's tests.
# --quick: fewer variants, and of the library and the models a choice; where nothing can be built for a GPU it says so and succeeds.
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

why=
if [ -z "$simulated" ]; then
  # Without this library path, so that a simulated driver there is not taken for a real one.
  if why=$(env -u LD_LIBRARY_PATH "$go" run ./cmd/godcem doctor 2>&1 | grep -E '^(--  (driver|GPU|compiler)|ok  cuda:0)'); then :; fi
  case $why in
  *"--  "*) simulated=1 ;;
  esac
fi
if [ -n "$simulated" ]; then
  if ! command -v g++ >/dev/null; then
    echo "SKIPPED: the CUDA backend's tests. There is no GPU (${why:-not asked for}) and no g++, which the simulated driver needs: install g++"
    exit 0
  fi
  dir=$("$go" run ./internal/simcuda/cmd/simcuda $asan)
  export LD_LIBRARY_PATH=$dir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} GODCEM_NVRTC=$dir GODCEM_SIM_QUIET=${GODCEM_SIM_QUIET-1}
  echo "CUDA backend: on the SIMULATED driver of internal/simcuda${asan:+ under AddressSanitizer}. ${why:+Not on a GPU: $why}"
else
  echo "CUDA backend: on the GPU. $why"
fi

if ! problem=$(cuda/env.sh 2>&1 >/dev/null); then
  echo "$problem" >&2
  if [ -z "$quick" ]; then exit 1; fi
  echo "SKIPPED: the CUDA backend's tests, since nothing can be built with the tag gpu here: see the line above"
  exit 0
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
  run $quick -skip "$emulator" "$@" -run 'Golden|Train|Step|Resume' ./dcem/... ./models/...
else
  run -skip "$emulator" "$@" ./engine ./dcem/... ./models/...
fi
