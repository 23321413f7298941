"""`.env` is made once, for its owner alone, and what a stack cannot start from is said before anything is built."""

from __future__ import annotations

import socket
import stat
import subprocess
from pathlib import Path

import pytest

from local.compose import compose, up
from local.compose.env_file import PASSWORDS, PORTS, Env, docker_group
from ratchet.errors import ConfigurationError


def test_passwords_are_made_once_and_differ_everywhere(tmp_path: Path) -> None:
    """Starting again keeps them, because the databases do."""
    first, other = Env.update(tmp_path / ".env", {}), Env.update(tmp_path / "other.env", {})
    again = Env.update(tmp_path / ".env", {})
    assert again.values == first.values == Env.read(tmp_path / ".env").values
    secrets = [env[name] for env in (first, other) for name in (*PASSWORDS, "AIRFLOW_FERNET_KEY", "SERVING_KEY")]
    assert len(set(secrets)) == len(secrets)
    assert min(map(len, secrets)) >= 32


def test_nobody_else_on_the_machine_reads_it(tmp_path: Path) -> None:
    """Nor does a moment pass in which they could."""
    path = Env.update(tmp_path / ".env", {}).path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_facts_of_the_moment_and_edits_of_the_owner_stay(tmp_path: Path) -> None:
    """A port that was changed by hand is kept; the commit is not."""
    path = Env.update(tmp_path / ".env", {"CODE_VERSION": "old"}).path
    before = path.read_text().replace(f"AIRFLOW_PORT='{Env.read(path)['AIRFLOW_PORT']}'", "AIRFLOW_PORT=18080")
    path.write_text(f"{before}# mine\nOTHER=1\n")
    made = Env.update(path, {"CODE_VERSION": "new"})
    assert (made["AIRFLOW_PORT"], made["CODE_VERSION"], made["OTHER"]) == ("18080", "new", "1")
    assert "# mine" in path.read_text()


def test_a_line_that_is_no_setting_is_named(tmp_path: Path) -> None:
    """Compose, shells and we must read the same, or the databases know another password."""
    (tmp_path / ".env").write_text("A='1'\nB 2\n")
    with pytest.raises(ConfigurationError, match="line 2"):
        Env.read(tmp_path / ".env")
    with pytest.raises(ConfigurationError, match="quote"):
        Env.update(tmp_path / "new.env", {"SOURCE": "it's"})


def test_a_shell_reads_what_we_read(tmp_path: Path) -> None:
    """`source .env` is in the README."""
    odd = "synthetic:rows=40&x=$HOME #no comment"
    path = Env.update(tmp_path / ".env", {"SOURCE": odd}).path
    done = subprocess.run(["sh", "-c", f'. {path} && printf %s "$SOURCE"'], capture_output=True, text=True, check=True)
    assert done.stdout == odd == Env.read(path)["SOURCE"]


def test_a_port_that_is_taken_is_not_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program may listen where Airflow usually does."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setitem(PORTS, "AIRFLOW_PORT", taken.getsockname()[1])
        assert Env.update(tmp_path / ".env", {})["AIRFLOW_PORT"] != str(taken.getsockname()[1])


def test_a_port_that_is_taken_later_is_named(tmp_path: Path) -> None:
    """Before anything is started, with the file in which to choose another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = Env.update(tmp_path / ".env", {"MLFLOW_PORT": str(taken.getsockname()[1])})
        with pytest.raises(ConfigurationError, match=r"MLFLOW_PORT=\d+: choose other ports in .env"):
            up._check_ports_are_free(env)


def test_a_project_without_dags_is_not_released(tmp_path: Path) -> None:
    """Its error is one for people, like every other."""
    env = Env.update(tmp_path / ".env", {})
    with pytest.raises(ConfigurationError, match="no folder dags/"):
        up.deploy(env, tmp_path)


def test_without_an_env_there_is_no_stack(tmp_path: Path) -> None:
    """Every command but `make up` needs one, and says so."""
    with pytest.raises(ConfigurationError, match="make up"):
        Env.read(tmp_path / ".env")


def test_without_an_engine_the_demo_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its socket nor its command is taken for granted."""
    with pytest.raises(ConfigurationError, match="make demo"):
        docker_group(tmp_path / "docker.sock")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="no command `docker`"):
        compose.check_docker()


@pytest.mark.parametrize("reviews", ["typo.tgz", "s3://bucket/reviews.tgz", "kaggle:owner/reviews"])
def test_reviews_that_no_container_could_read_are_refused_at_once(
    reviews: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after ten minutes of building, by a job."""
    monkeypatch.setattr(up, "check_docker", lambda: None)
    with pytest.raises(ConfigurationError, match=r"REVIEWS"):
        up.up(tmp_path / ".env", {}, reviews)
    assert not (tmp_path / ".env").exists()


def test_only_the_env_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the shell would win over the file, and the databases know another password."""
    monkeypatch.setenv("RATCHET_DB_PASSWORD", "of-the-shell")
    assert "RATCHET_DB_PASSWORD" not in compose._environment()
