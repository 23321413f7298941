#!/bin/sh
# Compile the kernels that serving calls into /opt/ratchet, with numba from the lock $1 in an environment that is not part of
# the image. The code is for any processor of the architecture: an image may be built on one machine and run on another.
set -eu
apt-get update -qq
apt-get install -qq --yes --no-install-recommends g++ > /dev/null
uv venv --quiet /opt/kernels
uv pip install --quiet --python /opt/kernels --link-mode copy --require-hashes -r "$1"
packages=/opt/ratchet/lib/python3.12/site-packages
echo "$packages" > /opt/kernels/lib/python3.12/site-packages/ratchet.pth # after its own packages, whose NumPy has headers
/opt/kernels/bin/python -m ratchet.cli.compile_kernels --ahead "$packages/ratchet/kernels"
strip --strip-unneeded "$packages"/ratchet/kernels/_ahead*.so
