"""A job runs when its result does not stand, once when it is forced, and its manifest comes last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.substitute import substitute
from ratchet.errors import ConfigurationError, IntegrityError, MissingInput
from ratchet.jobs import keys, manifests
from ratchet.jobs.base import Job, JobContext
from ratchet.jobs.ingest import Ingest
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.score import Score, ScoreDetails
from ratchet.jobs.split import Split
from ratchet.jobs.storage import FolderStorage, sha256_of
from ratchet.jobs.train import Train, TrainDetails
from ratchet.settings import Settings
from ratchet.windows import Window


@pytest.fixture
def store(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "store")


class Flour(Job):
    """A job without inputs."""

    kind: str = "rye"

    @property
    def prefix(self) -> str:
        return "flour"

    @property
    def parameters(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def run(self, context: JobContext) -> None:
        write(context, self.kind)


class Bread(Job):
    """A job that reads the output of the other one."""

    @property
    def prefix(self) -> str:
        return "bread"

    def run(self, context: JobContext) -> None:
        context.read("flour", "ratchet flour")
        write(context, f"bread of {context.storage.read('flour/it').decode()}")


class Kitchen:
    """Runs the two jobs and counts how often each of them was run, not found."""

    def __init__(self, store: FolderStorage) -> None:
        self.store, self.done = store, {"flour": 0, "bread": 0}

    def flour(self, kind: str = "rye", **options: object) -> Manifest:
        return self._run(Flour(kind=kind), **options)

    def bread(self, **options: object) -> Manifest:
        return self._run(Bread(), **options)

    def _run(self, job: Job, *, force: bool = False, launch: str = "") -> Manifest:
        def counted(context: JobContext) -> None:
            self.done[job.name] += 1
            job.run(context)

        settings = Settings(launch=launch, dag_run="a run")
        return substitute(job, counted).execute(self.store, settings, force=force)


def write(context: JobContext, text: str) -> None:
    path = context.folder / "it"
    path.write_text(text)
    context.publish(path, "it")


@pytest.fixture
def kitchen(store: FolderStorage) -> Kitchen:
    return Kitchen(store)


def test_a_job_leaves_a_manifest_of_what_it_did(kitchen: Kitchen) -> None:
    """Inputs and outputs by digest, time, memory and the DAG run stand in it, and it reads as it was written."""
    flour = kitchen.flour()
    bread = kitchen.bread()
    assert bread.inputs == {"flour": flour.digest}
    assert bread.output("it").sha256 == sha256_of(kitchen.store.root / "bread/it")
    assert bread.output("it").size == len("bread of rye")
    assert bread.dag_run == "a run"
    assert bread.peak_memory_mib > 1
    assert manifests.read(kitchen.store, "bread", "bake") == bread


def test_a_result_that_stands_is_not_made_again(kitchen: Kitchen) -> None:
    """The second run returns the manifest of the first and does no work."""
    first = kitchen.flour(), kitchen.bread()
    assert (kitchen.flour(), kitchen.bread()) == first
    assert kitchen.done == {"flour": 1, "bread": 1}


def test_other_parameters_are_another_result(kitchen: Kitchen) -> None:
    """A job with a changed parameter runs."""
    kitchen.flour("rye")
    assert kitchen.flour("wheat").parameters == {"kind": "wheat"}
    assert kitchen.done["flour"] == 2


def test_a_changed_input_makes_the_job_run_again(kitchen: Kitchen) -> None:
    """When its flour is another the bread is baked anew; when the same flour was milled again it is not."""
    kitchen.flour("rye")
    kitchen.bread()
    kitchen.flour("rye", force=True)
    kitchen.bread()
    assert kitchen.done == {"flour": 2, "bread": 1}
    kitchen.flour("wheat")
    kitchen.bread()
    assert kitchen.store.read("bread/it") == b"bread of wheat"
    assert kitchen.done["bread"] == 2


def test_a_vanished_input_makes_the_job_ask_for_it(kitchen: Kitchen) -> None:
    """Without the manifest of its input a result does not stand, and the error names the command to run."""
    kitchen.flour()
    kitchen.bread()
    (kitchen.store.root / keys.manifest("flour")).unlink()
    with pytest.raises(MissingInput, match="Run `ratchet flour` first"):
        kitchen.bread()


def test_force_by_hand_always_runs(kitchen: Kitchen) -> None:
    """Without a launch token, every forced run is a run."""
    for _ in range(3):
        kitchen.flour(force=True)
    assert kitchen.done["flour"] == 3


def test_force_runs_once_in_a_launch(kitchen: Kitchen) -> None:
    """A forced job that is tried again within its launch finds its own result; another launch runs it anew."""
    kitchen.flour()
    for launch in ("monday", "monday", "tuesday", "tuesday"):
        kitchen.flour(force=True, launch=launch)
    assert kitchen.done["flour"] == 3
    kitchen.flour(launch="wednesday")
    assert kitchen.done["flour"] == 3


def test_a_job_that_fails_leaves_no_manifest(kitchen: Kitchen, store: FolderStorage) -> None:
    """What it had published may lie there, but does not count; the next run makes it good."""

    def fail(context: JobContext) -> None:
        write(context, "half")
        raise RuntimeError("the oven is out")

    job = substitute(Flour(), fail)
    with pytest.raises(RuntimeError, match="the oven is out"):
        job.execute(store, Settings())
    assert job.result(store) is None
    kitchen.flour()
    assert store.read("flour/it") == b"rye"


def test_a_forced_run_that_fails_leaves_the_old_result_standing(kitchen: Kitchen, store: FolderStorage) -> None:
    """Nothing was published before the failure, so the manifest of before is still true."""
    before = kitchen.flour()

    def fail(context: JobContext) -> None:
        raise RuntimeError("the oven is out")

    job = substitute(Flour(), fail)
    with pytest.raises(RuntimeError):
        job.execute(store, Settings(), force=True)
    assert job.result(store) == before


def test_a_forced_run_that_fails_after_it_published_leaves_no_manifest(kitchen: Kitchen, store: FolderStorage) -> None:
    """The old manifest would speak of bytes that are no longer there, so it went before the first of them."""
    kitchen.flour()

    def fail(context: JobContext) -> None:
        write(context, "half")
        raise RuntimeError("the oven is out")

    job = substitute(Flour(), fail)
    with pytest.raises(RuntimeError):
        job.execute(store, Settings(), force=True)
    assert job.result(store) is None


def test_the_work_folder_is_gone_afterwards(store: FolderStorage) -> None:
    """A job cleans up after itself, whether it succeeds or fails."""
    folders = []

    def keep(context: JobContext) -> None:
        folders.append(context.folder)
        if len(folders) > 1:
            raise RuntimeError

    substitute(Flour(), keep).execute(store, Settings())
    with pytest.raises(RuntimeError):
        substitute(Bread(), keep).execute(store, Settings())
    assert not any(folder.exists() for folder in folders)


def test_the_digest_is_of_the_result_alone(kitchen: Kitchen) -> None:
    """Time, memory, launch and place do not enter it; job, parameters and outputs do."""
    manifest = kitchen.flour()
    same = {"seconds": 9.0, "launch": "x", "finished_at": "later", "prefix": "elsewhere", "code_version": "abc"}
    assert manifest.model_copy(update=same).digest == manifest.digest
    for change in ({"job": "bread"}, {"parameters": {"kind": "wheat"}}, {"outputs": {}}):
        assert manifest.model_copy(update=change).digest != manifest.digest


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"job": "flour"}'])
def test_an_altered_manifest_is_an_error_that_says_what_to_do(kitchen: Kitchen, text: str) -> None:
    """Bytes that are no manifest are never taken for a result, nor for none."""
    kitchen.flour()
    kitchen.store.write(keys.manifest("flour"), text.encode())
    with pytest.raises(IntegrityError, match="Delete it and run its job again"):
        kitchen.flour()


def test_an_output_that_is_not_there_is_named(kitchen: Kitchen) -> None:
    """Asking a manifest for an output it does not have names job, prefix and output."""
    with pytest.raises(IntegrityError, match="flour under flour names no output 'sugar'"):
        kitchen.flour().output("sugar")


def test_importing_an_implementation_is_no_part_of_a_jobs_seconds(store: FolderStorage, tmp_path: Path) -> None:
    """The time of an import depends on the machine's file cache; what a job took must be comparable."""

    def slow(context: JobContext) -> None:
        context.import_seconds += 0.5
        write(context, "rye")

    assert substitute(Flour(), slow).execute(store, Settings()).seconds < 0


