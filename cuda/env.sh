#!/usr/bin/env bash
# Prints what `go build -tags gpu` needs, as lines for a shell: env=$(cuda/env.sh) && eval "$env". The headers are those of a CUDA toolkit
# 11.8 to 13 ($CUDA_HOME, $CUDA_PATH, that of nvcc, /usr/local/cuda, /opt/cuda, /usr), else of the wheels that cuda/fetch.sh fetches. What is
# linked against is a libcuda.so without any code, made from those headers: at run time the loader takes the
# driver's libcuda.so.1, or another that LD_LIBRARY_PATH has (the simulated one of internal/simcuda).
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

# version INCLUDE prints CUDA_VERSION of its cuda.h, 12090 for 12.9.
version() { sed -n 's/^#define CUDA_VERSION \([0-9]*\).*/\1/p' "$1/cuda.h" 2>/dev/null || true; }

include=
nvcc=$(command -v nvcc || true)
for home in "${CUDA_HOME:-}" "${CUDA_PATH:-}" ${nvcc:+"$(dirname "$(dirname "$(readlink -f "$nvcc")")")"} /usr/local/cuda /opt/cuda /usr; do
  if [ -z "$home" ] || [ ! -f "$home/include/cuda.h" ]; then continue; fi
  v=$(version "$home/include")
  if [ "${v:-0}" -ge 11080 ] && [ "$v" -lt 14000 ]; then
    include=$home/include
    break
  fi
  echo "cuda/env.sh: $home/include/cuda.h is of CUDA version ${v:-unknown}, want 11080 (11.8) to 13: passed over" >&2
done
if [ -z "$include" ]; then
  cuda/fetch.sh
  include=$root/.cuda/nvidia/cuda_runtime/include
fi

cc=${CC:-$(go env CC)}
if ! command -v ${cc%% *} >/dev/null; then
  echo "cuda/env.sh: no C compiler $cc, which cgo needs: install gcc" >&2
  exit 1
fi
link=$root/.cuda/link/$(version "$include")
if [ ! -f "$link/libcuda.so" ]; then
  mkdir -p "$link"
  echo '*' >.cuda/.gitignore
  new=$(mktemp -d "$link.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  # Every function that the headers declare, by the name that its calls have.
  $cc -E -P -I cuda/compat -I "$include" -include cuda.h -x c /dev/null | grep -oE '\bcu[A-Z][A-Za-z0-9_]* *\(' | tr -d ' (' | sort -u |
    sed 's/.*/int &(void) { return 999; }/' >"$new/stub.c"
  $cc -shared -fPIC -w -Wl,-soname,libcuda.so.1 -o "$new/libcuda.so" -x c "$new/stub.c"
  mv "$new/libcuda.so" "$link/libcuda.so"
fi
flags="-O2 -g -I$root/cuda/compat -I$include"
printf 'export CGO_ENABLED=1 CGO_CFLAGS=%q CGO_LDFLAGS=%q\n' "${CGO_CFLAGS:+$CGO_CFLAGS }$flags" "${CGO_LDFLAGS:+$CGO_LDFLAGS }-L$link"
