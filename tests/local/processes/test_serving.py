"""`make serve`: the API serves the results of a demo, the printed curl command works, and no process is left."""

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

from harness.ledger import gate_record
from local.output_folder import locked_folder
from local.processes import postgres
from local.processes.children import free_port, is_free
from local.processes.serving import serve
from ratchet.errors import ConfigurationError
from ratchet.ledger.decision import Decision
from ratchet.ledger.store import Champion, Ledger
from ratchet.model.artifact import Card, Model

TERMS = (np.arange(2, dtype=np.uint32), np.ones(2, np.float32), np.ones(2, np.float32))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger and the champion of a demo, without its ten weeks."""
    root = tmp_path_factory.mktemp("served") / "demo"
    Model(Card(candidate="linear-svc", window="0-3", intercept=0.25), *TERMS).save(root / "champion")
    with postgres.running(root / "postgres") as databases:
        decision = Decision(
            subject="week 3",
            action="promote",
            version=7,
            previous=None,
            window="0-3",
            candidate="linear-svc",
            reasons=["it is the first"],
            gate=gate_record(7, "0" * 64),
        )
        Ledger(SecretStr(databases["ratchet"]), "review-sentiment").record(decision, Champion())
    return root


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
def test_the_printed_curl_command_works(demo: Path) -> None:
    """It runs with the printed key; Ctrl-C ends the API and Postgres, and a second start works as well."""
    for _ in range(2):
        port = free_port()
        command = [sys.executable, "-m", "local", "serve", "--output", str(demo), "--port", str(port)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert child.stdout is not None
        try:
            output = ""
            while "openapi" not in output:
                line = child.stdout.readline()
                assert line, f"the command ended with {child.wait()}: {output}"
                output += line
            (key,) = re.findall("^KEY=.+$", output, re.M)
            (curl,) = re.findall("^curl .+$", output, re.M)
            done = subprocess.run(f"{key}; {curl}", shell=True, capture_output=True, text=True, check=True)
            response = json.loads(done.stdout)
            assert (response["model_version"], len(response["predictions"])) == (7, 2)
            started = psutil.Process(child.pid).children(recursive=True)
            child.send_signal(signal.SIGINT)
            assert child.wait(30) == 0
        finally:
            child.kill()
            child.communicate()
        assert psutil.wait_procs(started, timeout=20)[1] == []
        assert is_free(port)


def test_without_a_demo_the_error_names_make_demo(tmp_path: Path) -> None:
    """No empty database is created."""
    with pytest.raises(ConfigurationError, match="make demo"):
        serve(tmp_path / "demo", free_port())
    assert list(tmp_path.iterdir()) == []


def test_a_running_demo_is_not_disturbed(demo: Path) -> None:
    """The demo is still using its Postgres."""
    with locked_folder(demo), pytest.raises(ConfigurationError, match="Another run"):
        serve(demo, free_port())
