"""What the store knows: the manifests that jobs left there."""

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

AT_ONCE = 16  # a year of weeks has some 400 manifests, each of which S3 takes about 20 ms for


def prequential(settings: Settings, windows: list[str]) -> dict[str, float]:
    """By window 0-k, the champion's macro-F1 on batch k before anything trained on it; none where it was not scored."""
    prefixes = {window: keys.score(keys.batch_name(Window.parse(window).end)) for window in windows}
    found = dict(zip(prefixes, _read(settings, list(prefixes.values())), strict=True))
    return {window: made.metrics["macro_f1"] for window, made in found.items() if made and "macro_f1" in made.metrics}


def jobs(settings: Settings) -> list[Manifest]:
    """The manifest of every job that finished, in the order in which they did."""
    with _answering(settings):
        ending = f"/{keys.MANIFEST}"
        prefixes = [key.removesuffix(ending) for key in open_storage(settings.store).list("") if key.endswith(ending)]
    return sorted(filter(None, _read(settings, prefixes)), key=lambda made: made.finished_at)


def _read(settings: Settings, prefixes: list[str]) -> list[Manifest | None]:
    """The manifests of these prefixes, several at once."""
    with _answering(settings), ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(partial(manifests.find, open_storage(settings.store)), prefixes))


@contextmanager
def _answering(settings: Settings) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServiceUnavailable(f"The store {settings.store} cannot be read: {error}. Check RATCHET_STORE.") from error
