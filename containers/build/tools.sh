#!/bin/sh
# Install the tools of the build stages, which are not part of the images: uv and hatchling from their lock, and `strip`.
set -eu
export PIP_CACHE_DIR=/cache/pip
pip install --quiet --root-user-action ignore --require-hashes -r /build/requirements.txt
apt-get update -qq
apt-get install -qq --yes --no-install-recommends binutils > /dev/null
