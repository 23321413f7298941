"""Where everything lies in the store. No other module spells a key.

raw/<delivery>/                     the source's files, as they came
processed/<delivery>/               accepted reviews and the quarantine
batches/batch_00.parquet … test.parquet; batches/<delivery>/manifest.json says which delivery made which
features/<featurizer>/<batch>/      counts of one batch, once, for every later window
models/<window>/<candidate>/        a trained model's artifact
scores/<batch>/                     the prequential score
evaluations/<window>/               evidence of challenger against champion
decisions/<window>/                 what was decided
predictions/date=2026-01-05/ …      the prediction log, where it is kept as files; feedback/ likewise

A delivery is one lot of source data: `seed` is the archive that is split into the first batches and the test set;
`batch_10` and later arrive one a week. Beside every output lies the manifest of the job that made it.
"""

from __future__ import annotations

from ratchet.windows import Window

SEED = "seed"
TEST = "test"
MANIFEST = "manifest.json"
QUARANTINE = "quarantine.parquet"


def batch_name(number: int) -> str:
    return f"batch_{number:02d}"


def raw(delivery: str) -> str:
    return f"raw/{delivery}"


def processed(delivery: str) -> str:
    return f"processed/{delivery}"


def split(delivery: str) -> str:
    return f"batches/{delivery}"


def reviews(batch: str) -> str:
    """The reviews of one batch, or of the test set (`test`)."""
    return f"batches/{batch}.parquet"


def features(featurizer: str, batch: str) -> str:
    return f"features/{featurizer}/{batch}"


def model(window: Window, candidate: str) -> str:
    return f"models/{window}/{candidate}"


def score(batch: str) -> str:
    return f"scores/{batch}"


def evaluation(window: Window) -> str:
    return f"evaluations/{window}"


def decision(window: Window) -> str:
    return f"decisions/{window}"


def incoming(batch: str) -> str:
    """Where a live batch is dropped, to be ingested in its week."""
    return f"incoming/{batch}"


def logged(kind: str, date: str, name: str) -> str:
    """A file of the prediction log: `predictions` or `feedback` of one day."""
    return f"{kind}/date={date}/{name}.jsonl"


def scratch(prefix: str, name: str = "") -> str:
    """What the tasks of a distributed job hand to each other; gone when it ends."""
    return f"{prefix}/scratch/{name}"


def manifest(prefix: str) -> str:
    """The manifest of the job whose outputs lie under `prefix`."""
    return f"{prefix}/{MANIFEST}"
