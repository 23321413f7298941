"""An engine is chosen by name, and the error of one that cannot run names what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ratchet.cli.app import app
from ratchet.data.spark.session import require_spark
from ratchet.errors import ConfigurationError
from ratchet.jobs import preprocess, split
from ratchet.jobs.base import resolve
from ratchet.jobs.options import ENGINES


@pytest.mark.parametrize("job", [preprocess, split])
def test_every_engine_has_both_jobs(job: object) -> None:
    """They differ by the engine alone."""
    assert tuple(job.IMPLEMENTATIONS) == ENGINES
    functions = [resolve(target) for target in job.IMPLEMENTATIONS.values()]
    assert {function.__name__ for function in functions} == {job.__name__.rpartition(".")[2]}
    assert len(set(functions)) == 2


@pytest.mark.parametrize("job", ["preprocess", "split"])
def test_an_unknown_engine_is_an_error_that_lists_all(job: str, tmp_path: Path) -> None:
    """A misspelled name is answered with the right ones."""
    result = CliRunner().invoke(app, [job, "--engine", "sparc", "--store", str(tmp_path)])
    assert isinstance(result.exception, ConfigurationError)
    assert str(result.exception) == "'sparc' is no engine. Choose one of: local, spark."


def test_without_pyspark_the_error_names_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """No image contains it."""
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'ratchet\[spark\]'"):
        require_spark()
