"""How review files are named, and which of many names are the training and the test file."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ratchet.errors import InputError

FILE = re.compile(r".*?(?P<suffix>(?P<form>\.csv|\.ft\.txt)(\.gz|\.bz2)?)")
ROLE = re.compile(rf"(?P<role>train|test){FILE.pattern.removeprefix('.*?')}")
FORMS = {".csv": "csv", ".ft.txt": "fasttext"}
ARCHIVES = (".tgz", ".tar.gz", ".zip")


def is_archive(name: str) -> bool:
    return name.endswith(ARCHIVES)


def role_of(name: str) -> str | None:
    """`train` or `test` if a file's name (folders before it do not count) says so, else None."""
    found = ROLE.fullmatch(name.rpartition("/")[2])
    return found and found["role"]


def suffix_of(name: str) -> str:
    """`.csv`, `.csv.gz`, `.ft.txt.bz2`, … Raises InputError for a name that promises no reviews."""
    found = FILE.fullmatch(name.rpartition("/")[2])
    if not found:
        raise InputError(
            f"{name} is no file of reviews by its name. Use .csv or .ft.txt, with .gz or .bz2 behind it if "
            "compressed, or an archive: .tgz, .tar.gz, .zip."
        )
    return found["suffix"]


def form_of(name: str) -> str:
    """`csv` or `fasttext`: how the rows of a file are written. Raises InputError as `suffix_of`."""
    suffix = suffix_of(name)
    return next(form for start, form in FORMS.items() if suffix.startswith(start))


def sibling_of(name: str) -> str | None:
    """The name that the test file beside a training file would have, or None if the name names no role."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}test{last.removeprefix('train')}" if role_of(name) == "train" else None


def pick(names: Iterable[str], place: str) -> dict[str, str]:
    """The training file, and the test file if there is one, among names at most one folder deep: role → name.

    Raises InputError if no name is a training file, or if two claim the same role.
    """
    picked: dict[str, str] = {}
    for name in sorted(names):
        role = role_of(name)
        if role is None or name.count("/") > 1:
            continue
        if role in picked:
            raise InputError(f"{place} has two {role} files, {picked[role]} and {name}. Remove one of them.")
        picked[role] = name
    if "train" not in picked:
        raise InputError(
            f"{place} has no training file. Name it train.csv, train.csv.gz or train.ft.txt.bz2, "
            "at the top or one folder down."
        )
    return picked
