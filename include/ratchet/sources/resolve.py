"""Every form of source, brought to this machine and verified: docs/sources.md shows them to users."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ratchet.errors import ConfigurationError, InputError, IntegrityError
from ratchet.jobs import keys
from ratchet.jobs.storage import sha256_of
from ratchet.sources import archives, formats, kaggle, synthetic
from ratchet.sources.locations import Bucket, Folder, Place

FORMS = (
    "synthetic:, a folder, a .tgz, .tar.gz or .zip archive, a .csv or .ft.txt file (also .gz, .bz2), "
    "s3://bucket/key, kaggle:owner/dataset, or, through the DAG, postgresql+psycopg://…?table=…"
)


@dataclass(frozen=True)
class Lot:
    """What a source gave: `files` to be read, by role, and the `originals` they came from, by name."""

    files: dict[str, Path]
    originals: dict[str, Path]
    order: str = "shuffled"


def bring(source: str, delivery: str, cache: Path, folder: Path) -> Lot:
    """The files of a source, read through and found whole. Downloads go to `cache`, unpacked files to `folder`.

    `#sha256=<64 hex digits>` behind a source of one file pins its bytes. Only the seed has a test file. Raises
    ConfigurationError for no known form, InputError for bad files, IntegrityError where a pin does not hold, and
    ServiceUnavailable. A bad download is removed, so that the next run fetches it again.
    """
    spec, _, pin = source.partition("#sha256=")
    if pin and not re.fullmatch("[0-9a-f]{64}", pin):
        raise ConfigurationError(f"{pin!r} is no SHA-256. Write the 64 hex digits that `sha256sum` prints.")
    if spec.startswith("synthetic:"):
        if pin:
            raise ConfigurationError("Synthetic reviews are made, not fetched: leave #sha256= away.")
        files = synthetic.write(synthetic.Parameters.parse(spec.removeprefix("synthetic:")), delivery, folder)
        return Lot(files, {path.name: path for path in files.values()}, order="archive")
    place, name = _locate(spec, cache)
    try:
        return _take(place, name, spec, pin, folder, seed=delivery == keys.SEED)
    except (InputError, IntegrityError):
        place.forget()
        raise


def _locate(spec: str, cache: Path) -> tuple[Place, str]:
    """The place, and the file in it that is meant; empty if the place itself is."""
    if spec.startswith("s3://"):
        bucket, _, key = spec.removeprefix("s3://").partition("/")
        if key and not key.endswith("/"):
            parent, slash, name = key.rpartition("/")
            place = Bucket(bucket, parent + slash, cache)
            if place.exists(name):
                return place, name
        return Bucket(bucket, f"{key.rstrip('/')}/" if key else "", cache), ""
    if spec.startswith("kaggle:"):
        path = kaggle.fetch(spec.removeprefix("kaggle:"), cache)
        return Folder(path.parent, downloaded=True), path.name
    if spec.startswith("postgresql"):
        raise ConfigurationError("A SQL table is extracted by Airflow's Postgres hook: run it through the DAG.")
    path = Path(spec).expanduser()
    if spec and path.is_dir():
        return Folder(path), ""
    if not path.is_file():
        raise ConfigurationError(f"{spec!r} is no file or folder here. A source is one of: {FORMS}.")
    return Folder(path.parent), path.name


def _take(place: Place, name: str, spec: str, pin: str, folder: Path, *, seed: bool) -> Lot:
    if pin and not name:
        raise ConfigurationError(f"#sha256= pins one file, and {spec} may hold several. Name the file.")
    if formats.is_archive(name):
        originals = {name: _pinned(place.fetch(name), pin)}
        found = archives.extract(originals[name], folder)
        files = {role: path for role, path in found.items() if seed or role == "train"}
    else:
        chosen = _choose(place, name, spec)
        files = {"train": _pinned(place.fetch(chosen["train"]), pin)}
        if seed and "test" in chosen:
            files["test"] = place.fetch(chosen["test"])
        originals = {chosen[role]: path for role, path in files.items()}
    for path in files.values():
        archives.read_through(path)
    return Lot(files, originals)


def _choose(place: Place, name: str, spec: str) -> dict[str, str]:
    """Role → name. A single file is the training file, whatever its name; `train.…` brings `test.…` along."""
    if not name:
        return formats.pick(place.names(), spec)
    formats.suffix_of(name)
    sibling = formats.sibling_of(name)
    return {"train": name, "test": sibling} if sibling and place.exists(sibling) else {"train": name}


def _pinned(path: Path, pin: str) -> Path:
    if pin and (found := sha256_of(path)) != pin:
        raise IntegrityError(
            f"{path.name} has SHA-256 {found}, but the source is pinned to {pin}. "
            "Correct the pin, or run again to download the file anew."
        )
    return path
