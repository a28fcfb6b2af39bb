#!/usr/bin/env bash
# Prints what `go build -tags gpu` needs, as lines for a shell: env=$(cuda/env.sh) && eval "$env". The headers are those of a CUDA toolkit
# 11.8 to 13 ($CUDA_HOME, $CUDA_PATH, that of nvcc, /usr/local/cuda, /opt/cuda, /usr), else of the wheels that cuda/fetch.sh fetches. What is
# linked against is a libcuda.a made from those headers, whose functions jump into the driver's libcuda.so.1, or another
# that LD_LIBRARY_PATH has (the simulated one of internal/simcuda). It is opened when the program starts, so that one
# without a driver starts and can say so, and one with an older driver does without functions that nothing calls.
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
case $($cc -dumpmachine) in
x86_64-*) jump='jmp *godcem_cuda+8*\2(%rip)' ;;
aarch64-*) jump='adrp x16, godcem_cuda+8*\2\\nldr x16, [x16, :lo12:godcem_cuda+8*\2]\\nbr x16' ;;
*) echo "cuda/env.sh: $($cc -dumpmachine): CUDA is used on linux/amd64 and linux/arm64 alone" >&2 && exit 1 ;;
esac
link=$root/.cuda/link/$(version "$include")-$($cc -dumpmachine)
if [ ! -f "$link/libcuda.a" ]; then
  mkdir -p "$link"
  echo '*' >.cuda/.gitignore
  new=$(mktemp -d "$link.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  # Every function that the headers declare, by the name that its calls have, with a number.
  $cc -E -P -I cuda/compat -I "$include" -include cuda.h -x c /dev/null | grep -oE '\bcu[A-Z][A-Za-z0-9_]* *\(' | tr -d ' (' | sort -u |
    awk '{ print $1, NR - 1 }' >"$new/names"
  {
    cat cuda/link.c
    echo 'static const char *const names[] = {'
    sed 's/\(.*\) .*/"\1",/' "$new/names"
    echo '};'
    echo 'void *godcem_cuda[sizeof names / sizeof *names] __attribute__((visibility("hidden")));'
    echo '__attribute__((constructor)) static void load(void) { find(names, godcem_cuda, sizeof names / sizeof *names); }'
    sed "s/\(.*\) \(.*\)/__asm__(\".text\\\\n.globl \1\\\\n.type \1, %function\\\\n\1:\\\\n$jump\\\\n.size \1, .-\1\");/" "$new/names"
  } >"$new/link.c"
  $cc -O2 -fPIC -c -o "$new/link.o" "$new/link.c"
  ar rcs "$new/libcuda.a" "$new/link.o"
  mv "$new/libcuda.a" "$link/libcuda.a"
fi
flags="-O2 -g -I$root/cuda/compat -I$include"
libs="-L$link -Wl,--push-state,--no-as-needed -ldl -Wl,--pop-state"
printf 'export CGO_ENABLED=1 CGO_CFLAGS=%q CGO_LDFLAGS=%q\n' "${CGO_CFLAGS:+$CGO_CFLAGS }$flags" "${CGO_LDFLAGS:+$CGO_LDFLAGS }$libs"
