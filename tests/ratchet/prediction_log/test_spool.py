"""The spool: appended rows outlast the process, its size is bounded, and one process at a time replays a file."""

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

LOCKS = """
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
    """The ids of all rows that can be replayed; their files are removed."""
    found = []
    for segment in spool.segments():
        found += ids(segment)
        segment.remove()
    return found


def test_rows_are_replayed_in_their_order(tmp_path: Path) -> None:
    """Predictions and labels, with text and without, once their file is sealed."""
    spool = Spool(tmp_path / "spool", MIB)
    rows = [prediction("b", title="Größe\n", text="\u2028 没有"), prediction("a")]
    spool.append(rows)
    spool.append([label_of("a", 1)])
    assert list(spool.segments()) == []
    spool.seal()
    assert [segment.rows() for segment in spool.segments()] == [(rows, [label_of("a", 1)])]
    assert replay(spool) == ["b", "a"]
    assert spool.bytes() == 0


def test_the_size_is_limited(tmp_path: Path) -> None:
    """Rows that do not fit are refused as a whole; after a replay there is space again."""
    spool = Spool(tmp_path, 1_000)
    for name in ("a", "b", "c"):
        spool.append([prediction(name)])
    with pytest.raises(SpoolFull, match="has reached 1000 bytes"):
        spool.append([prediction("d"), prediction("e")])
    assert 500 < spool.bytes() <= 1_000
    spool.seal()
    assert replay(spool) == ["a", "b", "c"]
    spool.append([prediction("d"), prediction("e")])


def test_files_are_split_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file begins at SEGMENT_BYTES, which bounds the memory of a replay."""
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


def test_files_of_a_killed_process_are_replayed_by_another(tmp_path: Path) -> None:
    """They are locked while the process is alive."""
    spool = Spool(tmp_path, MIB)
    process = started(LOCKS, tmp_path)
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


def test_an_incomplete_last_row_is_ignored(tmp_path: Path) -> None:
    """Wherever a kill cut the last row off, the rows before it are replayed."""
    spool = Spool(tmp_path, MIB)
    spool.append([prediction("whole"), prediction("torn")])
    spool.seal()
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    for end in range(first, len(content)):
        path.write_bytes(content[:end])
        assert [ids(segment) for segment in spool.segments()] == [["whole"]]


def test_unreadable_rows_are_kept_in_a_renamed_file(tmp_path: Path) -> None:
    """A row of another version's form is kept for a person and not replayed again; the other rows are replayed."""
    spool = Spool(tmp_path, MIB)
    spool.append([prediction("a")])
    spool.seal()
    (path,) = tmp_path.iterdir()
    path.write_bytes(b'{"prediction": {"of": "the future"}}\n[]\n' + path.read_bytes())
    assert replay(spool) == ["a"]
    assert [left.name for left in tmp_path.iterdir()] == [f"{path.name}.unreadable"]
    assert replay(spool) == []


def test_a_full_disk_stores_no_partial_row(tmp_path: Path) -> None:
    """If the kernel writes a part of a row, the row is refused as a whole; with space again, the next one is stored."""
    process = started(LIMITED, tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "cannot be written to" in output
    assert replay(Spool(tmp_path, MIB)) == ["first", "second"]


def test_a_deleted_folder_is_created_again(tmp_path: Path) -> None:
    """Deleting the folder of a running process costs the rows in it, but not later ones."""
    spool = Spool(tmp_path / "spool", MIB)
    spool.append([prediction("cleared")])
    shutil.rmtree(tmp_path / "spool")
    spool.append([prediction("after")])
    spool.seal()
    assert replay(spool) == ["after"]


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    """It raises SpoolFull, which the log handles."""
    (tmp_path / "file").write_text("in the way")
    spool = Spool(tmp_path / "file", MIB)
    with pytest.raises(SpoolFull, match="cannot be written to"):
        spool.append([prediction()])
    assert spool.bytes() == 0
