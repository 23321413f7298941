"""Fetches and verifies the files of a source, in any of the forms that docs/sources.md describes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ratchet.errors import ConfigurationError, InputError, IntegrityError
from ratchet.jobs import formats, keys
from ratchet.jobs.storage import sha256_of
from ratchet.sources import archives, kaggle, synthetic
from ratchet.sources.locations import BucketLocation, FolderLocation, Location

FORMS = (
    "synthetic:, a folder, a .tgz, .tar.gz or .zip archive, a .csv or .ft.txt file (also .gz, .bz2), "
    "s3://bucket/key, kaggle:owner/dataset, or, through the DAG, postgresql+psycopg://…?table=…"
)


@dataclass(frozen=True)
class SourceFiles:
    """The files of a source on this machine.

    `files` are the review files by role, `originals` the files that they came from (an archive, or themselves) by name.
    `order` is `archive` where the order of rows means time, else `shuffled`.
    """

    files: dict[str, Path]
    originals: dict[str, Path]
    order: str = "shuffled"


def fetch_source(source: str, delivery: str, cache: Path, folder: Path) -> SourceFiles:
    """The files of a source, each read to its end and complete. Downloads go to `cache`, unpacked files to `folder`.

    `#sha256=<64 hex digits>` after a source of one file pins its bytes. Only the seed has a test file. Raises
    ConfigurationError for an unknown form, InputError for bad files, IntegrityError for bytes other than the pinned
    ones, and ServiceUnavailable if a download fails. A bad download is deleted, so that the next run fetches it again.
    """
    spec, _, pin = source.partition("#sha256=")
    if pin and not re.fullmatch("[0-9a-f]{64}", pin):
        raise ConfigurationError(f"{pin!r} is no SHA-256. Write the 64 hex digits that `sha256sum` prints.")
    if spec.startswith("synthetic:"):
        if pin:
            raise ConfigurationError("Synthetic reviews are made, not fetched: leave out #sha256=.")
        files = synthetic.write(synthetic.Parameters.parse(spec.removeprefix("synthetic:")), delivery, folder)
        return SourceFiles(files, {path.name: path for path in files.values()}, order="archive")
    location, name = _locate(spec, cache)
    try:
        return _fetch(location, name, spec, pin, folder, seed=delivery == keys.SEED)
    except (InputError, IntegrityError):
        location.remove_downloads()
        raise


def _locate(spec: str, cache: Path) -> tuple[Location, str]:
    """The location of a source, and the name of its file there; empty if the source is the whole location."""
    if spec.startswith("s3://"):
        bucket, _, key = spec.removeprefix("s3://").partition("/")
        if key and not key.endswith("/"):
            parent, slash, name = key.rpartition("/")
            location = BucketLocation(bucket, parent + slash, cache)
            if location.exists(name):
                return location, name
        return BucketLocation(bucket, f"{key.rstrip('/')}/" if key else "", cache), ""
    if spec.startswith("kaggle:"):
        path = kaggle.fetch(spec.removeprefix("kaggle:"), cache)
        return FolderLocation(path.parent, downloaded=True), path.name
    if spec.startswith("postgresql"):
        raise ConfigurationError("A SQL table is extracted by Airflow's Postgres hook: run it through the DAG.")
    path = Path(spec).expanduser()
    if spec and path.is_dir():
        return FolderLocation(path), ""
    if not path.is_file():
        raise ConfigurationError(f"{spec!r} is no file or folder here. A source is one of: {FORMS}.")
    return FolderLocation(path.parent), path.name


def _fetch(location: Location, name: str, spec: str, pin: str, folder: Path, *, seed: bool) -> SourceFiles:
    if pin and not name:
        raise ConfigurationError(f"#sha256= pins one file, and {spec} may hold several. Name the file.")
    if formats.is_archive(name):
        originals = {name: _pinned(location.fetch(name), pin)}
        found = archives.extract(originals[name], folder)
        files = {role: path for role, path in found.items() if seed or role == "train"}
    else:
        chosen = _choose(location, name, spec)
        files = {"train": _pinned(location.fetch(chosen["train"]), pin)}
        if seed and "test" in chosen:
            files["test"] = location.fetch(chosen["test"])
        originals = {chosen[role]: path for role, path in files.items()}
    for path in files.values():
        archives.read_through(path)
    return SourceFiles(files, originals)


def _choose(location: Location, name: str, spec: str) -> dict[str, str]:
    """Role → name. A single file is the training file under any name; with `train.csv` comes `test.csv` beside it."""
    if not name:
        return formats.pick(location.names(), spec)
    formats.suffix_of(name)
    sibling = formats.sibling_of(name)
    return {"train": name, "test": sibling} if sibling and location.exists(sibling) else {"train": name}


def _pinned(path: Path, pin: str) -> Path:
    if pin and (found := sha256_of(path)) != pin:
        raise IntegrityError(
            f"{path.name} has SHA-256 {found}, but the source is pinned to {pin}. "
            "Correct the pin, or run again to download the file again."
        )
    return path
