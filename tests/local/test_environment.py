"""What the shell of the caller has set reaches no service and no job."""

from __future__ import annotations

import os

import pytest

from harness.shell import HOSTILE
from local.environment import FIXED, KEPT, isolated_environment, replaced_environment


def test_only_the_listed_variables_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each hostile one is gone, or has the value that is right on every machine."""
    for name, text in HOSTILE.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("TMPDIR", "/some/where")
    found = isolated_environment()
    assert {name: found[name] for name in HOSTILE if name in found} == {
        name: FIXED[name] for name in HOSTILE if name in FIXED
    }
    assert found["TMPDIR"] == "/some/where"
    assert found["PATH"] == os.environ["PATH"]
    assert set(found) <= KEPT | set(FIXED)


def test_the_environment_of_the_caller_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only within the block this process lacks what the shell has set."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    before = dict(os.environ)
    with replaced_environment(isolated_environment()):
        assert "http_proxy" not in os.environ
    assert dict(os.environ) == before


def test_the_environment_comes_back_after_an_error() -> None:
    """The error passes through."""
    before = dict(os.environ)
    with pytest.raises(KeyError), replaced_environment({}):
        os.environ["NO_SUCH_VARIABLE_BEFORE"] = os.environ["PATH"]
    assert dict(os.environ) == before
