#!/bin/sh
# What the build stages need and no image keeps: uv and hatchling from their lock, and `strip`.
set -eu
export PIP_CACHE_DIR=/cache/pip
pip install --quiet --root-user-action ignore --require-hashes -r /build/requirements.txt
apt-get update -qq
apt-get install -qq --yes --no-install-recommends binutils > /dev/null
