#!/usr/bin/env bash
# Makes out/gpu-kit: all that bench/gpu.sh needs on a machine with a GPU, where there is neither Go nor a network. Copy the folder there
# and run its gpu.sh. The programs need glibc (that of this machine or a later one), the driver's libcuda.so.1 and NVRTC.
set -euo pipefail
cd "$(dirname "$0")/.."
kit=out/gpu-kit
rm -rf "$kit"
mkdir -p "$kit/peers"
small=(-tags gpu -trimpath -ldflags "-s -w")
cuda/go.sh test -c "${small[@]}" -o "$kit/cuda.test" ./engine/backend/cuda
cuda/go.sh test -c "${small[@]}" -o "$kit/steps.test" ./models/energy
cuda/go.sh build "${small[@]}" -o "$kit/suite" ./bench/suite
cp bench/gpu.sh "$kit/"
cp bench/peers/*.py "$kit/peers/"
{ git rev-parse --short=12 HEAD && git diff --quiet HEAD || echo "with changes"; } 2>/dev/null | paste -sd' ' >"$kit/commit"

bytes=$(du -sb "$kit" | cut -f1)
echo "$kit: $((bytes >> 20)) MiB"
if [ "$bytes" -gt $((60 << 20)) ]; then
  echo "gpu-kit: more than 60 MiB" >&2
  exit 1
fi
for f in cuda.test steps.test suite; do
  other=$(readelf -d "$kit/$f" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -vE '^(libcuda\.so\.1|lib(c|m|dl|pthread|rt|resolv)\.so\.[0-9]+|ld-linux.*)$' || true)
  if [ -n "$other" ]; then
    echo "gpu-kit: $f needs more than glibc and libcuda.so.1: $other" >&2
    exit 1
  fi
done
