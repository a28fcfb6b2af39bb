#!/usr/bin/env bash
# Measures again what doc/measurements.md tells of times and rates: two to three minutes on a machine that does nothing
# else. The text goes to bench/results/measurements.txt, from where `make bench-report` puts it into the page.
#
#   bench/measurements.sh [FILE]
set -euo pipefail
cd "$(dirname "$0")/.."
file=${1:-bench/results/measurements.txt}
go=${GO:-go}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

$go build -o "$tmp/where" ./bench/where
for p in models/nn kernels internal/vec; do $go test -c -o "$tmp/${p//\//-}" "./$p"; done
bench() { # PACKAGE FLAGS...
  (cd "$1" && "$tmp/${1//\//-}" -test.run '^$' "${@:2}")
}
# value UNIT: names and numbers of the lines of a benchmark that have that unit; of equal names the best, least or most.
value() {
  awk -v unit="$1" -v most="${2:-}" '/^Benchmark/ {
    name = $1; sub(/^Benchmark[^\/]*\//, "", name); sub(/-[0-9]+$/, "", name)
    for (i = 3; i <= NF; i++) if ($i == unit) {
      v = $(i-1) + 0
      if (!(name in at)) { order[n++] = name; at[name] = v } else if (most ? v > at[name] : v < at[name]) at[name] = v
    }
  } END { for (i = 0; i < n; i++) printf "%s %s\n", order[i], at[order[i]] }'
}
# The commit of what is measured: records and pages, which measuring writes, do not count.
commit() {
  local id
  id=$(git rev-parse --short=12 HEAD 2>/dev/null) || { echo unknown; return; }
  git diff --quiet HEAD -- . ':(exclude)bench/results' ':(exclude)doc' || id+=+dirty
  echo "$id"
}
isas=avx2
if grep -q avx512f /proc/cpuinfo 2>/dev/null; then isas="avx512 avx2"; fi

{
  echo "# $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo), $(commit)"
  echo "# bench/measurements.sh; load before it began: $(cut -d' ' -f1 /proc/loadavg)"
  echo
  echo "training steps, ms, the median of 2 s"
  for isa in $isas; do
    for c in "regression 1" "regression 16" "regression 100" "regression 100 float64" "cartpole 1" "cartpole 16" "cartpole 100"; do
      read -r name batch dtype <<<"$c"
      GODCEM_ISA=$isa "$tmp/where" -case "$name" -batch "$batch" -dtype "${dtype:-float32}" -seconds 2 -brief |
        awk '{ sub(/:/, ""); printf "  %-34s %8s\n", $1 " " $2 " " $3 " " $4, $(NF-3) }' | tr -d ,
    done
  done
  echo
  echo "matrix products of a training step, float32, 2 threads, Gflop/s, the best; stock is gorgonia.Mul"
  bench models/nn -test.bench MatMul -test.benchtime 200ms | value GFLOP/s-at-best most |
    awk '{ split($1, w, "/"); v[w[1], w[2]] = $2; if (!(w[1] in seen)) { seen[w[1]] = 1; order[n++] = w[1] } }
      END { for (i = 0; i < n; i++) printf "  %-36s stock %6.1f   own %6.1f\n", order[i], v[order[i], "stock"], v[order[i], "own"] }'
  echo
  echo "LML of 100 x 100 with k = 10 on one thread, us, the least of 5"
  for isa in $isas; do
    GODCEM_ISA=$isa bench kernels -test.bench LMLForwardBackward -test.cpu 1 -test.benchtime 50ms -test.count 5 |
      value ns/op | awk -v isa="$isa" '{ printf "  %-34s %8.1f\n", $1 " " isa, $2 / 1000 }'
  done
  echo
  echo "projections in rows of n, float32, ns an element; topk is the selection alone"
  bench kernels -test.bench '^BenchmarkSoftTopK$/^lml$/n=/^float32$/^(solve|topk|forward|backward)$' -test.benchtime 30ms | value ns/element |
    awk '{ printf "  %-34s %8.2f\n", $1, $2 }'
  echo
  echo "sharing a job with the other thread, ns; n roots in parts of at least 16"
  bench internal/vec -test.bench '^BenchmarkParallel$' -test.benchtime 100ms | value ns/op | awk '{ printf "  %-34s %8.0f\n", $1, $2 }'
  echo
  echo "the repetition of a row (contract), us"
  bench kernels -test.bench '^BenchmarkContract$' -test.benchtime 50ms | value ns/op | awk '{ printf "  %-34s %8.1f\n", $1, $2 / 1000 }'
  echo
  echo "multiply-adds in registers alone, Gflop/s, the best"
  bench internal/vec -test.bench '^BenchmarkFMAPeak$' -test.benchtime 200ms | value GFLOP/s-at-best most |
    awk '{ printf "  %-34s %8.1f\n", $1, $2 }'
} >"$tmp/text"
# A section is a line of text and indented figures: one without figures means that a benchmark's name has changed.
awk '/^[^ #]/ { if (title) { print "bench/measurements.sh: nothing under: " title; bad = 1 } title = $0 }
  /^ / { title = "" }
  END { if (title) { print "bench/measurements.sh: nothing under: " title; bad = 1 } exit bad }' "$tmp/text" >&2
mkdir -p "$(dirname "$file")"
mv "$tmp/text" "$file"
cat "$file"
