"""Settings from the environment: what is wrong is named, and no password is shown."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from ratchet.errors import ConfigurationError
from ratchet.serving.settings import ServingSettings
from ratchet.settings import Settings


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("RATCHET_SEED_BATCHES", "ten", "RATCHET_SEED_BATCHES: Input should be a valid integer"),
        ("RATCHET_SERVING_RATE", "fast", "RATCHET_SERVING_RATE: Input should be a valid number"),
        ("RATCHET_SERVING_LOG_MODE", "sometimes", "RATCHET_SERVING_LOG_MODE: Input should be 'fsync' or 'buffered'"),
        ("RATCHET_FIRST_WEEK", "2026-13-01", "RATCHET_FIRST_WEEK: "),
        ("RATCHET_LEDGER", "postgres://me:hunter2@db/ratchet", r"'postgres'; write postgresql\+psycopg://HOST"),
        ("RATCHET_LEDGER", "postgresql://me:hunter2@db/ratchet", r"'postgresql'; write postgresql\+psycopg://HOST"),
        ("RATCHET_LEDGER", "mysql://me:hunter2@db/ratchet", "'mysql'; write postgres"),
        ("RATCHET_LEDGER", "postgresql+psycopg://me:hunter2@db:hunter/ratchet", "'hunter' is no port"),
        ("RATCHET_LEDGER", "postgresql+psycopg://me:hunter2@db:99999/ratchet", "'99999' is no port"),
        ("RATCHET_LEDGER", "ledger.db", "RATCHET_LEDGER: write postgresql"),
    ],
)
def test_a_wrong_value_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    """The message names the variable and shows no password."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=message) as error:
        ServingSettings()
    assert "hunter2" not in str(error.value)
    assert "docs/settings.md" in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:hunter2@db:5432/ratchet",
        "postgresql+psycopg://me:a%2Fb%40c@db/ratchet?sslmode=require",
        "postgresql+psycopg://me@[::1]:5432/ratchet",
        "postgresql+psycopg://postgres:@/ratchet?host=/tmp/sockets",
        "postgresql+psycopg:///ratchet",
        "sqlite:////var/lib/ledger.db",
    ],
)
def test_the_forms_of_a_database_url(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Whatever SQLAlchemy reads as Postgres by psycopg, or as SQLite, is accepted as it is."""
    monkeypatch.setenv("RATCHET_LEDGER", url)
    assert Settings().ledger_url.get_secret_value() == url
    assert sa.make_url(url).get_backend_name() in {"postgresql", "sqlite"}
