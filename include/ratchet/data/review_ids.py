"""The bits of a `review_id` that assign a review to its part, and the ids of stored batches.

A `review_id` is a hash of the review's words, so its bits are uniformly random and belong to the review alone. All 16
bytes order the reviews of a shuffled source; the last 4 bytes select the validation reviews, and the 4 before them the
reviews held out for test. A review therefore keeps its part in any order of rows and any number of batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from ratchet.data.parquet import chunks
from ratchet.jobs import keys
from ratchet.jobs.manifests import Output
from ratchet.jobs.storage import Storage, verified

HASH_BITS = np.dtype([("order", ">u8"), ("held_out", ">u4"), ("validates", ">u4")])  # the 16 bytes of a review_id

HashBits = np.ndarray[Any, np.dtype[np.void]]


def hash_bits(ids: pa.StringArray) -> HashBits:
    """The bits of n review_ids (32 hex digits each) as numbers, dtype HASH_BITS, shape (n,)."""
    return np.frombuffer(bytes.fromhex("".join(ids.to_pylist())), HASH_BITS)


def selected(bits: HashBits, field: str, share: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each review is in the share of all possible reviews that a 4-byte field of HASH_BITS selects: (n,)."""
    return bits[field] < share * 2**32


def review_ids(storage: Storage, batch: str, output: Output) -> Iterator[pa.StringArray]:
    """The ids of a batch or the test set, in chunks. Raises IntegrityError if its bytes were altered."""
    with verified(storage, keys.reviews(batch), output.sha256) as path:
        for chunk in chunks(path, columns=["review_id"]):
            yield chunk["review_id"]
