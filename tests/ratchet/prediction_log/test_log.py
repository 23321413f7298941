"""The prediction log: no row is lost while sink or spool accepts it, none is stored twice, and no request fails."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from harness.prediction_log import Postgres, in_files, in_tables, label_of, labels_in_tables, prediction
from harness.serving import wait_until
from ratchet.jobs.storage import FolderStorage
from ratchet.prediction_log.log import PredictionLog
from ratchet.prediction_log.records import FeedbackRecord, PredictionRecord
from ratchet.prediction_log.sinks.base import WriteResult
from ratchet.prediction_log.sinks.database import DatabaseSink
from ratchet.prediction_log.sinks.files import FileSink
from ratchet.prediction_log.spool import Spool, SpoolFull

MIB = 1 << 20
SOON, NEVER = 0.02, 3_600.0

BUFFERED = """
import itertools, sys
from pathlib import Path
from pydantic import SecretStr
from harness.prediction_log import prediction
from ratchet.prediction_log.log import PredictionLog
from ratchet.prediction_log.spool import Spool
from ratchet.prediction_log.sinks.database import DatabaseSink

url, spool, flush_seconds = sys.argv[1:]
with PredictionLog(DatabaseSink(SecretStr(url)), Spool(Path(spool), 1 << 20), buffered=True,
                   flush_seconds=float(flush_seconds)) as log:
    for line in sys.stdin:
        log.record([prediction(line.strip())])
        print(line.strip(), flush=True)
"""


class SlowDatabaseSink(DatabaseSink):
    """The real sink; it counts its transactions, which wait until the test releases them."""

    def __init__(self, url: SecretStr) -> None:
        super().__init__(url)
        self.writes: list[int] = []
        self.entered, self.go_on = threading.Event(), threading.Event()

    def write(self, name: str, predictions: list[PredictionRecord], feedback: list[FeedbackRecord]) -> WriteResult:
        self.writes.append(len(predictions))
        self.entered.set()
        self.go_on.wait(30)
        return super().write(name, predictions, feedback)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> SecretStr:
    return SecretStr(f"sqlite:///{tmp_path}/log.db")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", MIB)


def until_up(log: PredictionLog) -> None:
    wait_until(lambda: log.state().sink_up)


def ids(rows: list[PredictionRecord]) -> list[str]:
    return [row.prediction_id for row in rows]


def test_a_row_is_stored_when_record_returns(url: SecretStr, spool: Spool) -> None:
    """This holds in fsync mode, in either database, with nothing in the spool."""
    with PredictionLog(DatabaseSink(url), spool, flush_seconds=NEVER) as log:
        until_up(log)
        for name in "abc":
            log.record([prediction(name)])
            assert ids(in_tables(url))[-1] == name
        assert (log.state().written, log.state().spooled, log.state().spool_bytes) == (3, 0, 0)


def test_threads_that_wait_together_share_a_transaction(sqlite_url: SecretStr, spool: Spool) -> None:
    """While one row is written, eight threads arrive; the next transaction has the rows of all of them."""
    sink = SlowDatabaseSink(sqlite_url)
    with PredictionLog(sink, spool, flush_seconds=NEVER) as log, ThreadPoolExecutor(9) as callers:
        until_up(log)
        first = callers.submit(log.record, [prediction()])
        sink.entered.wait(30)
        others = [callers.submit(log.record, [prediction(), prediction()]) for _ in range(8)]
        wait_until(lambda: len(log._group.rows) == 16)
        assert not any(each.done() for each in [first, *others])
        sink.go_on.set()
        for each in [first, *others]:
            each.result()
    assert sink.writes == [1, 16]
    assert len(in_tables(sqlite_url)) == 17


def test_no_row_is_lost_while_postgres_is_down(server: Postgres, postgres_url: SecretStr, tmp_path: Path) -> None:
    """It is stopped under load and started again: every row is stored once, and the spool is empty."""
    stop, spool = threading.Event(), Spool(tmp_path / "spool", 1 << 30)

    def answer(caller: int) -> list[str]:
        given: list[str] = []
        while not stop.is_set():
            given.append(f"{caller}-{len(given)}")
            log.record([prediction(given[-1])])
        return given

    def grown(count: str, before: int) -> bool:
        return bool(getattr(log.state(), count) > before + 20)

    with PredictionLog(DatabaseSink(postgres_url), spool, flush_seconds=SOON) as log, ThreadPoolExecutor(4) as callers:
        until_up(log)
        given = [callers.submit(answer, caller) for caller in range(4)]
        try:
            for _ in range(2):
                before = log.state().spooled
                server.stop()
                wait_until(partial(grown, "spooled", before))
                server.start()
                until_up(log)
                before = log.state().written
                wait_until(partial(grown, "written", before))
        finally:
            server.start()
            stop.set()
        answered = [each for caller in given for each in caller.result()]
    state = log.state()
    assert sorted(answered) == sorted(ids(in_tables(postgres_url)))
    assert (state.lost, state.contradicting, state.spool_bytes) == (0, 0, 0)
    assert state.written + state.repeated >= len(answered)


def test_requests_do_not_wait_for_a_database_that_hangs(
    server: Postgres, postgres_url: SecretStr, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request waits, now or later: all rows are spooled, and stored once when the database responds again."""
    monkeypatch.setattr("ratchet.prediction_log.sinks.database.TIMEOUT_SECONDS", 1)
    with PredictionLog(DatabaseSink(postgres_url), spool, flush_seconds=SOON) as log:
        until_up(log)
        log.record([prediction("a")])
        with server.frozen():
            for name in "bc":
                log.record([prediction(name)])
            assert log.add_feedback([label_of("a", 1)]) == ["accepted"]
            assert (log.state().spooled, log.state().lost) == (3, 0)
        until_up(log)
        wait_until(lambda: log.state().spool_bytes == 0)
    assert ids(in_tables(postgres_url)) == ["a", "b", "c"]


