"""Every job is found in the folder `ratchet/jobs`, and what it runs exists."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ratchet import jobs
from ratchet.errors import ConfigurationError
from ratchet.jobs.base import Job, resolve
from ratchet.jobs.catalogue import JOBS
from ratchet.jobs.evaluate import Evaluate
from ratchet.jobs.featurize import Featurize
from ratchet.jobs.ingest import Ingest
from ratchet.jobs.preprocess import Preprocess
from ratchet.jobs.promote import Promote
from ratchet.jobs.score import Score
from ratchet.jobs.split import Split
from ratchet.jobs.train import Train

ARGUMENTS = {
    "ingest": {"source": "synthetic:", "delivery": "batch_10"},
    "preprocess": {"delivery": "batch_10"},
    "split": {"batches": "7"},
    "featurize": {"batch": "test"},
    "score": {"batch": "batch_03"},
    "train": {"window": "0-4", "candidate": "nb-svm"},
    "evaluate": {"window": "0-4", "candidates": "linear-svc,nb-svm"},
    "promote": {"window": "0-4", "response": "", "by": "", "at": ""},
}
"""As Airflow gives them: all text."""
PARAMETERS = {
    "ingest": ("raw/batch_10", {"source": "synthetic:"}),
    "preprocess": ("processed/batch_10", {}),
    "split": ("batches/seed", {"batches": 7}),
    "featurize": ("features/words-1-2-hashed-22/test", {"featurizer": "words-1-2-hashed-22", "layout": 2}),
    "score": ("scores/batch_03", {}),
    "train": (
        "models/0-4/nb-svm",
        {
            "window": "0-4", "candidate": "nb-svm", "loss": "squared_hinge", "C": 0.3, "ratio_floor": 0.5,
            "featurizer": "words-1-2-hashed-22", "gap": 0.0005, "seed": 0,
        },
    ),
    "evaluate": ("evaluations/0-4", {"window": "0-4", "candidates": "linear-svc,nb-svm"}),
    "promote": ("decisions/0-4", {"window": "0-4"}),
}  # fmt: skip
TARGET = re.compile(r"ratchet(\.\w+)+:\w+")
DATA_LIBRARIES = {"pandas", "sklearn", "mlflow", "numpy", "numba", "scipy", "pyarrow", "pandera", "safetensors"}


def targets(job: type[Job]) -> list[str]:
    """Everything that the file of a job names as `module:function`."""
    tree = ast.parse((Path(jobs.__path__[0]) / f"{job.name}.py").read_text())
    constants = [each.value for each in ast.walk(tree) if isinstance(each, ast.Constant)]
    return [value for value in constants if isinstance(value, str) and TARGET.fullmatch(value)]


def test_the_jobs_are_found_in_their_order() -> None:
    """The order of the CLI, the report and the costs; each has a place of its own."""
    assert [name for name in JOBS if name in PARAMETERS] == list(PARAMETERS)
    orders = [job.order for job in JOBS.values()]
    assert orders == sorted(set(orders))


@pytest.mark.parametrize("name", PARAMETERS)
def test_prefixes_and_parameters_are_those_of_stores_in_use(name: str) -> None:
    """They decide whether a result stands: another key or value would make every old result void."""
    job = JOBS[name](**ARGUMENTS[name])
    assert (job.prefix, job.parameters) == PARAMETERS[name]


@pytest.mark.parametrize("job", JOBS.values(), ids=lambda job: job.name)
def test_what_a_job_runs_exists(job: type[Job]) -> None:
    """Implementations are named by text, so no import fails when one is renamed: this test does."""
    assert targets(job)
    for target in targets(job):
        assert callable(resolve(target)), target


@pytest.mark.parametrize("job", JOBS.values(), ids=lambda job: job.name)
def test_every_option_has_a_help(job: type[Job]) -> None:
    """The CLI and readers of the DAG get it from the field."""
    assert job.__doc__
    assert [name for name, field in job.model_fields.items() if not field.description] == []


def test_two_jobs_never_share_a_prefix() -> None:
    """Nor does one job with different subjects; a shared prefix would be a shared manifest."""
    made = [
        Ingest(source="synthetic:"), Preprocess(), Split(), Featurize(batch="batch_00"), Featurize(batch="test"),
        Score(batch="batch_00"), Train(window="0-0", candidate="linear-svc"),
        Train(window="0-0", candidate="logistic-regression"), Train(window="0-1", candidate="linear-svc"),
        Evaluate(window="0-1"), Promote(window="0-1"), Ingest(source="x", delivery="batch_10"),
    ]  # fmt: skip
    assert len({job.prefix for job in made}) == len(made)
    assert {job.name for job in made} == set(JOBS)


def test_an_engine_is_no_parameter() -> None:
    """What one engine has made stands for the other."""
    for job in (Preprocess, Split):
        assert job(engine="local").parameters == job(engine="spark").parameters


def test_an_approval_is_a_parameter_under_the_names_that_old_stores_have() -> None:
    """A decision with a response is another result than one without; a manifest from before still stands."""
    assert Promote(window="0-1").parameters == {"window": "0-1"}
    approved = Promote(window="0-1", response="Approve", by="jane", at="2026-01-05")
    assert approved.parameters == {"window": "0-1", "answer": "approve", "by": "jane", "at": "2026-01-05"}
    with pytest.raises(ConfigurationError):
        Promote(window="0-1", response="approve")


def test_an_unknown_candidate_is_refused_with_the_choice() -> None:
    """The error lists the candidates there are."""
    with pytest.raises(ConfigurationError, match="linear-svc"):
        Train(window="0-1", candidate="oracle")


def test_a_source_in_a_database_is_refused_without_quoting_its_password() -> None:
    """The message leads to the DAG."""
    with pytest.raises(ConfigurationError, match="run it through the DAG") as refused:
        Ingest(source="postgresql+psycopg://bob:hunter2@db/shop?table=reviews")
    assert "hunter2" not in str(refused.value)


def test_airflow_gets_the_jobs_without_a_data_library() -> None:
    """The DAG file is parsed every few seconds, and Airflow's image has none of them."""
    code = f"import sys, ratchet.jobs.catalogue; print({DATA_LIBRARIES} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
