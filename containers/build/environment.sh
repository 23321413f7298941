#!/bin/sh
# Make /opt/ratchet, the Python environment of an image, from the lock $1. Files that Ratchet does not use are removed (260 MB
# in training): libraries' tests and headers, Arrow's servers, AWS services that Ratchet does not call, debug symbols.
# (OpenBLAS, in *.libs, breaks if it is stripped.) Bytecode is compiled now, because a container's root is read-only.
set -eu
export UV_CACHE_DIR=/cache/uv
uv venv --quiet /opt/ratchet
uv pip install --quiet --python /opt/ratchet --link-mode copy --require-hashes -r "$1"
cd /opt/ratchet/lib/python3.12/site-packages
find . -type d -name tests -prune -exec rm -rf {} +
find . -type f \( -name '*.h' -o -name '*.hpp' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.a' \) -delete
rm -rf pyarrow/include pyarrow/lib*flight* pyarrow/_flight* pyarrow/src
if [ -d botocore/data ]; then
  find botocore/data -mindepth 1 -maxdepth 1 -type d | grep -vE '/(ecr|ecs|events|lambda|logs|s3|secretsmanager|sns|sqs|ssm|sso|sso-oidc|sts)$' \
    | xargs rm -rf
fi
find . -name '*.so*' -type f -not -path '*.libs/*' -exec strip --strip-unneeded {} +
/opt/ratchet/bin/python -m compileall -q -j 0 .
