#!/usr/bin/env bash
# For the end of `make test`: says that what needs MuJoCo was left out, where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
dir="${GODCEM_MUJOCO_DIR:-.mujoco}"
if compgen -G "$dir/mujoco/libmujoco*" > /dev/null; then exit 0; fi
if [ -n "${GODCEM_MUJOCO_DIR:-}" ]; then echo "GODCEM_MUJOCO_DIR=$dir has no MuJoCo library"; fi
echo "not run, for want of MuJoCo: episodes, faults and threads of cheetah and walker (models/env/mujoco):" \
  "\`make mujoco\` fetches it"
