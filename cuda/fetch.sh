#!/usr/bin/env bash
# Fetches CUDA's headers, NVRTC and ptxas into .cuda/ (350 MB), where there is no toolkit: three wheels from PyPI, pinned in
# cuda/requirements.txt. Does nothing where they are there already. It needs python3 with pip.
set -euo pipefail
cd "$(dirname "$0")/.."
want=$(cksum <cuda/requirements.txt)
if [ "$(cat .cuda/complete 2>/dev/null)" = "$want" ]; then exit 0; fi
case "$(uname -s) $(uname -m)" in
"Linux x86_64" | "Linux aarch64") ;;
*)
  echo "cuda/fetch.sh: there are no wheels for $(uname -s) $(uname -m), only for Linux on x86_64 and aarch64" >&2
  exit 1
  ;;
esac
if ! python3 -m pip --version >/dev/null 2>&1; then
  echo "cuda/fetch.sh: no python3 with pip: install those (python3-pip), or a CUDA toolkit 11.8 to 13 and set CUDA_HOME" >&2
  exit 1
fi
mkdir -p .cuda
echo '*' >.cuda/.gitignore
if command -v flock >/dev/null; then # another one may be at it
  exec 9>.cuda/lock
  flock 9
  if [ "$(cat .cuda/complete 2>/dev/null)" = "$want" ]; then exit 0; fi
fi
new=$(mktemp -d .cuda/new.XXXXXX) # complete or not there at all
trap 'rm -rf "$new"' EXIT
python3 -m pip download --disable-pip-version-check -q --no-deps --only-binary=:all: --require-hashes \
  -r cuda/requirements.txt -d "$new/wheels" || {
  echo "cuda/fetch.sh: pip could not fetch the wheels of cuda/requirements.txt: is the package index in reach?" >&2
  exit 1
}
for w in "$new"/wheels/*.whl; do python3 -m zipfile -e "$w" "$new"; done
rm -rf "$new/wheels"
chmod +x "$new/nvidia/cuda_nvcc/bin/ptxas"
rm -rf .cuda/nvidia
mv -T "$new/nvidia" .cuda/nvidia
echo "$want" >.cuda/complete
