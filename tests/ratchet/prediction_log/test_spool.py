"""The spool: what was appended outlasts the process, is bounded, and is replayed by one process at a time."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.prediction_log import label_of, prediction
from ratchet.prediction_log import spool as spool_module
from ratchet.prediction_log.spool import Segment, Spool, SpoolFull

MIB = 1 << 20

HOLDS = """
import signal, sys
from pathlib import Path
from harness.prediction_log import prediction
from ratchet.prediction_log.spool import Spool

spool = Spool(Path(sys.argv[1]), 1 << 20)
spool.append([prediction("kept")])
print("kept", flush=True)
signal.pause()
"""

LIMITED = """
import resource, sys
from pathlib import Path
from harness.prediction_log import prediction
from ratchet.prediction_log.spool import Spool, SpoolFull

spool = Spool(Path(sys.argv[1]), 1 << 20)
spool.append([prediction("first")])
resource.setrlimit(resource.RLIMIT_FSIZE, (spool.bytes() + 100, resource.RLIM_INFINITY))
try:
    spool.append([prediction("torn")])
except SpoolFull as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
spool.append([prediction("second")])
"""


def started(script: str, folder: Path) -> subprocess.Popen[str]:
    """Another process that uses the same spool."""
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path}\n{script}", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ids(segment: Segment) -> list[str]:
    return [row.prediction_id for row in segment.rows()[0]]


def replay(spool: Spool) -> list[str]:
    """The ids of all that can be replayed, which is forgotten then."""
    found = []
    for segment in spool.segments():
        found += ids(segment)
        segment.remove()
    return found


def test_rows_come_back_in_their_order(tmp_path: Path) -> None:
    """Predictions and labels alike, with text and without, once they are sealed."""
    spool = Spool(tmp_path / "spool", MIB)
    rows = [prediction("b", title="Größe\n", text="\u2028 没有"), prediction("a")]
    spool.append(rows)
    spool.append([label_of("a", 1)])
    assert list(spool.segments()) == []
    spool.seal()
    assert [segment.rows() for segment in spool.segments()] == [(rows, [label_of("a", 1)])]
    assert replay(spool) == ["b", "a"]
    assert spool.bytes() == 0


def test_it_does_not_grow_beyond_its_bound(tmp_path: Path) -> None:
    """Nothing of what does not fit is kept; after a replay there is prefix again."""
    spool = Spool(tmp_path, 1_000)
    for name in ("a", "b", "c"):
        spool.append([prediction(name)])
    with pytest.raises(SpoolFull, match="has reached 1000 bytes"):
        spool.append([prediction("d"), prediction("e")])
    assert 500 < spool.bytes() <= 1_000
    spool.seal()
    assert replay(spool) == ["a", "b", "c"]
    spool.append([prediction("d"), prediction("e")])


def test_its_files_stay_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new one begins where one is long enough, so that a replay never holds much in memory."""
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 1_000)
    spool = Spool(tmp_path, MIB)
    rows = [prediction() for _ in range(20)]
    for row in rows:
        spool.append([row])
    spool.seal()
    sizes = [segment.size for segment in spool.segments()]
    assert len(sizes) > 3
    assert max(sizes) < 1_500
    assert replay(spool) == [row.prediction_id for row in rows]


def test_what_a_killed_process_left_is_replayed_by_another(tmp_path: Path) -> None:
    """Not before: as long as it lives, its file is its own."""
    spool = Spool(tmp_path, MIB)
    process = started(HOLDS, tmp_path)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "kept\n"
        assert replay(spool) == []
        assert spool.bytes() > 0
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert replay(spool) == ["kept"]
    assert replay(spool) == []


def test_a_torn_end_is_dropped(tmp_path: Path) -> None:
    """Wherever in the last row a kill fell, the rows before it come back, and nobody stumbles."""
    spool = Spool(tmp_path, MIB)
    spool.append([prediction("whole"), prediction("torn")])
    spool.seal()
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    for end in range(first, len(content)):
        path.write_bytes(content[:end])
        assert [ids(segment) for segment in spool.segments()] == [["whole"]]


def test_what_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    """A whole row in another version's form is kept for a person, and replayed no more; its neighbours are replayed."""
    spool = Spool(tmp_path, MIB)
    spool.append([prediction("a")])
    spool.seal()
    (path,) = tmp_path.iterdir()
    path.write_bytes(b'{"prediction": {"of": "the future"}}\n[]\n' + path.read_bytes())
    assert replay(spool) == ["a"]
    assert [left.name for left in tmp_path.iterdir()] == [f"{path.name}.unreadable"]
    assert replay(spool) == []


def test_a_full_disk_takes_nothing_by_halves(tmp_path: Path) -> None:
    """Where the kernel writes no further, the row is refused as a whole; with prefix again, the next one follows."""
    process = started(LIMITED, tmp_path)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "cannot be written to" in said
    assert replay(Spool(tmp_path, MIB)) == ["first", "second"]


def test_a_folder_that_was_cleared_is_made_again(tmp_path: Path) -> None:
    """Whoever clears a cache under a running process takes what was there, but not what comes."""
    spool = Spool(tmp_path / "spool", MIB)
    spool.append([prediction("cleared")])
    shutil.rmtree(tmp_path / "spool")
    spool.append([prediction("after")])
    spool.seal()
    assert replay(spool) == ["after"]


def test_a_place_that_is_no_folder_takes_nothing(tmp_path: Path) -> None:
    """Said in the one error that the log reckons with."""
    (tmp_path / "file").write_text("in the way")
    spool = Spool(tmp_path / "file", MIB)
    with pytest.raises(SpoolFull, match="cannot be written to"):
        spool.append([prediction()])
    assert spool.bytes() == 0
