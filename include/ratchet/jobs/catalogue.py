"""Every job by name. The DAG and the CLI give the same arguments here and so agree on what a job makes and where.

Arguments are text, as on a command line: `JOBS["train"](window="0-4", candidate="linear-svc")`.
"""

from __future__ import annotations

from collections.abc import Callable

from ratchet.candidates import CANDIDATES, FEATURIZER, LAYOUT
from ratchet.errors import ConfigurationError
from ratchet.jobs import keys
from ratchet.jobs.base import Job
from ratchet.ledger.approval import approval_from
from ratchet.windows import Window


def ingest(source: str, delivery: str = keys.SEED) -> Job:
    return Job("ingest", keys.raw(delivery), {"source": source})


def preprocess(delivery: str = keys.SEED) -> Job:
    return Job("preprocess", keys.processed(delivery), {})


def split(delivery: str = keys.SEED, batches: str = "10") -> Job:
    return Job("split", keys.split(delivery), {"batches": int(batches) if delivery == keys.SEED else 1})


def featurize(batch: str) -> Job:
    return Job("featurize", keys.features(FEATURIZER, batch), {"featurizer": FEATURIZER, "layout": LAYOUT})


def score(batch: str) -> Job:
    return Job("score", keys.score(batch), {})


def train(window: str, candidate: str) -> Job:
    if candidate not in CANDIDATES:
        raise ConfigurationError(f"{candidate!r} is no candidate. Choose one of: {', '.join(CANDIDATES)}.")
    parsed = Window.parse(window)
    return Job("train", keys.model(parsed, candidate), {"window": window, **CANDIDATES[candidate].parameters})


def evaluate(window: str, candidates: str) -> Job:
    return Job("evaluate", keys.evaluation(Window.parse(window)), {"window": window, "candidates": candidates})


def promote(window: str, response: str = "", by: str = "", at: str = "") -> Job:
    """The approval is one of the job's parameters: a decision without it, or with another, is another result."""
    given = approval_from(response, by, at)
    approval = {"response": given.response, "by": given.by, "at": given.at} if given else {}
    return Job("promote", keys.decision(Window.parse(window)), {"window": window, **approval})


JOBS: dict[str, Callable[..., Job]] = {
    job.__name__: job for job in (ingest, preprocess, split, featurize, score, train, evaluate, promote)
}
