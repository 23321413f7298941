"""A file that is read in pieces gives the records that it gives as a whole."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.data import records
from ratchet.data.spark import pieces
from ratchet.errors import InputError

LINES = st.sampled_from(
    [
        b'"1","t","one line"\n',
        b'"2","t","two\nlines"\n',
        b'"1","an ""odd\n line"" inside","x\n\n"\n',
        b'"2","t","never closed\n',
        b'","\n',
        b'"\n',
        b"\n",
        b'1,t,a bare "quote\n',
        b'\xff"\n',
        b'\0"\n',
        b"\xef\xbb\xbf",
        b"class,title,text\n",
        b"__label__1 Title: a text\n",
    ]
)


def in_pieces(path: Path, name: str, form: str = "csv") -> list[list[records.Row | records.Refusal]]:
    """The records of every piece."""
    found = []
    for piece in pieces.cut(path, name, form, path.parent):
        with piece.path.open("rb") as file:
            found.append(list(records.rows(file, name, form, piece.first)))
    return found


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(LINES, max_size=40), size=st.integers(1, 200), form=st.sampled_from(["csv", "fasttext"]))
def test_pieces_give_the_records_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int, form: str
) -> None:
    """This holds for any bytes and any size of piece, with the same line numbers."""
    path = tmp_path_factory.mktemp("pieces") / "train.csv"
    path.write_bytes(b"".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "SIZE", size)
        found = in_pieces(path, "train.csv", form)
    assert [row for piece in found for row in piece] == list(records.read(path, "train.csv", form))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to be cut into pieces of 1,000 bytes."""
    monkeypatch.setattr(pieces, "SIZE", 1000)
    return tmp_path / "train.csv"


def test_records_of_one_line_are_cut_at_every_size(path: Path) -> None:
    """The Kaggle layout: a piece ends with the line that fills it."""
    path.write_bytes(b'"1","title","a ""quoted"" text"\n' * 1000)
    assert {len(piece) for piece in in_pieces(path, "train.csv")[:-1]} == {-(-1000 // 32)}


def test_records_of_several_lines_are_cut_between_them(path: Path) -> None:
    """A general CSV, in which every line but one in three has an odd number of quotes."""
    path.write_bytes(b'"1","title","one\nand two\nand three"\n' * 1000)
    found = in_pieces(path, "train.csv")
    assert len(found) > 20
    assert all(isinstance(row, records.Row) for piece in found for row in piece)


def test_a_line_over_the_limit_is_one_refusal_in_its_piece(path: Path) -> None:
    """It is never in memory as a whole, and the lines after it keep their numbers."""
    long = [b'"1","t","' + b"x" * (records.LONGEST + more) + b'"\n' for more in (-12, -11, -10, -9, 0, 5_000_000)]
    path.write_bytes(b'"1","t","y"\n'.join(long) + b"x" * (records.LONGEST + 5))
    assert [row for piece in in_pieces(path, "train.csv") for row in piece] == list(
        records.read(path, "train.csv", "csv")
    )


def test_a_damaged_file_is_the_same_error(path: Path) -> None:
    """A compressed file that ends in the middle."""
    path.write_bytes(gzip.compress(b'"1","t","x"\n' * 9000)[:-9])
    with pytest.raises(InputError, match=r"train\.csv\.gz is cut off or damaged"):
        in_pieces(path, "train.csv.gz")
