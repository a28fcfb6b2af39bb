#!/usr/bin/env bash
# For the end of `make test`: says that what needs MuJoCo was left out, where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -n "${GODCEM_MUJOCO_DIR:-}" ] || [ -e .mujoco/complete ]; then exit 0; fi
echo "not run, for want of MuJoCo: episodes, faults and threads of cheetah and walker (models/env/mujoco):" \
  "\`make mujoco\` fetches it"
