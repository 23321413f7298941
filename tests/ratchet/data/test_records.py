"""Every record becomes a row or a refusal; no input stops the reader, loses records or fills its memory."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.data import records
from ratchet.data.records import Refusal, Row
from ratchet.errors import InputError

GOOD = b'"2","Lovely","Works as it should."\n'


def read(data: bytes, name: str = "train.csv", form: str = "csv") -> list[Row | Refusal]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return list(records.read(Path(file.name), name, form))


def outcomes(data: bytes, **kind: str) -> list[str]:
    return [record.reason if isinstance(record, Refusal) else record.text for record in read(data, **kind)]


def test_a_kaggle_line_is_one_row_with_its_escapes_undone() -> None:
    """Doubled quotes, a written newline and a written quote come out as the characters that they mean."""
    assert read(b'"1","Said ""no""","One\\ntwo \\""three"". "\n') == [Row(1, "1", 'Said "no"', 'One\ntwo "three".')]


def test_columns_may_stand_without_quotes() -> None:
    """A CSV without quotes, with Windows line ends and no last newline, reads the same."""
    assert read(b"1,Bad,Broke at once\r\n2,,Fine") == [Row(1, "1", "Bad", "Broke at once"), Row(2, "2", "", "Fine")]


def test_a_text_may_hold_real_newlines() -> None:
    """Lines are joined while a quote is open, and the next record knows its own line."""
    rows = read(b'"1","t","first\n\nthird ""line"""\n' + GOOD)
    assert rows == [Row(1, "1", "t", 'first\n\nthird "line"'), Row(4, "2", "Lovely", "Works as it should.")]


def test_both_layouts_of_a_newline_give_the_same_row() -> None:
    """A review has one identity, whether its newline was written as two characters or as one."""
    assert read(b'1,t,"a\nb"\n') == read(b'1,t,"a\\nb"\n')


@pytest.mark.parametrize(
    "header", [b"class,title,text\n", b'"Label","Title","Text"\r\n', b"\xef\xbb\xbfpolarity,title,text\n"]
)
def test_a_header_is_no_record(header: bytes) -> None:
    """It is recognised on the first line, with or without a byte order mark, and not counted."""
    assert read(header + GOOD) == [Row(2, "2", "Lovely", "Works as it should.")]


def test_a_header_of_other_columns_stops_the_reading() -> None:
    """Columns in another order would be read as each other."""
    with pytest.raises(InputError, match=r"must be class,title,text"):
        read(b"label,text,title\n" + GOOD)


def test_empty_lines_are_no_records() -> None:
    """A blank line has no content that could be lost."""
    assert [row.line for row in read(b"\n" + GOOD + b"\r\n\n" + GOOD + b"\n")] == [2, 5]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'"1","t","a\0b"\n', records.NUL),
        (b'"1","t","a\xffb"\n', records.NOT_UTF8),
        (b'"1","t","never closed\n', records.UNBALANCED),
        (b'1,ab"c,"x\n', records.UNBALANCED),
        (b'"1","t","a "quoted" word"\n', records.MISPLACED),
        (b'"1","only a text"\n', records.COLUMNS),
        (b'"1","t","x","more"\n', records.COLUMNS),
        (b'"1","t","' + b"x" * records.LONGEST + b'"\n', records.TOO_LONG),
    ],
)
def test_a_broken_line_is_refused_alone(line: bytes, reason: str) -> None:
    """Every fault of form has its reason, and the lines before and after it are read."""
    text = "Works as it should."
    assert outcomes(GOOD + line + GOOD * 3) == [text, reason, text, text, text]


def test_a_refusal_shows_where_and_what() -> None:
    """Its sample is the beginning of the record, with undecodable bytes as \\xNN."""
    [_, refusal] = read(GOOD + b'"1","t","\xff' + b"x" * 500 + b'"\n')
    assert refusal == Refusal(2, records.NOT_UTF8, ('"1","t","\\xff' + "x" * 500)[:200])