def test_options_come_as_text_and_are_checked() -> None:
    """Airflow renders every argument to text; an option that does not exist is an error that names the help."""
    assert Split(batches="7").parameters == {"batches": 7}
    assert Train(window="0-4", candidate="nb-svm").window == Window(4)
    with pytest.raises(ConfigurationError, match=r"batches: .*integer.*`ratchet split --help`"):
        Split(batches="ten")
    with pytest.raises(ConfigurationError, match="window: Field required"):
        Train(candidate="nb-svm")
    with pytest.raises(ConfigurationError, match="colour: Extra inputs"):
        Train(window="0-4", colour="red")


def test_an_option_of_the_settings_is_read_when_the_command_runs() -> None:
    """What the command line gives wins; the secret source is unwrapped."""
    settings = Settings(seed_batches=4, source="synthetic:rows=5")
    assert Split.from_command_line({"batches": None}, settings).batches == 4
    assert Split.from_command_line({"batches": 6}, settings).batches == 6
    assert Ingest.from_command_line({"source": None, "delivery": None}, settings).source == "synthetic:rows=5"


def test_details_are_stored_as_they_were_set_and_read_as_they_are_typed(store: FolderStorage) -> None:
    """A field that was not set is not in the manifest; details of another kind are an error that names the job."""

    def scored(context: JobContext) -> None:
        context.details = ScoreDetails(champion=3)

    manifest = substitute(Score(batch="batch_01"), scored).execute(store, Settings())
    assert manifest.details == {"champion": 3}
    assert ScoreDetails.of(manifest) == ScoreDetails(champion=3, not_scored="")
    with pytest.raises(IntegrityError, match="The manifest of score under scores/batch_01 does not hold TrainDetails"):
        TrainDetails.of(manifest)
