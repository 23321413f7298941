"""The environment variables of the services and jobs on this machine: an allow-list, so that no shell changes them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

KEPT = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"}  # where programs and files are
    | {"PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "NUMBA_CACHE_DIR"}  # how this Python finds its packages
    | {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"}  # how many cores it may use
    | {"TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"}  # how the terminal looks
)
"""The variables of the caller's shell that services and jobs see. All others could lead them to other systems: proxies,
`PG*`, `AWS_*`, `MLFLOW_*`, `AIRFLOW*` and `RATCHET_*` among them."""

FIXED = {
    "LC_ALL": "C.UTF-8",  # exists on every machine; a locale that does not stops Postgres
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
    "AWS_CONFIG_FILE": os.devnull,  # boto3 reads endpoints and profiles there
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def isolated_environment() -> dict[str, str]:
    """The environment variables of this process that are in `KEPT`, and those of `FIXED`."""
    return {name: text for name, text in os.environ.items() if name in KEPT} | FIXED


@contextmanager
def replaced_environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Make `environment` the only environment variables of this process until the block ends."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