@pytest.mark.parametrize("stray", [b'"1","t","stray " quote"\n', b'"1","t","not closed\n', b'1,t,"bare\n'])
@pytest.mark.parametrize("again", [3, 5000])
def test_one_stray_quote_loses_one_line(stray: bytes, again: int) -> None:
    """Whether or not another stray quote follows within the limit of lines."""
    found = outcomes(GOOD + stray + GOOD * again + stray + GOOD)
    assert len(found) == again + 4
    assert sum(text != "Works as it should." for text in found) == 2


def test_a_long_review_is_still_a_review() -> None:
    """Python's own limit of 128 KiB a field does not apply here."""
    assert outcomes(b'"1","t","' + b"x" * 500_000 + b'"\n') == ["x" * 500_000]


def test_an_open_quote_extends_over_a_limited_number_of_lines() -> None:
    """A record over more lines than the limit is refused line by line instead of kept in memory."""
    found = outcomes(b'1,t,"' + b"x\n" * (records.LOOKAHEAD + 1) + b'end"\n')
    assert found[0] == records.UNBALANCED
    assert len(found) == records.LOOKAHEAD + 2


def test_a_field_of_100_mb_is_refused_in_little_memory() -> None:
    """Only the beginning of a line that is too long is in memory."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(GOOD + b'"1","t","')
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b'"\n' + GOOD)
        file.flush()
        tracemalloc.start()
        found = list(records.read(Path(file.name), "train.csv", "csv"))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert [record.line for record in found] == [1, 2, 3]
    assert found[1][1] == records.TOO_LONG
    assert peak < 10 * records.LONGEST


def test_fasttext_lines_are_rows() -> None:
    """The title ends at the first colon; without one all is text; a line without a label is refused."""
    data = b"__label__2 Great: for one: all\n__label__1 no title here\nplain words\n"
    assert read(data, "train.ft.txt", "fasttext") == [
        Row(1, "2", "Great", "for one: all"),
        Row(2, "1", "", "no title here"),
        Refusal(3, records.UNLABELLED, "plain words"),
    ]


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compressed_files_are_unpacked_or_reported_as_damaged(suffix, pack) -> None:
    """A file that was cut off is an error that names it, never a shorter file."""
    data = b"".join(b'"1","t","text %d"\n' % number for number in range(5000))
    assert len(read(pack(data), f"train.csv{suffix}")) == 5000
    for damaged in (pack(data)[:-100], b"no archive at all"):
        with pytest.raises(InputError, match=rf"train\.csv\{suffix} is cut off or damaged.*Fetch it again"):
            read(damaged, f"train.csv{suffix}")


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\\"), max_size=20).map(str.strip)


@given(st.lists(st.tuples(st.sampled_from("12"), words, words)), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_the_output_of_a_csv_writer_is_read_back(rows: list[tuple[str, str, str]], quoting: int) -> None:
    """Quotes, commas and newlines in any place come back as they were, in either style of quoting."""
    file = io.StringIO(newline="")
    csv.writer(file, quoting=quoting).writerows(rows)
    assert [record[1:] for record in read(file.getvalue().encode())] == rows


garbage = st.lists(
    st.sampled_from([b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"1", b"2", b"text", b'"1","t","x"\n', b'"2","",""\n'])
).map(b"".join)


@settings(max_examples=500)
@given(garbage)
def test_every_line_of_garbage_is_accounted_for(data: bytes) -> None:
    """Records begin on different lines, in order; only empty lines and those that a record spans begin none."""
    found = read(data)
    starts = [record.line for record in found]
    assert starts == sorted(set(starts))
    lines = data.split(b"\n")
    refused_or_spanned = [*starts, len(lines) + 1]
    for record, following in zip(found, refused_or_spanned[1:], strict=True):
        between = lines[record.line : following - 1]
        assert isinstance(record, Row) or not any(line.strip() for line in between)
