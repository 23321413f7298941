"""Keys and prefixes of everything in the store. No other module spells a key.

raw/<delivery>/                     the source's files, as they came
processed/<delivery>/               accepted reviews and the quarantine
batches/batch_00.parquet            one batch; the test set is test.parquet; batches/<delivery>/ has the manifest
features/<featurizer>/<batch>/      counts of one batch, once, for every later window
models/<window>/<candidate>/        a trained model's artifact
scores/<batch>/                     the prequential score
evaluations/<window>/               evidence of challenger against champion
decisions/<window>/                 what was decided
reports/<job>/<subject>/            figures of a job that no other job reads
predictions/date=2026-01-05/        the prediction log, where it is kept as files; feedback/ likewise

A delivery is the source data that arrive together: `seed` is the archive that is split into the first batches and the
test set; `batch_10` and later arrive one a week. The manifest of a job lies under its prefix, beside the outputs.
"""

from __future__ import annotations

from ratchet.windows import Window

SEED = "seed"
TEST = "test"
MANIFEST = "manifest.json"
ROOTS = frozenset(
    {"raw", "processed", "batches", "features", "models", "scores", "evaluations", "decisions", "reports"}
)
"""The first parts of all prefixes of jobs. The store may hold other things, such as MLflow's files and DAG releases."""
QUARANTINE = "quarantine.parquet"


def batch_name(number: int) -> str:
    """The name of a batch by its number: `batch_04`."""
    return f"batch_{number:02d}"


def raw(delivery: str) -> str:
    """The prefix of a delivery's source files."""
    return f"raw/{delivery}"


def processed(delivery: str) -> str:
    """The prefix of the reviews and the quarantine of a delivery."""
    return f"processed/{delivery}"


def split(delivery: str) -> str:
    """The prefix of the manifest that describes a delivery's batches."""
    return f"batches/{delivery}"


def reviews(batch: str) -> str:
    """The reviews of one batch, or of the test set (`test`)."""
    return f"batches/{batch}.parquet"


def features(featurizer: str, batch: str) -> str:
    """The prefix of the features of one batch, or of the test set."""
    return f"features/{featurizer}/{batch}"


def model(window: Window, candidate: str) -> str:
    """The prefix of a trained model."""
    return f"models/{window}/{candidate}"


def score(batch: str) -> str:
    """The prefix of the prequential score on one batch."""
    return f"scores/{batch}"


def evaluation(window: Window) -> str:
    """The prefix of the evidence about a window's challenger."""
    return f"evaluations/{window}"


def decision(window: Window) -> str:
    """The prefix of the decision on a window's challenger."""
    return f"decisions/{window}"


def report(job: str, subject: str) -> str:
    """The prefix of a job that only reports: its figures are in the manifest, and no other job reads them."""
    return f"reports/{job}/{subject}"


def incoming(batch: str) -> str:
    """The key, without its suffix, at which a later delivery is expected in its week."""
    return f"incoming/{batch}"


def logged(kind: str, date: str, name: str) -> str:
    """A file of the prediction log: `predictions` or `feedback` of one day."""
    return f"{kind}/date={date}/{name}.jsonl"


def scratch(prefix: str, name: str = "") -> str:
    """The key of an intermediate file of a distributed job, which deletes it when it ends."""
    return f"{prefix}/scratch/{name}"


def manifest(prefix: str) -> str:
    """The manifest of the job whose outputs lie under `prefix`."""
    return f"{prefix}/{MANIFEST}"


def is_manifest(key: str) -> bool:
    """Whether a key is the manifest of a job, and not another file of that name."""
    return key.partition("/")[0] in ROOTS and key.endswith(f"/{MANIFEST}")
