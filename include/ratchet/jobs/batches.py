"""The batches that exist: those of the seed, and later ones as they arrive. A week without a delivery leaves a gap."""

from __future__ import annotations

from ratchet.errors import MissingInput
from ratchet.jobs import keys, manifests
from ratchet.jobs.base import JobContext
from ratchet.jobs.featurize import Featurize
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import Storage
from ratchet.windows import Window


def delivery_of(storage: Storage, batch: str) -> str:
    """The delivery that a batch belongs to: its own, if it arrived alone, or the seed."""
    return batch if storage.exists(keys.manifest(keys.split(batch))) else keys.SEED


def present(storage: Storage, window: Window) -> list[str]:
    """The names of the batches of a window that `split` has made, in their order.

    Raises MissingInput if the newest, which gives the window its name, is not among them.
    """
    seed = manifests.find(storage, keys.split(keys.SEED))
    named = [keys.batch_name(number) for number in window.batches]
    alone = {key.split("/")[1] for key in storage.list("batches/") if key.endswith(f"/{keys.MANIFEST}")}
    found = [name for name in named if name in alone or (seed and f"{name}.parquet" in seed.outputs)]
    if named[-1] not in found:
        raise MissingInput(
            f"{named[-1]} is not in the store {storage.uri}. Run `ratchet split` for its delivery first."
        )
    return found


def features_of(context: JobContext, batch: str) -> Manifest:
    """The manifest of a batch's features, recorded as an input. Raises MissingInput if they are missing or stale."""
    job = Featurize(batch=batch)
    remedy = f"ratchet featurize --batch {batch}"
    if job.result(context.storage) is None:
        raise MissingInput(f"{job.prefix} is missing, or was made from other reviews. Run `{remedy}` first.")
    return context.read(job.prefix, remedy)
