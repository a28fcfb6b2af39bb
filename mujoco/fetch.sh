#!/usr/bin/env bash
# Fetches the MuJoCo library and the models of cheetah-run and walker-walk into .mujoco/ (66 MB to fetch, 8 MB kept):
# two wheels from PyPI, pinned in mujoco/requirements.txt. Does nothing where they are there already. It needs python3
# with pip.
set -euo pipefail
cd "$(dirname "$0")/.."
want=$(cat mujoco/requirements.txt mujoco/fetch.sh | cksum)
if [ "$(cat .mujoco/complete 2>/dev/null)" = "$want" ]; then exit 0; fi
case "$(uname -s) $(uname -m)" in
"Linux x86_64") platform=manylinux_2_28_x86_64 ;;
"Linux aarch64") platform=manylinux_2_28_aarch64 ;;
"Darwin arm64") platform=macosx_11_0_arm64 ;;
*)
  echo "mujoco/fetch.sh: MuJoCo has no wheel for $(uname -s) $(uname -m), only for Linux (x86_64, aarch64) and macOS (arm64)" >&2
  exit 1
  ;;
esac
if ! python3 -m pip --version >/dev/null 2>&1; then
  echo "mujoco/fetch.sh: no python3 with pip: install those (python3-pip)" >&2
  exit 1
fi
mkdir -p .mujoco
echo '*' >.mujoco/.gitignore
if command -v flock >/dev/null; then # another one may be at it
  exec 9>.mujoco/lock
  flock 9
  if [ "$(cat .mujoco/complete 2>/dev/null)" = "$want" ]; then exit 0; fi
fi
new=$(mktemp -d .mujoco/new.XXXXXX) # complete or not there at all
trap 'rm -rf "$new"' EXIT
python3 -m pip download --disable-pip-version-check -q --no-deps --only-binary=:all: --python-version 3.12 \
  --platform "$platform" --require-hashes -r mujoco/requirements.txt -d "$new/wheels" || {
  echo "mujoco/fetch.sh: pip could not fetch what mujoco/requirements.txt names: is the package index in reach?" >&2
  exit 1
}
python3 - "$new" <<'PY'
import glob, re, sys, zipfile

keep = re.compile(r"mujoco/libmujoco[^/]*|dm_control/suite/(cheetah|walker)\.xml|dm_control/suite/common/[^/]*\.xml|"
                  r"[^/]*\.dist-info/(licenses/)?(LICEN[CS]E|NOTICE)[^/]*", re.IGNORECASE)
for wheel in glob.glob(sys.argv[1] + "/wheels/*.whl"):
    with zipfile.ZipFile(wheel) as z:
        for name in z.namelist():
            if keep.fullmatch(name):
                z.extract(name, sys.argv[1])
PY
rm -rf "$new/wheels" .mujoco/mujoco .mujoco/dm_control .mujoco/*.dist-info
mv "$new"/* .mujoco/
echo "$want" >.mujoco/complete
