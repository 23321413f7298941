"""The test set and the batches that a new delivery must not repeat."""

from __future__ import annotations

from ratchet.errors import ConfigurationError
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.manifests import Output


def earlier_batches(context: JobContext, delivery: str) -> dict[str, Output]:
    """The test set and the batches before a delivery, by name; none for the seed.

    Each split that is read becomes an input of the job. Raises ConfigurationError for a delivery that is no new batch,
    and MissingInput if the seed has not been split.
    """
    if delivery == keys.SEED:
        return {}
    outputs = dict(context.read(keys.split(keys.SEED), "ratchet split").outputs)
    number = delivery.removeprefix("batch_")
    if not number.isdecimal() or keys.batch_name(int(number)) != delivery or f"{delivery}.parquet" in outputs:
        raise ConfigurationError(
            f"{delivery!r} is no new batch: the seed already made {len(outputs) - 1}. "
            f"Name the delivery {keys.batch_name(len(outputs) - 1)} or later."
        )
    for earlier in map(keys.batch_name, range(len(outputs) - 1, int(number))):
        if context.storage.exists(keys.manifest(keys.split(earlier))):  # a week without a new batch left none
            outputs |= context.read(keys.split(earlier), f"ratchet split --delivery {earlier}").outputs
    return {name.removesuffix(".parquet"): output for name, output in outputs.items()}
