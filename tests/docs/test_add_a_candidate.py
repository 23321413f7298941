"""docs/how-to/add-a-candidate.md is executed: its lines go into CANDIDATES, its commands run on a small store."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import joblib
import mlflow
import pytest

from harness.jobs import Bench
from harness.project import PROJECT
from ratchet.candidates import CANDIDATES, Candidate, SklearnCandidate
from ratchet.jobs import keys
from ratchet.windows import Window

PAGE = (PROJECT / "docs/how-to/add-a-candidate.md").read_text()
SOURCE = "synthetic:rows=1000&weeks=1&test_rows=500&drift_week=none&seed=1"


def blocks(language: str) -> list[str]:
    """The contents of the page's code blocks in one language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_every_block_is_executed() -> None:
    """No code block is in a language that the test below leaves out."""
    assert len(blocks("python")) + len(blocks("sh")) == PAGE.count("\n```") / 2


def test_the_walk_through_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the page's lines in CANDIDATES, its commands train, compare, promote and export the new candidates."""
    names: dict[str, Any] = {"Candidate": Candidate, "SklearnCandidate": SklearnCandidate}
    added = [eval(line, names) for block in blocks("python") for line in block.splitlines()]
    for candidate in added:
        monkeypatch.setitem(CANDIDATES, candidate.name, candidate)
    monkeypatch.chdir(tmp_path)
    bench = Bench(tmp_path / "store")
    bench.prepare(SOURCE, batches=1)
    for block in blocks("sh"):
        for command in block.splitlines():
            program, *arguments = shlex.split(command)
            assert program == "ratchet"
            bench.ratchet(*arguments)
    assert bench.ledger.decision(1).action == "promote"
    assert set(bench.evidence("0-0").compared) == {"linear-svc", *(candidate.name for candidate in added)}
    trained = {candidate.name: bench.manifest(keys.model(Window(0), candidate.name)) for candidate in added}
    assert {candidate.name: candidate.parameters for candidate in added} == {
        name: {key: value for key, value in made.parameters.items() if key != "window"}
        for name, made in trained.items()
    }
    assert joblib.load(tmp_path / "model.joblib").predict(["This works very well"]).tolist() in ([0], [1])
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # None resets it
