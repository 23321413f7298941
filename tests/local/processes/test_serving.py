"""`make serve`: what a demo left behind answers to the very curl that is shown, and nothing keeps running."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from pydantic import SecretStr

from local.demo import locked_folder
from local.processes import postgres
from local.processes.children import free_port, is_free
from local.processes.serving import serve
from ratchet.errors import ConfigurationError
from ratchet.ledger.store import Champion, Decision, Ledger
from ratchet.model.artifact import Card, Model

NOTHING = (np.arange(2, dtype=np.uint32), np.ones(2, np.float32), np.ones(2, np.float32))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger and the champion of a demo, without its ten weeks."""
    root = tmp_path_factory.mktemp("served") / "demo"
    Model(Card(candidate="linear-svc", window="0-3", intercept=0.25), *NOTHING).save(root / "champion")
    with postgres.running(root / "postgres") as databases:
        decision = Decision(
            subject="week 3",
            action="promote",
            version=7,
            previous=None,
            window="0-3",
            candidate="linear-svc",
            reasons=["it is the first"],
            evidence={"evidence": {"model_digest": "0" * 64}},
        )
        Ledger(SecretStr(databases["ratchet"]), "review-sentiment").record(decision, Champion())
    return root


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
def test_the_curl_that_is_shown_works(demo: Path) -> None:
    """Copied with the key from the terminal; then Ctrl-C ends the API and Postgres, and another start works as well."""
    for _ in range(2):
        port = free_port()
        command = [sys.executable, "-m", "local", "serve", "--output", str(demo), "--port", str(port)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            said = ""
            while "openapi" not in said:
                line = child.stdout.readline()
                assert line, f"it ended with {child.wait()}: {said}"
                said += line
            key = re.search("^KEY=.+$", said, re.M)[0]
            curl = re.search("^curl .+$", said, re.M)[0]
            done = subprocess.run(f"{key}; {curl}", shell=True, capture_output=True, text=True, check=True)
            answer = json.loads(done.stdout)
            assert (answer["model_version"], len(answer["predictions"])) == (7, 2)
            started = psutil.Process(child.pid).children(recursive=True)
            child.send_signal(signal.SIGINT)
            assert child.wait(30) == 0
        finally:
            child.kill()
            child.communicate()
        assert psutil.wait_procs(started, timeout=20)[1] == []
        assert is_free(port)


def test_without_a_demo_it_says_so(tmp_path: Path) -> None:
    """Rather than make an empty database."""
    with pytest.raises(ConfigurationError, match="make demo"):
        serve(tmp_path / "demo", free_port())
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_runs_is_left_alone(demo: Path) -> None:
    """Its Postgres is its own."""
    with locked_folder(demo), pytest.raises(ConfigurationError, match="Another run"):
        serve(demo, free_port())
