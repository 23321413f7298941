"""Copy reviews from a SQL table into the store as one CSV file, through Airflow's Postgres hook."""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import Connection

from ratchet.errors import ConfigurationError
from ratchet.jobs import keys
from ratchet.jobs.storage import open_storage
from ratchet.settings import Settings

COLUMNS = ("label", "title", "text")


def extract(settings: Settings, delivery: str) -> str:
    """Copy `label, title, text` of `postgresql+psycopg://…?table=[schema.]name` into the store; returns the file's URI.

    `label` is 1 (negative) or 2 (positive), as in Kaggle's layout. An existing file is not extracted again, so a week
    that is cleared reads the same rows. Raises ConfigurationError if the URL has no table.
    """
    from psycopg import sql

    source = settings.source.get_secret_value()
    table = parse_qs(urlsplit(source).query).get("table", [""])[0]
    if not table:
        raise ConfigurationError("A SQL source needs a table: postgresql+psycopg://user@host/database?table=reviews.")
    storage, key = open_storage(settings.store), f"{keys.incoming(delivery)}-{_table_digest(source)}.csv.gz"
    if storage.exists(key):
        return f"{storage.uri}/{key}"
    hook = PostgresHook(connection=airflow_connection(source))
    name = sql.Identifier(*table.split("."))
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY ctid) TO STDOUT WITH (FORMAT csv, FORCE_QUOTE *)")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reviews.csv.gz"
        with (
            hook.get_conn() as connection,
            connection.cursor() as cursor,
            gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as file,
            cursor.copy(query.format(columns, name)) as rows,
        ):
            for block in rows:
                file.write(block)
        storage.upload(path, key)
    return f"{storage.uri}/{key}"


def airflow_connection(source: str) -> Connection:
    """The Airflow connection for a source's URL. A `host` in the URL's query is the folder of a unix socket."""
    parts = urlsplit(source)
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return Connection(
        conn_id="reviews",
        conn_type="postgres",
        host=parts.hostname or options.get("host", ""),
        port=parts.port,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        schema=parts.path.lstrip("/"),
        extra=json.dumps({name: value for name, value in options.items() if name not in {"host", "table"}}),
    )


def _table_digest(source: str) -> str:
    """12 hexadecimal digits that differ between tables and stay the same when the user or the password changes."""
    parts = urlsplit(source)
    where = f"{parts.hostname}:{parts.port}{parts.path}?{parts.query}"
    return hashlib.sha256(where.encode()).hexdigest()[:12]
