"""The ledger in Postgres and in SQLite: one winner per race, no change of rows, and consistent after any kill."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from local.processes import postgres
from ratchet.errors import ConfigurationError, LedgerError, ServiceUnavailable
from ratchet.ledger.approval import Approval
from ratchet.ledger.decision import Decision
from ratchet.ledger.store import Champion, Ledger, decisions

RACES, WRITERS = 20, 4
numbers = itertools.count()

KILLED_INSIDE = """
import signal, sys
from pydantic import SecretStr
from ratchet.ledger.decision import Decision
from ratchet.ledger.store import Champion, Ledger

class Stuck(Ledger):
    def _compare_and_set(self, *arguments):
        super()._compare_and_set(*arguments)
        print("everything is written, nothing is committed", flush=True)
        signal.pause()

decision = Decision(subject="0-1/lost", action="promote", version=2, previous=1, reasons=["better"])
Stuck(SecretStr(sys.argv[1]), sys.argv[2]).record(decision, Champion(epoch=1, version=1))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database in an embedded Postgres."""
    with postgres.running(tmp_path_factory.mktemp("postgres")) as urls:
        yield urls["ratchet"]


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> SecretStr:
    """The URL of a ledger in each kind of database."""
    if request.param == "sqlite":
        return SecretStr(f"sqlite:///{tmp_path}/ledger.db")
    return SecretStr(request.getfixturevalue("server"))


@pytest.fixture
def opened() -> Iterator[Callable[[SecretStr, str], Ledger]]:
    """Opens ledgers, and closes their connections in the end."""
    ledgers: list[Ledger] = []

    def make(url: SecretStr, model: str) -> Ledger:
        ledgers.append(Ledger(url, model))
        return ledgers[-1]

    yield make
    for ledger in ledgers:
        ledger.engine.dispose()


@pytest.fixture
def ledger(url: SecretStr, opened: Callable[[SecretStr, str], Ledger]) -> Ledger:
    """An empty ledger of a model of its own."""
    return opened(url, f"model-{next(numbers)}")


def promotion(version: int, previous: int | None = None, subject: str = "") -> Decision:
    return Decision(
        subject=subject or f"0-{version}/x", action="promote", version=version, previous=previous, reasons=["better"]
    )


def test_an_empty_ledger_has_no_champion(ledger: Ledger) -> None:
    """Before the first promotion the epoch is 0, there is no version and no history."""
    assert (ledger.champion(), list(ledger.history())) == (Champion(epoch=0, version=None), [])


def test_a_promotion_moves_the_champion_and_is_stored(ledger: Ledger) -> None:
    """The row that comes back is the one that is stored, with its id, the new epoch and the time."""
    recorded = ledger.record(promotion(1), ledger.champion())
    assert ledger.champion() == Champion(epoch=1, version=1)
    assert recorded.id is not None
    assert [recorded] == ledger.history() == [ledger.find("0-1/x")] == [ledger.decision(recorded.id)]
    assert (recorded.epoch, recorded.champion) == (1, 1)
    assert recorded.decided_at.endswith("+00:00")


def test_a_keep_is_stored_and_moves_nothing(ledger: Ledger) -> None:
    """After a keep the champion is the same version, of the same epoch."""
    ledger.record(promotion(1), ledger.champion())
    kept = ledger.record(promotion(2, 1).model_copy(update={"action": "keep"}), ledger.champion())
    assert ledger.champion() == Champion(epoch=1, version=1)
    assert (kept.epoch, kept.champion) == (1, 1)


def test_the_same_subject_twice_gives_the_first_decision(ledger: Ledger) -> None:
    """A job that was killed after its commit and decides again, as it did before, gets what it wrote then."""
    first = ledger.record(promotion(1), Champion())
    assert ledger.record(promotion(1), Champion()) == first
    assert ledger.record(promotion(7, 1, subject=first.subject), ledger.champion()) == first
    assert (list(ledger.history()), ledger.champion()) == ([first], Champion(epoch=1, version=1))


def test_an_approval_is_stored_and_rows_without_one_are_read(ledger: Ledger) -> None:
    """An approval is read as it was given; a row from before approvals has none."""
    given = Approval(response="approve", by="jane", at="2026-01-12T10:00:00+00:00")
    ledger.record(promotion(1).model_copy(update={"approval": given}), Champion())
    old = promotion(2, 1).model_dump(mode="json", exclude={"id", "approval"})
    with ledger.engine.begin() as connection:
        row = {"registered_model": ledger.registered_model, "epoch": 2, "subject": old["subject"], "entry": old}
        connection.execute(decisions.insert().values(row))
    assert [row.approval for row in ledger.history()] == [given, None]


def test_a_champion_that_moved_refuses_and_nothing_is_written(ledger: Ledger) -> None:
    """A decision on a former champion raises LedgerError and leaves no row, be it a promotion or a keep."""
    ledger.record(promotion(1), Champion())
    before = ledger.history()
    for late in (promotion(2), promotion(2).model_copy(update={"action": "keep"})):
        with pytest.raises(LedgerError, match="moved on from epoch 0"):
            ledger.record(late, Champion())
    with pytest.raises(LedgerError, match="moved on from epoch 5"):
        ledger.record(promotion(2), Champion(epoch=5, version=4))
    assert (list(ledger.history()), ledger.champion()) == (list(before), Champion(epoch=1, version=1))


def test_models_do_not_meet(url: SecretStr, ledger: Ledger, opened: Callable[[SecretStr, str], Ledger]) -> None:
    """Two registered models share the tables and nothing else, not even the ids that they may read."""
    other = opened(url, f"{ledger.registered_model}-other")
    row = ledger.record(promotion(1), Champion())
    assert (other.champion(), list(other.history()), other.find(row.subject)) == (Champion(), [], None)
    assert row.id is not None
    with pytest.raises(LedgerError, match="has no decision"):
        other.decision(row.id)


@pytest.mark.parametrize("change", ["UPDATE decisions SET epoch = 9", "DELETE FROM decisions"])
def test_the_past_cannot_be_changed(ledger: Ledger, change: str) -> None:
    """The database itself refuses to update or delete a decision."""
    row = ledger.record(promotion(1), Champion())
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), ledger.engine.begin() as connection:
        connection.execute(sa.text(change))
    assert ledger.history() == [row]


def test_postgres_refuses_truncate_too(server: str, opened: Callable[[SecretStr, str], Ledger]) -> None:
    """Emptying the table at once is refused as well."""
    ledger = opened(SecretStr(server), "truncated")
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), ledger.engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE decisions"))


def together(tasks: Sequence[Callable[[], object]]) -> list[object]:
    """The results or exceptions of tasks that all start at the same moment."""
    gate = threading.Barrier(len(tasks))

    def start(task: Callable[[], object]) -> object:
        gate.wait(30)
        try:
            return task()
        except LedgerError as error:
            return error

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(start, tasks))


def test_exactly_one_writer_wins_each_race(url: SecretStr, opened: Callable[[SecretStr, str], Ledger]) -> None:
    """In 20 races, half of them for the first champion, one promotion is written and all others are refused."""
    for race in range(RACES):
        writers = [opened(url, f"race-{race}") for _ in range(WRITERS)]
        if race % 2:
            writers[0].record(promotion(1), Champion())
        start = writers[0].champion()
        tasks = [
            partial(writer.record, promotion(version, start.version), start)
            for version, writer in enumerate(writers, 10)
        ]
        won = [outcome for outcome in together(tasks) if isinstance(outcome, Decision)]
        assert len(won) == 1
        assert writers[0].champion() == Champion(epoch=start.epoch + 1, version=won[0].version)
        assert writers[0].history()[-1] == won[0]
        assert len(writers[0].history()) == start.epoch + 1


def test_twins_agree_on_one_decision(url: SecretStr, opened: Callable[[SecretStr, str], Ledger]) -> None:
    """The same job run twice at once writes one row, and both get it."""
    for pair in range(5):
        twins = [opened(url, f"twins-{pair}") for _ in range(2)]
        first, second = together([partial(twin.record, promotion(1), Champion()) for twin in twins])
        assert [first] == [second] == twins[0].history()


def test_many_may_open_a_new_ledger_at_once(
    request: pytest.FixtureRequest, url: SecretStr, opened: Callable[[SecretStr, str], Ledger]
) -> None:
    """Concurrent processes create the tables and their trigger once."""
    if url.get_secret_value().startswith("postgresql"):
        admin = sa.create_engine(url.get_secret_value(), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(sa.text("CREATE DATABASE fresh"))
        admin.dispose()
        url = SecretStr(url.get_secret_value().replace("/ratchet?", "/fresh?"))
    ledgers = together([lambda: opened(url, "fresh")] * 4)
    assert all(isinstance(ledger, Ledger) and ledger.history() == [] for ledger in ledgers)


def test_a_writer_killed_inside_its_transaction_leaves_the_ledger_whole(url: SecretStr, ledger: Ledger) -> None:
    """Kill -9 between the last write and the commit: neither row nor champion is there, and the next writer gets on."""
    first = ledger.record(promotion(1), Champion())
    command = [sys.executable, "-c", KILLED_INSIDE, url.get_secret_value(), ledger.registered_model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert "nothing is committed" in writer.stdout.readline()
        writer.kill()
    assert writer.returncode == -signal.SIGKILL
    assert (list(ledger.history()), ledger.champion()) == ([first], Champion(epoch=1, version=1))
    second = ledger.record(promotion(2, 1), ledger.champion())
    assert (list(ledger.history()), ledger.champion()) == ([first, second], Champion(epoch=2, version=2))


def test_a_ledger_that_does_not_answer_is_named_without_its_password() -> None:
    """The error names the place and what to do, never the secret."""
    with pytest.raises(ServiceUnavailable, match="Is Postgres up") as raised:
        Ledger(SecretStr("postgresql+psycopg://me:hush@127.0.0.1:9/ledger"), "model")
    assert "hush" not in str(raised.value)


def test_a_sqlite_ledger_that_does_not_answer_does_not_send_anybody_to_postgres(tmp_path: Path) -> None:
    """The remedy fits the database."""
    with pytest.raises(ServiceUnavailable, match="Can its folder be written to") as raised:
        Ledger(SecretStr(f"sqlite:///{tmp_path}/missing/ledger.db"), "model")
    assert "Postgres" not in str(raised.value)


def test_a_role_that_may_not_create_tables_is_told_so(server: str) -> None:
    """The message names the grant, and the command that the owner can run instead."""
    owner = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with owner.connect() as connection:
        connection.exec_driver_sql("CREATE ROLE reader LOGIN")
        connection.exec_driver_sql("CREATE DATABASE without_tables")
    url = sa.make_url(server).set(username="reader", database="without_tables")
    with pytest.raises(ConfigurationError, match=r"permission denied.*Grant it CREATE.*`ratchet migrate`"):
        Ledger(SecretStr(url.render_as_string(hide_password=False)), "denied")
