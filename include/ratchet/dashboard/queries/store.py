"""Manifests of the jobs, read from the store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from ratchet.errors import ServiceUnavailable
from ratchet.jobs import keys, manifests
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import open_storage
from ratchet.settings import Settings
from ratchet.windows import Window

PARALLEL_READS = 16  # a year of weeks has some 400 manifests, and S3 takes about 20 ms for each


def prequential_scores(settings: Settings, windows: list[str]) -> dict[str, float]:
    """The prequential macro-F1 by window 0-k: the champion's on batch k before anything trained on it.

    A window whose batch was not scored is left out. Raises ServiceUnavailable if the store cannot be read.
    """
    prefixes = {window: keys.score(keys.batch_name(Window.parse(window).end)) for window in windows}
    found = dict(zip(prefixes, _read(settings, list(prefixes.values())), strict=True))
    return {window: made.metrics["macro_f1"] for window, made in found.items() if made and "macro_f1" in made.metrics}


def job_manifests(settings: Settings) -> list[Manifest]:
    """The manifest of every finished job, by time of finish. Raises ServiceUnavailable if the store cannot be read."""
    with _store_errors(settings):
        prefixes = manifests.prefixes(open_storage(settings.store))
    return sorted(filter(None, _read(settings, prefixes)), key=lambda manifest: manifest.finished_at)


def _read(settings: Settings, prefixes: list[str]) -> list[Manifest | None]:
    """The manifests of these prefixes, read in parallel; None where there is none."""
    with _store_errors(settings), ThreadPoolExecutor(PARALLEL_READS) as pool:
        return list(pool.map(partial(manifests.find, open_storage(settings.store)), prefixes))


@contextmanager
def _store_errors(settings: Settings) -> Iterator[None]:
    """Raise ServiceUnavailable, with a remedy, for an OSError of the store."""
    try:
        yield
    except OSError as error:
        raise ServiceUnavailable(f"The store {settings.store} cannot be read: {error}. Check RATCHET_STORE.") from error