def test_rows_that_cannot_be_stored_are_counted(server: Postgres, postgres_url: SecretStr, tmp_path: Path) -> None:
    """With the sink down and the spool full, `record` returns, and the rows are counted as lost."""
    server.stop()
    try:
        with PredictionLog(DatabaseSink(postgres_url), Spool(tmp_path / "spool", 1_000), flush_seconds=SOON) as log:
            for number in range(10):
                log.record([prediction(f"p-{number}")])
            state = log.state()
            assert state.lost == 10 - state.spooled > 5
            with pytest.raises(SpoolFull):
                log.add_feedback([label_of("p-0", 1)] * 20)
            server.start()
            until_up(log)
            log.record([prediction("p-9")])
        assert len(in_tables(postgres_url)) == state.spooled + 1
    finally:
        server.start()


def test_a_spool_that_cannot_be_written_costs_nothing_while_the_sink_is_up(
    sqlite_url: SecretStr, tmp_path: Path
) -> None:
    """Rows go to the sink, also to one of files, which makes a file at once then."""
    (tmp_path / "file").write_text("in the way")
    for sink in (DatabaseSink(sqlite_url), FileSink(FolderStorage(tmp_path / "store"))):
        with PredictionLog(sink, Spool(tmp_path / "file", MIB), flush_seconds=SOON) as log:
            until_up(log)
            log.record([prediction("a")])
            assert (log.state().written, log.state().lost) == (1, 0)
    assert ids(in_tables(sqlite_url)) == ids(in_files(tmp_path / "store")) == ["a"]


def test_files_are_made_at_an_interval(spool: Spool, tmp_path: Path) -> None:
    """A row is in the spool when `record` returns and in a file after the interval; no row is in two files."""
    sink = FileSink(FolderStorage(tmp_path / "store"))
    with PredictionLog(sink, spool, flush_seconds=NEVER) as log:
        until_up(log)
        log.record([prediction("a")])
        assert (log.state().spooled, log.state().written) == (1, 0)
        assert spool.bytes() > 0
    assert (log.state().written, spool.bytes()) == (1, 0)
    with PredictionLog(sink, spool, flush_seconds=SOON) as log:
        for number in range(100):
            log.record([prediction(f"b-{number:02d}")])
            time.sleep(0.001)  # so that they fall into several files
        wait_until(lambda: log.state().written == 100)
    assert ids(in_files(tmp_path / "store")) == ["a", *(f"b-{number:02d}" for number in range(100))]
    assert len(list((tmp_path / "store").rglob("*.jsonl"))) > 2


def test_rows_stay_spooled_while_the_store_accepts_no_file(spool: Spool, tmp_path: Path) -> None:
    """They also stay when the process ends, and are replayed when the store accepts files again."""
    obstacle = tmp_path / "predictions"
    obstacle.write_text("in the way")
    with PredictionLog(FileSink(FolderStorage(tmp_path)), spool, flush_seconds=SOON) as log:
        for name in "ab":
            log.record([prediction(name)])
        assert (log.state().spooled, log.state().lost) == (2, 0)
    assert spool.bytes() > 0
    obstacle.unlink()
    with PredictionLog(FileSink(FolderStorage(tmp_path)), spool, flush_seconds=SOON) as log:
        wait_until(lambda: log.state().written == 2)
    assert ids(in_files(tmp_path)) == ["a", "b"]


def test_buffered_rows_are_written_at_the_interval_and_at_the_end(sqlite_url: SecretStr, spool: Spool) -> None:
    """`record` does not wait; the rows are stored when the interval has passed or the log ends."""
    with PredictionLog(DatabaseSink(sqlite_url), spool, buffered=True, flush_seconds=SOON) as log:
        until_up(log)
        log.record([prediction("a")])
        wait_until(lambda: ids(in_tables(sqlite_url)) == ["a"])
    with PredictionLog(DatabaseSink(sqlite_url), spool, buffered=True, flush_seconds=NEVER) as log:
        until_up(log)
        log.record([prediction("b")])
        assert ids(in_tables(sqlite_url)) == ["a"]
    assert ids(in_tables(sqlite_url)) == ["a", "b"]


