"""`.env` is made once, for its owner alone, and what a stack cannot start from is said before anything is built."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from composed import compose, up
from composed.env import PASSWORDS, PORTS, Env, engine_group
from ratchet.errors import ConfigurationError


def test_passwords_are_made_once_and_differ_everywhere(tmp_path: Path) -> None:
    """Starting again keeps them, because the databases do."""
    first, other = Env.made(tmp_path / ".env", {}), Env.made(tmp_path / "other.env", {})
    again = Env.made(tmp_path / ".env", {})
    assert again.values == first.values == Env.read(tmp_path / ".env").values
    secrets = [env[name] for env in (first, other) for name in (*PASSWORDS, "AIRFLOW_FERNET_KEY", "SERVING_KEY")]
    assert len(set(secrets)) == len(secrets)
    assert min(map(len, secrets)) >= 32


def test_nobody_else_on_the_machine_reads_it(tmp_path: Path) -> None:
    """Nor does a moment pass in which they could."""
    path = Env.made(tmp_path / ".env", {}).path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_facts_of_the_moment_and_edits_of_the_owner_stay(tmp_path: Path) -> None:
    """A port that was changed by hand is kept; the commit is not."""
    path = Env.made(tmp_path / ".env", {"CODE_VERSION": "old"}).path
    path.write_text(path.read_text().replace(f"AIRFLOW_PORT={Env.read(path)['AIRFLOW_PORT']}", "AIRFLOW_PORT=18080"))
    made = Env.made(path, {"CODE_VERSION": "new"})
    assert (made["AIRFLOW_PORT"], made["CODE_VERSION"]) == ("18080", "new")


def test_a_port_that_is_taken_is_not_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program may listen where Airflow usually does."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setitem(PORTS, "AIRFLOW_PORT", taken.getsockname()[1])
        assert Env.made(tmp_path / ".env", {})["AIRFLOW_PORT"] != str(taken.getsockname()[1])


def test_without_an_env_there_is_no_stack(tmp_path: Path) -> None:
    """Every command but `make up` needs one, and says so."""
    with pytest.raises(ConfigurationError, match="make up"):
        Env.read(tmp_path / ".env")


def test_without_an_engine_the_demo_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its socket nor its command is taken for granted."""
    with pytest.raises(ConfigurationError, match="make demo"):
        engine_group(tmp_path / "docker.sock")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="no command `docker`"):
        compose.check()


@pytest.mark.parametrize("reviews", ["typo.tgz", "s3://bucket/reviews.tgz", "kaggle:owner/reviews"])
def test_reviews_that_no_container_could_read_are_refused_at_once(
    reviews: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after ten minutes of building, by a job."""
    monkeypatch.setattr(up, "check", lambda: None)
    with pytest.raises(ConfigurationError, match=r"REVIEWS"):
        up.up(tmp_path / ".env", {}, reviews)
    assert not (tmp_path / ".env").exists()


def test_only_the_env_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the shell would win over the file, and the databases know another password."""
    monkeypatch.setenv("RATCHET_DB_PASSWORD", "of-the-shell")
    assert "RATCHET_DB_PASSWORD" not in compose._environment()
