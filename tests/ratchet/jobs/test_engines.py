"""An engine is chosen by name, and one that cannot run says what is missing."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from ratchet.cli.app import app
from ratchet.data.spark.session import require_spark
from ratchet.errors import ConfigurationError
from ratchet.jobs import engines


@pytest.mark.parametrize("job", ["preprocess", "split"])
def test_every_engine_has_both_jobs(job: str) -> None:
    """They are told apart by the engine alone."""
    makes = [engines.job(job, engine) for engine in engines.ENGINES]
    assert {make.__name__ for make in makes} == {job}
    assert len(set(makes)) == 2


@pytest.mark.parametrize("job", ["preprocess", "split"])
def test_an_unknown_engine_is_an_error_that_lists_all(job: str, tmp_path) -> None:
    """Whoever misspells one sees what there is."""
    result = CliRunner().invoke(app, [job, "--engine", "sparc", "--store", str(tmp_path)])
    assert isinstance(result.exception, ConfigurationError)
    assert str(result.exception) == "'sparc' is no engine. Choose one of: local, spark."


def test_without_pyspark_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no part of any image."""
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'ratchet\[spark\]'"):
        require_spark()
