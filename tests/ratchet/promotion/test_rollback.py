"""A rollback by `ratchet rollback`: what it changes, and that two people who react to one alarm go back once.

Real jobs on a real store, with MLflow and ledger in SQLite.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from harness.jobs import BOTH, Bench
from ratchet.errors import LedgerError
from ratchet.ledger.store import Champion
from ratchet.model import artifact
from ratchet.model.artifact import Model
from ratchet.promotion.rollback import rollback

SOURCE = "synthetic:rows=3000&weeks=3&test_rows=1500&noise=0&drift_week=none&seed=1"


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store in which version 1 was champion, and version 2 is."""
    bench = Bench(tmp_path_factory.mktemp("rollback") / "store")
    bench.prepare(SOURCE, batches=2)
    bench.week("0-0", candidates=BOTH)
    bench.week("0-1")
    assert bench.ledger.champion().version == 2
    yield bench.store
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # None resets it


@pytest.fixture
def bench(promoted: Path, tmp_path: Path) -> Bench:
    """A copy of that store; MLflow reads the models where they were first, because it keeps absolute paths."""
    return Bench(shutil.copytree(promoted, tmp_path / "store"))


def refused(bench: Bench, *options: str, message: str) -> None:
    """Assert that the rollback is refused, and that neither ledger nor alias has changed."""
    before = bench.ledger.history(), bench.ledger.champion(), bench.registry.aliases()
    with pytest.raises(LedgerError, match=message):
        bench.ratchet("rollback", *options)
    assert (bench.ledger.history(), bench.ledger.champion(), bench.registry.aliases()) == before


def serving(bench: Bench) -> Champion:
    """The champion, once ledger and alias agree."""
    champion = bench.ledger.champion()
    assert bench.registry.aliases()["champion"] == champion.version
    return champion


@pytest.mark.parametrize("options", [[], ["--from", "2"], ["--to", "1"], ["--from", "2", "--to", "1"]])
def test_it_moves_ledger_and_alias(bench: Bench, options: list[str]) -> None:
    """A rollback is a decision like others: champion, aliases and history agree."""
    output = bench.ratchet("rollback", "--by", "a tester", *options)
    assert "Version 1 is champion again, after version 2" in output
    assert serving(bench) == Champion(epoch=3, version=1)
    assert bench.registry.aliases()["previous"] == 2
    last = bench.ledger.history()[-1]
    assert (last.action, last.decided_by, last.previous, last.champion) == ("rollback", "a tester", 2, 1)


@pytest.mark.parametrize("options", [["--from", "2"], ["--from", "2", "--to", "1"]])
def test_the_same_rollback_twice_is_one_decision(bench: Bench, options: list[str]) -> None:
    """The caller says which version should go; it has gone, so the second call confirms that and writes nothing."""
    first = bench.ratchet("rollback", "--by", "ada", "--from", "2")
    history = bench.ledger.history()
    assert bench.ratchet("rollback", "--by", "bob", *options) == first
    assert (bench.ledger.history(), serving(bench).version) == (history, 1)


@pytest.mark.parametrize("version", [None, 2])
def test_two_at_the_same_moment_are_one_decision(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, version: int | None
) -> None:
    """Bob's whole rollback happens while Ada's loads the model; the ledger gives Ada his decision."""
    ledger, registry, settings = bench.ledger, bench.registry, bench.settings
    load, bobs = artifact.load, []

    def load_while_bob_rolls_back(folder: Path) -> Model:
        monkeypatch.undo()
        bobs.append(rollback(ledger, registry, settings, to=None, by="bob", serving=version))
        return load(folder)

    monkeypatch.setattr(artifact, "load", load_while_bob_rolls_back)
    adas = rollback(ledger, registry, settings, to=None, by="ada", serving=version)
    assert [adas] == bobs == ledger.history()[2:]
    assert (adas.decided_by, serving(bench).version) == ("bob", 1)


def test_a_repetition_that_does_not_say_from_which_version_is_refused(bench: Bench) -> None:
    """The message says who did it already, and how to go further back."""
    bench.ratchet("rollback", "--by", "ada")
    refused(bench, message=r"Version 2 was rolled back to version 1 by ada .* with --from 1\.")


def test_a_rollback_from_a_version_that_is_not_champion_is_refused(bench: Bench) -> None:
    """The message names the champion, and the decision that made it champion."""
    refused(bench, "--from", "1", message=r"Version 1 is not the champion: version 2 is, since decision 2 by the gate")
    bench.ratchet("rollback", "--by", "ada")
    refused(bench, "--from", "3", "--to", "2", message=r"version 1 is, since decision 3 by ada")
    refused(bench, "--from", "2", "--to", "2", message=r"Version 2 is not the champion")


def test_a_second_rollback_does_not_bring_the_bad_version_back(bench: Bench) -> None:
    """Rollbacks walk backwards: version 1 replaced no champion, so there is no further version."""
    bench.ratchet("rollback")
    refused(bench, "--from", "1", message="Version 1 replaced no other champion")


def test_one_that_was_killed_before_mlflow_followed_is_finished(bench: Bench) -> None:
    """Run again, in any form, it moves the alias and decides nothing more."""
    bench.ratchet("rollback")
    history, registry = bench.ledger.history(), bench.registry
    for options in ([], ["--to", "1"], ["--from", "2"]):
        registry.client.set_registered_model_alias(registry.name, "champion", "2")
        bench.ratchet("rollback", *options)
        assert serving(bench).version == 1
        assert bench.ledger.history() == history


@pytest.mark.parametrize("version", ["3", "99"])
def test_it_goes_only_to_former_champions(bench: Bench, version: str) -> None:
    """The message lists them."""
    refused(bench, "--to", version, message=f"Version {version} was never champion. Choose one of: 1, 2")


def test_a_return_to_the_champion_is_refused(bench: Bench) -> None:
    """It would be a decision that changes nothing."""
    refused(bench, "--to", "2", message="is the champion already")
