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


class Upstream(Job):
    """A job without inputs."""

    kind: str = "a"

    @property
    def prefix(self) -> str:
        return "upstream"

    @property
    def parameters(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def run(self, context: JobContext) -> None:
        write(context, self.kind)


class Downstream(Job):
    """A job that reads the output of the other one."""

    @property
    def prefix(self) -> str:
        return "downstream"

    def run(self, context: JobContext) -> None:
        context.read("upstream", "ratchet upstream")
        write(context, f"downstream of {context.storage.read('upstream/it').decode()}")


class Runner:
    """Executes the two jobs and counts how often each was run instead of found."""

    def __init__(self, store: FolderStorage) -> None:
        self.store, self.done = store, {"upstream": 0, "downstream": 0}

    def upstream(self, kind: str = "a", **options: object) -> Manifest:
        return self._run(Upstream(kind=kind), **options)

    def downstream(self, **options: object) -> Manifest:
        return self._run(Downstream(), **options)

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
def runner(store: FolderStorage) -> Runner:
    return Runner(store)


def test_a_job_leaves_a_manifest_of_what_it_did(runner: Runner) -> None:
    """Inputs and outputs by digest, time, memory and the DAG run stand in it, and it is read back equal."""
    upstream = runner.upstream()
    downstream = runner.downstream()
    assert downstream.inputs == {"upstream": upstream.digest}
    assert downstream.output("it").sha256 == sha256_of(runner.store.root / "downstream/it")
    assert downstream.output("it").size == len("downstream of a")
    assert downstream.dag_run == "a run"
    assert downstream.peak_memory_mib > 1
    assert manifests.read(runner.store, "downstream", "ratchet downstream") == downstream


def test_a_result_that_stands_is_not_made_again(runner: Runner) -> None:
    """The second run returns the manifest of the first and does no work."""
    first = runner.upstream(), runner.downstream()
    assert (runner.upstream(), runner.downstream()) == first
    assert runner.done == {"upstream": 1, "downstream": 1}


def test_other_parameters_are_another_result(runner: Runner) -> None:
    """A job with a changed parameter runs."""
    runner.upstream("a")
    assert runner.upstream("b").parameters == {"kind": "b"}
    assert runner.done["upstream"] == 2


def test_a_changed_input_makes_the_job_run_again(runner: Runner) -> None:
    """A job runs again if the bytes of its input changed, but not if the same bytes were made again."""
    runner.upstream("a")
    runner.downstream()
    runner.upstream("a", force=True)
    runner.downstream()
    assert runner.done == {"upstream": 2, "downstream": 1}
    runner.upstream("b")
    runner.downstream()
    assert runner.store.read("downstream/it") == b"downstream of b"
    assert runner.done["downstream"] == 2


def test_a_missing_input_is_an_error_that_names_its_command(runner: Runner) -> None:
    """Without the manifest of its input a result does not stand, and the error names the command to run."""
    runner.upstream()
    runner.downstream()
    (runner.store.root / keys.manifest("upstream")).unlink()
    with pytest.raises(MissingInput, match="Run `ratchet upstream` first"):
        runner.downstream()


def test_force_by_hand_always_runs(runner: Runner) -> None:
    """Without a launch token, every forced run is a run."""
    for _ in range(3):
        runner.upstream(force=True)
    assert runner.done["upstream"] == 3


def test_force_runs_once_in_a_launch(runner: Runner) -> None:
    """A forced job that is tried again within its launch finds its own result; another launch runs it again."""
    runner.upstream()
    for launch in ("monday", "monday", "tuesday", "tuesday"):
        runner.upstream(force=True, launch=launch)
    assert runner.done["upstream"] == 3
    runner.upstream(launch="wednesday")
    assert runner.done["upstream"] == 3


def test_a_job_that_fails_leaves_no_manifest(runner: Runner, store: FolderStorage) -> None:
    """Outputs that it published before the failure do not count; the next run replaces them."""

    def fail(context: JobContext) -> None:
        write(context, "half")
        raise RuntimeError("no space left")

    job = substitute(Upstream(), fail)
    with pytest.raises(RuntimeError, match="no space left"):
        job.execute(store, Settings())
    assert job.result(store) is None
    runner.upstream()
    assert store.read("upstream/it") == b"a"


def test_a_forced_run_that_fails_leaves_the_old_result_standing(runner: Runner, store: FolderStorage) -> None:
    """Nothing was published before the failure, so the earlier manifest is still correct."""
    before = runner.upstream()

    def fail(context: JobContext) -> None:
        raise RuntimeError("no space left")

    job = substitute(Upstream(), fail)
    with pytest.raises(RuntimeError):
        job.execute(store, Settings(), force=True)
    assert job.result(store) == before


def test_a_forced_run_that_fails_after_it_published_leaves_no_manifest(runner: Runner, store: FolderStorage) -> None:
    """The old manifest is deleted before the first output is published, because it describes replaced bytes."""
    runner.upstream()

    def fail(context: JobContext) -> None:
        write(context, "half")
        raise RuntimeError("no space left")

    job = substitute(Upstream(), fail)
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

    substitute(Upstream(), keep).execute(store, Settings())
    with pytest.raises(RuntimeError):
        substitute(Downstream(), keep).execute(store, Settings())
    assert not any(folder.exists() for folder in folders)


def test_the_digest_is_of_the_result_alone(runner: Runner) -> None:
    """Time, memory, launch and place do not enter it; job, parameters and outputs do."""
    manifest = runner.upstream()
    same = {"seconds": 9.0, "launch": "x", "finished_at": "later", "prefix": "elsewhere", "code_version": "abc"}
    assert manifest.model_copy(update=same).digest == manifest.digest
    for change in ({"job": "downstream"}, {"parameters": {"kind": "b"}}, {"outputs": {}}):
        assert manifest.model_copy(update=change).digest != manifest.digest


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"job": "upstream"}'])
def test_an_altered_manifest_is_an_error_with_a_remedy(runner: Runner, text: str) -> None:
    """Bytes that are no manifest count neither as a result nor as a missing one."""
    runner.upstream()
    runner.store.write(keys.manifest("upstream"), text.encode())
    with pytest.raises(IntegrityError, match="Delete it and run its job again"):
        runner.upstream()


def test_an_output_that_is_not_there_is_named(runner: Runner) -> None:
    """The error for an output that a manifest does not have names job, prefix and output."""
    with pytest.raises(IntegrityError, match="upstream under upstream names no output 'missing'"):
        runner.upstream().output("missing")


def test_importing_an_implementation_is_no_part_of_a_jobs_seconds(store: FolderStorage, tmp_path: Path) -> None:
    """The time of an import depends on the machine's file cache; what a job took must be comparable."""

    def slow(context: JobContext) -> None:
        context.import_seconds += 0.5
        write(context, "a")

    assert substitute(Upstream(), slow).execute(store, Settings()).seconds < 0


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
    """An option of the command line has precedence; the secret source is unwrapped."""
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
