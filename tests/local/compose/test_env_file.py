"""`.env` is generated once and readable only by its owner; a stack that cannot start fails before the build."""

from __future__ import annotations

import socket
import stat
import subprocess
from pathlib import Path

import pytest

from local.compose import compose, up
from local.compose.env_file import PASSWORDS, PORTS, Env, docker_group
from ratchet.errors import ConfigurationError


def test_passwords_are_generated_once_and_are_all_different(tmp_path: Path) -> None:
    """A second start keeps them, because the databases keep them."""
    first, other = Env.update(tmp_path / ".env", {}), Env.update(tmp_path / "other.env", {})
    again = Env.update(tmp_path / ".env", {})
    assert again.values == first.values == Env.read(tmp_path / ".env").values
    secrets = [env[name] for env in (first, other) for name in (*PASSWORDS, "AIRFLOW_FERNET_KEY", "SERVING_KEY")]
    assert len(set(secrets)) == len(secrets)
    assert min(map(len, secrets)) >= 32


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """The file has this mode from its creation on."""
    path = Env.update(tmp_path / ".env", {}).path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_update_keeps_the_edits_of_the_owner(tmp_path: Path) -> None:
    """A port that was changed by hand stays; the commit is replaced."""
    path = Env.update(tmp_path / ".env", {"CODE_VERSION": "old"}).path
    before = path.read_text().replace(f"AIRFLOW_PORT='{Env.read(path)['AIRFLOW_PORT']}'", "AIRFLOW_PORT=18080")
    path.write_text(f"{before}# mine\nOTHER=1\n")
    made = Env.update(path, {"CODE_VERSION": "new"})
    assert (made["AIRFLOW_PORT"], made["CODE_VERSION"], made["OTHER"]) == ("18080", "new", "1")
    assert "# mine" in path.read_text()


def test_a_line_that_is_not_a_setting_is_reported(tmp_path: Path) -> None:
    """Compose, shells and `Env` must read the same values, or the passwords differ from those of the databases."""
    (tmp_path / ".env").write_text("A='1'\nB 2\n")
    with pytest.raises(ConfigurationError, match="line 2"):
        Env.read(tmp_path / ".env")
    with pytest.raises(ConfigurationError, match="quote"):
        Env.update(tmp_path / "new.env", {"SOURCE": "it's"})


def test_a_shell_reads_the_same_values(tmp_path: Path) -> None:
    """The README uses `source .env`."""
    source = "synthetic:rows=40&x=$HOME #no comment"
    path = Env.update(tmp_path / ".env", {"SOURCE": source}).path
    done = subprocess.run(["sh", "-c", f'. {path} && printf %s "$SOURCE"'], capture_output=True, text=True, check=True)
    assert done.stdout == source == Env.read(path)["SOURCE"]


def test_a_port_in_use_is_not_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program may listen on Airflow's usual port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setitem(PORTS, "AIRFLOW_PORT", listener.getsockname()[1])
        assert Env.update(tmp_path / ".env", {})["AIRFLOW_PORT"] != str(listener.getsockname()[1])


def test_a_port_in_use_at_a_later_start_is_reported(tmp_path: Path) -> None:
    """The error comes before any container starts, and names the file in which to choose another port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        env = Env.update(tmp_path / ".env", {"MLFLOW_PORT": str(listener.getsockname()[1])})
        with pytest.raises(ConfigurationError, match=r"MLFLOW_PORT=\d+: choose other ports in .env"):
            up._check_ports_are_free(env)


def test_a_project_without_dags_is_not_released(tmp_path: Path) -> None:
    """The error is a ConfigurationError, which the command line prints without a traceback."""
    env = Env.update(tmp_path / ".env", {})
    with pytest.raises(ConfigurationError, match="no folder dags/"):
        up.deploy(env, tmp_path)


def test_without_an_env_file_the_error_names_make_up(tmp_path: Path) -> None:
    """Every command but `make up` needs the file."""
    with pytest.raises(ConfigurationError, match="make up"):
        Env.read(tmp_path / ".env")


def test_without_docker_the_error_names_make_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds for a missing socket and for a missing command."""
    with pytest.raises(ConfigurationError, match="make demo"):
        docker_group(tmp_path / "docker.sock")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="no command `docker`"):
        compose.check_docker()


@pytest.mark.parametrize("reviews", ["typo.tgz", "s3://bucket/reviews.tgz", "kaggle:owner/reviews"])
def test_reviews_that_no_container_can_read_are_refused_before_the_build(
    reviews: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes from `make up`, not ten minutes later from a job."""
    monkeypatch.setattr(up, "check_docker", lambda: None)
    with pytest.raises(ConfigurationError, match=r"REVIEWS"):
        up.up(tmp_path / ".env", {}, reviews)
    assert not (tmp_path / ".env").exists()


def test_variables_of_the_shell_do_not_override_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose would prefer a variable of the shell, and the password would differ from that of the databases."""
    monkeypatch.setenv("RATCHET_DB_PASSWORD", "of-the-shell")
    assert "RATCHET_DB_PASSWORD" not in compose._environment()
