"""A job runs when its result does not stand, once when it is forced, and its manifest comes last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ratchet.errors import ConfigurationError, IntegrityError, MissingInput
from ratchet.jobs import catalogue, keys, manifests
from ratchet.jobs.base import Job, JobContext
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import FolderStorage, sha256_of
from ratchet.settings import Settings


@pytest.fixture
def store(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "store")


class Kitchen:
    """Runs two jobs, `flour` and `bread`, which is made of it, and counts how often each was really done."""

    def __init__(self, store: FolderStorage) -> None:
        self.store, self.done = store, {"flour": 0, "bread": 0}

    def flour(self, kind: str = "rye", **options: object) -> Manifest:
        return self._run(Job("flour", "flour", {"kind": kind}), lambda context: write(context, kind), **options)

    def bread(self, **options: object) -> Manifest:
        def bake(context: JobContext) -> None:
            context.read("flour", "ratchet flour")
            write(context, f"bread of {self.store.read('flour/it').decode()}")

        return self._run(Job("bread", "bread", {}), bake, **options)

    def _run(self, job: Job, make: Callable[[JobContext], None], *, force: bool = False, launch: str = "") -> Manifest:
        def counted(context: JobContext) -> None:
            self.done[job.name] += 1
            make(context)

        return job.run(counted, self.store, Settings(launch=launch, dag_run="a run"), force=force)


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

    job = Job("flour", "flour", {"kind": "rye"})
    with pytest.raises(RuntimeError, match="the oven is out"):
        job.run(fail, store, Settings())
    assert job.result(store) is None
    kitchen.flour()
    assert store.read("flour/it") == b"rye"


def test_a_forced_run_that_fails_leaves_the_old_result_standing(kitchen: Kitchen, store: FolderStorage) -> None:
    """Nothing was published before the failure, so the manifest of before is still true."""
    before = kitchen.flour()

    def fail(context: JobContext) -> None:
        raise RuntimeError("the oven is out")

    job = Job("flour", "flour", {"kind": "rye"})
    with pytest.raises(RuntimeError):
        job.run(fail, store, Settings(), force=True)
    assert job.result(store) == before


def test_a_forced_run_that_fails_after_it_published_leaves_no_manifest(kitchen: Kitchen, store: FolderStorage) -> None:
    """The old manifest would speak of bytes that are no longer there, so it went before the first of them."""
    kitchen.flour()

    def fail(context: JobContext) -> None:
        write(context, "half")
        raise RuntimeError("the oven is out")

    job = Job("flour", "flour", {"kind": "rye"})
    with pytest.raises(RuntimeError):
        job.run(fail, store, Settings(), force=True)
    assert job.result(store) is None


def test_the_work_folder_is_gone_afterwards(store: FolderStorage) -> None:
    """A job cleans up after itself, whether it succeeds or fails."""
    folders = []

    def keep(context: JobContext) -> None:
        folders.append(context.folder)
        if len(folders) > 1:
            raise RuntimeError

    Job("a", "a", {}).run(keep, store, Settings())
    with pytest.raises(RuntimeError):
        Job("b", "b", {}).run(keep, store, Settings())
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


def test_every_job_of_the_catalogue_has_a_room_of_its_own() -> None:
    """Two jobs never share a manifest, and one job's prefixes differ by what it is about."""
    jobs = [
        catalogue.ingest("synthetic:"), catalogue.preprocess(), catalogue.split(), catalogue.featurize("batch_00"),
        catalogue.featurize("test"), catalogue.score("batch_00"), catalogue.train("0-0", "linear-svc"),
        catalogue.train("0-0", "logistic-regression"), catalogue.train("0-1", "linear-svc"),
        catalogue.evaluate("0-1", "linear-svc"), catalogue.promote("0-1"), catalogue.ingest("x", "batch_10"),
    ]  # fmt: skip
    assert len({job.prefix for job in jobs}) == len(jobs)
    assert {job.name for job in jobs} == set(catalogue.JOBS)


def test_an_unknown_candidate_is_refused_with_the_choice() -> None:
    """The error lists the candidates there are."""
    with pytest.raises(ConfigurationError, match="linear-svc"):
        catalogue.train("0-1", "oracle")
