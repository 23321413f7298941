"""The how-to pages work: their blocks, applied to a copy of the project, give what the pages promise."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.project import PROJECT
from ratchet.jobs import keys, manifests
from ratchet.jobs.catalogue import JOBS
from ratchet.jobs.storage import FolderStorage

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
COPIED = ("include/ratchet", "include/orchestration", "dags")

END = "-- end of a command --"
COMMANDS = f"""
import json, sys
from ratchet.cli.app import run_to_exit_code
for command in json.loads(sys.argv[1]):
    sys.argv = ["ratchet", *command]
    code = run_to_exit_code()
    assert code == 0, (command, code)
    print("{END}", flush=True)
"""
DAG = """
import sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1], collect_dags=True)
assert bag.import_errors == {}, bag.import_errors
task = bag.dags["review_sentiment"].task_dict["data_engineering.report_lengths"]
print(task.job, task.arguments["batch"], task.upstream_task_ids)
"""
ORDERS = """
from ratchet.dashboard.queries.costs import ORDER
from ratchet.jobs.catalogue import JOBS
assert ORDER == tuple(JOBS)
print(*JOBS)
"""


class Copy:
    """A copy of the project to which the blocks of a page have been applied, and an empty store."""

    def __init__(self, folder: Path, page: str) -> None:
        self.root, self.store = folder / "project", folder / "store"
        for part in COPIED:
            shutil.copytree(PROJECT / part, self.root / part)  # with the kernels that were compiled before
        self.commands: list[list[str]] = []
        for language, title, text in BLOCK.findall((PROJECT / "docs/how-to" / page).read_text()):
            if language == "console":
                self.commands += [shlex.split(line)[2:] for line in text.splitlines()]
            else:
                self.apply(language, self.root / title, text)

    def apply(self, language: str, path: Path, text: str) -> None:
        """Write a new file, or replace the one place in a file that a diff is about."""
        if language == "python":
            assert not path.exists(), f"{path} would be overwritten"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            return
        assert language == "diff", f"a block in {language}: the pages have python, diff and console"
        lines = text.splitlines()
        before = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
        after = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
        content = path.read_text()
        assert content.count(before) == 1, f"{path} does not have this once:\n{before}"
        path.write_text(content.replace(before, after))

    def python(self, *arguments: str) -> str:
        """Run Python on the copy; returns what it printed."""
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.root / "include"), str(PROJECT / "tests")]),
            "RATCHET_STORE": str(self.store),
            "COLUMNS": "200",
        }
        command = [sys.executable, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=self.root)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def ratchet(self, *commands: list[str]) -> list[str]:
        """Run commands in one process, because each start takes a second; returns what each of them printed."""
        return self.python("-c", COMMANDS, json.dumps(commands)).split(END)[:-1]


@pytest.fixture(scope="module")
def with_job(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy with the job of the page, after the page's commands."""
    copy = Copy(tmp_path_factory.mktemp("job"), "add-a-job.md")
    copy.ratchet(*copy.commands)
    return copy


def test_a_job_in_one_file_leaves_its_manifest(with_job: Copy) -> None:
    """The command found the class, and the manifest has the figures and the input."""
    manifest = manifests.read(FolderStorage(with_job.store), keys.report("report_lengths", "batch_00"), "nothing")
    assert (manifest.job, manifest.rows, set(manifest.inputs)) == ("report_lengths", {"reviews": 200}, {"batches/seed"})
    assert manifest.metrics["mean_characters"] > 10
    assert "result stands" in with_job.ratchet(with_job.commands[-1])[0]


def test_the_new_job_is_in_the_help_and_in_every_order(with_job: Copy) -> None:
    """The command has its options; catalogue and costs have the job in its place."""
    everything, own = with_job.ratchet(["--help"], ["report_lengths", "--help"])
    assert "report_lengths" in everything
    assert "--batch" in own
    expected = [*list(JOBS)[:3], "report_lengths", *list(JOBS)[3:]]
    assert with_job.python("-c", ORDERS).split() == expected


def test_the_new_line_makes_a_task_of_the_dag(with_job: Copy) -> None:
    """Airflow parses the file, and the task runs the job on the batch of the week."""
    printed = with_job.python("-c", DAG, str(with_job.root / "dags")).splitlines()[-1]
    assert printed == "report_lengths {{ ti.xcom_pull('plan_week')['batch'] }} {'data_engineering.split'}"


def test_a_new_check_is_in_the_decision_and_replays(tmp_path: Path) -> None:
    """The page's own test passes, and a real decision lists the check."""
    copy = Copy(tmp_path, "add-a-gate-check.md")
    copy.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/ratchet/promotion/test_weights.py")
    *_, explained, replayed = copy.ratchet(*copy.commands)
    for printed in (explained, replayed):
        assert re.search(r"pass weights of \d+\.\d MiB are within 256", printed), printed
