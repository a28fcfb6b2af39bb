#!/usr/bin/env bash
# The go command with what `-tags gpu` needs: cuda/go.sh build -tags gpu ./cmd/godcem
set -euo pipefail
env=$("$(dirname "$0")/env.sh")
eval "$env"
exec "${GO:-go}" "$@"
