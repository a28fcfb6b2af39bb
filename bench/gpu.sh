#!/usr/bin/env bash
# Checks and measures godcem on the GPU of a machine that has neither Go nor a network, from the folder that bench/gpu-kit.sh
# makes: correctness first, then compute-sanitizer, then the training step beside PyTorch's and JAX's, where Python has
# them, in turn on the same GPU, then ncu. What is not there is skipped, and named. See doc/gpu.md.
#
#   ./gpu.sh [--quick] [--results DIR] [--python PYTHON] [--batch 1,16,100] [--no-checks] [--no-sanitizer] [--no-bench] [--no-ncu]
#
# --batch: sizes of the steps that are timed. --no-checks: where they have passed before.
#
# It leaves in DIR (results): summary.json, with a line per stage; gpu.json, the measurements; a log per stage. It fails if a
# check did.
set -uo pipefail
cd "$(dirname "$0")"
quick= results=results python= batch= checks=1 sanitizer=1 bench=1 profile=1
while [ $# -gt 0 ]; do
  case $1 in
  --results | --python | --batch)
    if [ -z "${2:-}" ]; then
      echo "gpu.sh: $1 wants a value after it" >&2
      exit 2
    fi
    ;;
  esac
  case $1 in
  --quick) quick=1 ;;
  --results) results=$2; shift ;;
  --python) python=$2; shift ;;
  --batch) batch=$2; shift ;;
  --no-checks) checks= ;;
  --no-sanitizer) sanitizer= ;;
  --no-bench) bench= ;;
  --no-ncu) profile= ;;
  *) echo "gpu.sh: unknown argument $1; its head says which there are" >&2; exit 2 ;;
  esac
  shift
done
mkdir -p "$results" && results=$(cd "$results" && pwd) || exit 2
stages=() failed=0

json() { printf '%s' "$1" | tr '\n\t' '  ' | sed 's/[\\"]/\\&/g; s/[[:cntrl:]]//g'; }
note() { # note STAGE OUTCOME SECONDS TEXT
  stages+=("{\"stage\": \"$1\", \"outcome\": \"$2\", \"seconds\": $3, \"note\": \"$(json "$4")\"}")
  printf '%-12s %-8s %5d s  %s\n' "$1" "$2" "$3" "$4"
}
stage() { # stage NAME COMMAND...
  local name=$1 began=$SECONDS log=$results/$1.log
  shift
  echo "$*" >"$log"
  if "$@" >>"$log" 2>&1; then
    # A pattern that no test has passes too: the one that is asked for must be named.
    if [ -z "${must:-}" ] || grep -q -- "--- PASS: $must" "$log"; then
      note "$name" passed $((SECONDS - began)) "$log"
      return 0
    fi
    echo "gpu.sh: error: the log names no $must that passed" >>"$log"
  fi
  note "$name" FAILED $((SECONDS - began)) "$(sed 1d "$log" | grep -m 1 -E -- '--- FAIL|[Ee]rror|NVRTC' | head -c 300); see $log"
  failed=1
  return 1
}
# tests NAME TEST COMMAND...: a stage that wants TEST to have run and passed.
tests() {
  local name=$1 must=$2
  shift 2
  stage "$name" "$@"
}
skip() { note "$1" skipped 0 "$2"; }
finish() {
  {
    printf '{\n  "commit": "%s",\n  "machine": "%s",\n  "gpu": "%s",\n  "simulated": %s,\n  "nvrtc": "%s",\n  "stages": [\n' \
      "$(json "$(cat commit 2>/dev/null)")" "$(json "$(uname -srm)")" "$(json "$gpu")" "$simulated" "$(json "${GODCEM_NVRTC:-found by the loader}")"
    local i
    for i in "${!stages[@]}"; do
      printf '    %s%s\n' "${stages[$i]}" "$([ "$i" -lt $((${#stages[@]} - 1)) ] && echo ,)"
    done
    printf '  ]\n}\n'
  } >"$results/summary.json"
  echo "results are in $results"
  exit "$failed"
}

gpu=$(nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader 2>/dev/null | paste -sd';')
if [ -z "$gpu" ]; then gpu="unknown: no nvidia-smi"; fi
simulated=false
driver=$(ldd ./cuda.test 2>/dev/null | sed -n 's/.*libcuda\.so\.1 => \([^ ]*\) .*/\1/p')
if [ -f "$driver" ] && grep -q simcudaLive "$driver"; then
  simulated=true gpu="SIMULATED by $driver"
fi
echo "GPU: $gpu"
# Measurements of another commit or another GPU are not added to.
about="$(cat commit 2>/dev/null) on $gpu"
if [ -f "$results/gpu.json" ] && [ "$(cat "$results/gpu.of" 2>/dev/null)" != "$about" ]; then
  mv "$results/gpu.json" "$results/gpu.before.json"
fi
echo "$about" >"$results/gpu.of"
if [ -z "$python" ]; then
  for p in python3 python; do
    if command -v "$p" >/dev/null; then python=$p && break; fi
  done
fi

GODCEM_COMMIT=$(cat commit 2>/dev/null) && export GODCEM_COMMIT
export GODCEM_CACHE=${GODCEM_CACHE:-$results/cache}

