"""The names of review files: form, compression and role, and the choice of training and test file among many.

Airflow looks for incoming files by these names, so this module lies among the light ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ratchet.errors import InputError

FILE = re.compile(r".*?(?P<suffix>(?P<form>\.csv|\.ft\.txt)(\.gz|\.bz2)?)")
ROLE = re.compile(rf"(?P<role>train|test){FILE.pattern.removeprefix('.*?')}")
FORMS = {".csv": "csv", ".ft.txt": "fasttext"}
ARCHIVES = (".tgz", ".tar.gz", ".zip")


def is_archive(name: str) -> bool:
    """Whether a file is an archive, by its name."""
    return name.endswith(ARCHIVES)


def role_of(name: str) -> str | None:
    """`train` or `test` if a file's name begins so (folders before it do not count), else None."""
    found = ROLE.fullmatch(name.rpartition("/")[2])
    return found and found["role"]


def suffix_of(name: str) -> str:
    """`.csv`, `.csv.gz`, `.ft.txt.bz2` and so on. Raises InputError for a name without such a suffix."""
    found = FILE.fullmatch(name.rpartition("/")[2])
    if not found:
        raise InputError(
            f"{name} does not have the name of a review file. Use .csv or .ft.txt, followed by .gz or .bz2 if "
            "compressed, or an archive: .tgz, .tar.gz, .zip."
        )
    return found["suffix"]


def form_of(name: str) -> str:
    """The format of a file's rows, `csv` or `fasttext`. Raises InputError as `suffix_of`."""
    suffix = suffix_of(name)
    return next(form for start, form in FORMS.items() if suffix.startswith(start))


def sibling_of(name: str) -> str | None:
    """The name of the test file that belongs to a training file, or None for a file without the role `train`."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}test{last.removeprefix('train')}" if role_of(name) == "train" else None


def pick(names: Iterable[str], location: str) -> dict[str, str]:
    """The training file, and the test file if there is one, among names at most one folder deep: role → name.

    Raises InputError if no name is a training file, or if two claim the same role.
    """
    picked: dict[str, str] = {}
    for name in sorted(names):
        role = role_of(name)
        if role is None or name.count("/") > 1:
            continue
        if role in picked:
            raise InputError(f"{location} has two {role} files, {picked[role]} and {name}. Remove one of them.")
        picked[role] = name
    if "train" not in picked:
        raise InputError(
            f"{location} has no training file. Name it train.csv, train.csv.gz or train.ft.txt.bz2, "
            "at the top or one folder down."
        )
    return picked
