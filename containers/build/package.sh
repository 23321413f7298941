#!/bin/sh
# Install the package `ratchet` from the sources in $1 into /opt/ratchet, as a wheel.
set -eu
cd "$1"
hatchling build -t wheel -d /tmp/dist
uv pip install --quiet --python /opt/ratchet --compile-bytecode --no-deps /tmp/dist/*.whl