def test_a_buffer_does_not_wait_for_a_replay(sqlite_url: SecretStr, spool: Spool) -> None:
    """However long a replay takes, a kill costs the rows of one interval and no more."""
    spool.append([prediction("a")])
    spool.seal()
    sink = SlowDatabaseSink(sqlite_url)
    with PredictionLog(sink, spool, buffered=True, flush_seconds=SOON) as log:
        sink.entered.wait(30)
        log.record([prediction("b")])
        wait_until(lambda: log.state().spooled == 1)
        sink.go_on.set()
        wait_until(lambda: log.state().written == 2)
    assert ids(in_tables(sqlite_url)) == ["a", "b"]


def test_a_buffer_does_not_grow_without_bound(
    sqlite_url: SecretStr, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that fills it waits until it is written, for any interval."""
    monkeypatch.setattr("ratchet.prediction_log.log.MAX_BUFFERED", 10)
    with PredictionLog(DatabaseSink(sqlite_url), spool, buffered=True, flush_seconds=NEVER) as log:
        until_up(log)
        for _ in range(25):
            log.record([prediction()])
        assert len(in_tables(sqlite_url)) == 20


@pytest.mark.parametrize(("flush_seconds", "found"), [(SOON, {"early"}), (NEVER, set())])
def test_a_kill_costs_the_buffer_and_no_more(
    server: Postgres, postgres_url: SecretStr, tmp_path: Path, flush_seconds: float, found: set[str]
) -> None:
    """Rows of the last interval may be lost after kill -9; older rows are stored."""
    script = f"import sys; sys.path[:] = {sys.path}\n{BUFFERED}"
    arguments = [postgres_url.get_secret_value(), str(tmp_path / "spool"), str(flush_seconds)]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("early\n")
        process.stdin.flush()
        while process.stdout.readline() != "early\n":  # the process logs to the same stream
            pass
        if found:
            wait_until(lambda: _ids_or_nothing(postgres_url) == found)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    DatabaseSink(postgres_url).write("", [], [])
    assert set(ids(in_tables(postgres_url))) == found
    assert not list(tmp_path.glob("spool/*"))


def _ids_or_nothing(url: SecretStr) -> set[str]:
    sink = DatabaseSink(url)
    sink.check()
    sink.close()
    return set(ids(in_tables(url)))


def test_labels_are_stored_while_the_sink_is_down(server: Postgres, postgres_url: SecretStr, spool: Spool) -> None:
    """They are accepted, and compared in order at the replay: the first one stays, the others are counted."""
    with PredictionLog(DatabaseSink(postgres_url), spool, buffered=True, flush_seconds=SOON) as log:
        until_up(log)
        log.record([prediction("a"), prediction("b")])
        wait_until(lambda: log.state().written == 2)
        assert log.add_feedback([label_of("a", 1)]) == ["added"]
        server.stop()
        try:
            assert log.add_feedback([label_of("a", 0), label_of("b", 0)]) == ["accepted", "accepted"]
            assert log.add_feedback([label_of("b", 1), label_of("c", 1)]) == ["accepted", "accepted"]
        finally:
            server.start()
        until_up(log)
        assert log.add_feedback([label_of("b", 0), label_of("c", 1)]) == ["known", "unknown prediction"]
    assert labels_in_tables(postgres_url) == {"a": 1, "b": 0, "c": 1}
    assert log.state().contradicting == 2


def test_an_unexpected_error_is_not_taken_for_a_sink_that_is_down(sqlite_url: SecretStr, spool: Spool) -> None:
    """It is raised in every caller whose rows were in the write."""

    class Faulty(DatabaseSink):
        def write(self, *arguments: object) -> WriteResult:
            raise AssertionError("a fault")

    with PredictionLog(Faulty(sqlite_url), spool, flush_seconds=NEVER) as log:
        until_up(log)
        for _ in range(2):
            with pytest.raises(AssertionError, match="a fault"):
                log.record([prediction()])


def test_an_unexpected_error_does_not_end_the_log(sqlite_url: SecretStr, spool: Spool) -> None:
    """In buffered mode the lost rows are counted, and later rows are written."""

    class Once(DatabaseSink):
        faults = 1

        def write(self, *arguments: Any) -> WriteResult:
            if self.faults:
                self.faults -= 1
                raise AssertionError("secret words of a review")
            return super().write(*arguments)

    with capture_logs() as logged, PredictionLog(Once(sqlite_url), spool, buffered=True, flush_seconds=SOON) as log:
        until_up(log)
        log.record([prediction("lost")])
        wait_until(lambda: log.state().lost == 1)
        until_up(log)
        log.record([prediction("kept")])
        wait_until(lambda: log.state().written == 1)
    assert ids(in_tables(sqlite_url)) == ["kept"]
    assert "AssertionError" in [event.get("kind") for event in logged]
    assert "secret words" not in str(logged)


def test_a_log_may_be_started_again(sqlite_url: SecretStr, spool: Spool) -> None:
    """A server may start one app twice."""
    log = PredictionLog(DatabaseSink(sqlite_url), spool, flush_seconds=NEVER)
    for name in "ab":
        with log:
            until_up(log)
            log.record([prediction(name)])
    assert ids(in_tables(sqlite_url)) == ["a", "b"]
