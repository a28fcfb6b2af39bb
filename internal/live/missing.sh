#!/usr/bin/env bash
# For the end of `make test`: says that the page was seen in no browser, where there is none.
set -euo pipefail
for name in "${GODCEM_BROWSER:-}" chromium chromium-browser google-chrome; do
  if [ -n "$name" ] && command -v "$name" >/dev/null; then exit 0; fi
done
echo "not run, for want of Chromium: the page of \`godcem serve\` in a browser, with a training as it goes on" \
  "(internal/live): Debian's is \`apt-get install chromium\`; GODCEM_BROWSER names another"