# 0. Whether anything runs: the driver, the GPU, and NVRTC: as the programs find it by themselves, else beside the Python's packages
# (torch brings it along), else in a toolkit.
one=(./cuda.test -test.v -test.run '^TestCounters$')
if [ -z "${GODCEM_NVRTC:-}" ] && ! "${one[@]}" >"$results/nvrtc.log" 2>&1; then
  {
    if [ -n "$python" ]; then
      "$python" -c '
import glob, os, sys
for p in sys.path:
    for f in sorted(glob.glob(os.path.join(p, "nvidia", "*", "lib", "libnvrtc.so.1[123]*")), reverse=True):
        print(f)' 2>/dev/null
    fi
    if nvcc=$(command -v nvcc); then ls -d "$(dirname "$(dirname "$(readlink -f "$nvcc")")")"/lib64/libnvrtc.so.1[123] 2>/dev/null; fi
  } >"$results/nvrtc.found"
  while read -r f; do
    if GODCEM_NVRTC=$f "${one[@]}" >>"$results/nvrtc.log" 2>&1; then
      export GODCEM_NVRTC=$f
      break
    fi
  done <"$results/nvrtc.found"
fi
if ! tests first TestCounters "${one[@]}"; then
  echo "  the kit needs the driver's libcuda.so.1, glibc 2.34 or later, and NVRTC (libnvrtc.so.12 or .13: GODCEM_NVRTC=FILE, a toolkit,"
  echo "  or, where there is a network, pip install nvidia-cuda-nvrtc-cu12)"
  for s in checks sanitizer bench ncu; do skip "$s" "nothing runs on the GPU"; done
  finish
fi

# 1. Correctness, before anything is timed.
short=()
if [ -n "$quick" ]; then short=(-test.short); fi
if [ -n "$checks" ]; then
  tests backend TestBackend ./cuda.test -test.v -test.timeout 60m "${short[@]}"
  tests steps TestStepsOnDevices ./steps.test -test.v -test.timeout 30m -test.run 'TestStepsOnDevices'
else
  skip checks "--no-checks"
fi
if [ "$failed" != 0 ]; then
  skip sanitizer "a check failed"
  skip bench "a check failed"
  skip ncu "a check failed"
  finish
fi

# 2. compute-sanitizer: each of its tools on small steps in both types, with and without iterations that depend on each
# other; then on the full-size step; the two that look at every access on the backend's table too.
if [ -z "$sanitizer" ]; then
  skip sanitizer "--no-sanitizer"
elif ! tool=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null); then
  skip sanitizer "no compute-sanitizer: it is part of a CUDA toolkit"
else
  under() { # under TOOL NAME PROGRAM...
    local t=$1 name=$2
    shift 2
    stage "$name" "$tool" --tool "$t" --target-processes all --error-exitcode 3 "$@"
  }
  types=float32,float64 steps='TestStepsOnDevices/float(32|64)/T=[14]$'
  if [ -n "$quick" ]; then types=float32 steps='TestStepsOnDevices/float32/T=1$'; fi
  for t in memcheck racecheck initcheck synccheck; do
    must=TestStepsOnDevices under "$t" "$t" ./steps.test -test.v -test.timeout 60m -test.run "$steps"
    under "$t" "$t-full" ./suite -device cuda:0 -peers peers -only godcem -cases regression -batch 100 -dtype "$types" -rounds 1 \
      -json "$results/$t-suite.json"
  done
  if [ -z "$quick" ]; then
    for t in memcheck racecheck; do
      must=TestBackend under "$t" "$t-table" ./cuda.test -test.v -test.short -test.timeout 120m -test.run 'TestBackend'
    done
  fi
fi

if [ "$failed" != 0 ]; then
  skip bench "compute-sanitizer found something"
  skip ncu "compute-sanitizer found something"
  finish
fi

# 3. The step beside the peers.
if [ -z "$bench" ]; then
  skip bench "--no-bench"
else
  flags=(-device cuda:0 -peers peers -python "${python:-python3}" -json "$results/gpu.json")
  if [ -n "$quick" ]; then flags+=(-quick); fi
  if [ -n "$batch" ]; then flags+=(-batch "$batch"); fi
  if [ -z "$python" ] || ! "$python" -c 'import numpy' 2>/dev/null; then
    skip peers "no Python with numpy: godcem is measured alone"
    flags+=(-only godcem)
  fi
  if stage bench ./suite "${flags[@]}"; then sed -n '/^case/,$p' "$results/bench.log"; fi
  grep -h 'left out:' "$results/bench.log" | while read -r line; do echo "  $line"; done
fi

# 4. Where the time goes, kernel by kernel.
if [ -z "$profile" ]; then
  skip ncu "--no-ncu"
elif ! tool=$(command -v ncu || ls /usr/local/cuda/bin/ncu 2>/dev/null); then
  skip ncu "no ncu (Nsight Compute)"
else
  # Launches inside of a graph are profiled one by one; the clocks are left alone.
  stage ncu "$tool" --clock-control none --graph-profiling node --launch-count 400 --csv --page raw \
    --metrics gpu__time_duration.sum,dram__bytes.sum,sm__throughput.avg.pct_of_peak_sustained_elapsed \
    ./suite -device cuda:0 -peers peers -only godcem -batch 100 -dtype float32 -rounds 1 -json "$results/ncu-suite.json" || true
fi
finish
