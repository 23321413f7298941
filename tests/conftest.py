"""Fixtures of all tests: an Airflow home of their own, and no setting of the machine that runs them."""

from __future__ import annotations

import os
import signal
import tempfile

_home = tempfile.TemporaryDirectory(prefix="ratchet-tests-airflow-")
_root = tempfile.TemporaryDirectory(prefix="ratchet-tests-")  # shared with no other session, which would set its mode

KEPT = "RATCHET_TEST_REVIEWS"  # where real reviews lie: see tests/harness/project.py
for name in [name for name in os.environ if name.startswith(("AIRFLOW", "RATCHET_", "MLFLOW_")) and name != KEPT]:
    del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": _home.name,
    "PYTEST_DEBUG_TEMPROOT": _root.name,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
# A shell without job control starts what runs in its background deaf to Ctrl-C, and all that this starts in turn.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
