"""Starts or finds a Spark session, names what is missing for one, and raises the errors of tasks as Ratchet's own."""

from __future__ import annotations

import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ratchet import errors
from ratchet.errors import ConfigurationError
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.storage import Storage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

OLD_PANDAS = "PySpark does not yet fully support pandas"
"""A warning that does not apply: rows pass as Arrow, and no pandas function of Spark is used."""

SINGLE_MACHINE = {
    "spark.master": "local[*]",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.executorEnv.PYTHONWARNINGS": f"ignore:{OLD_PANDAS}:FutureWarning",
}
"""Configuration without a cluster: all cores of this machine, and no port that others can reach."""

RAISED = re.compile(r"ratchet\.errors\.(?P<kind>\w+): (?P<message>.+)")


@contextmanager
def session(name: str) -> Iterator[SparkSession]:
    """The session of the cluster that the job was submitted to, or else a new one on this machine, stopped at the end.

    Raises ConfigurationError without PySpark or Java. An error of Ratchet that a task raised is raised here.
    """
    require_spark()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=OLD_PANDAS, category=FutureWarning)
        from py4j.protocol import Py4JError, Py4JJavaError
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession

        running = SparkSession.getActiveSession()
        builder = SparkSession.builder.appName(f"ratchet {name}")
        if not running and not submitted():
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
            builder = builder.config(map=SINGLE_MACHINE)
        spark = builder.getOrCreate()
        spark.sparkContext.setLogLevel("ERROR")
        try:
            yield spark
        except (PySparkException, Py4JJavaError) as error:
            raised = RAISED.search(str(error))
            kind = getattr(errors, raised["kind"], None) if raised else None
            if raised and kind:
                raise kind(raised["message"]) from error
            raise
        finally:
            if not running:
                # After SIGTERM the connection to Java may be closed; then Java ends with this process.
                with suppress(Py4JError, OSError):
                    spark.stop()


def submitted() -> bool:
    """Whether `spark-submit`, or a service that works like it, has started the JVM and knows the cluster."""
    return not {"PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS"}.isdisjoint(os.environ)


def require_spark() -> None:
    """Raises ConfigurationError, with what to install, if PySpark or Java is missing."""
    if not find_spec("pyspark"):
        raise ConfigurationError("--engine spark needs PySpark, which is not installed: pip install 'ratchet[spark]'.")
    java = shutil.which("java", path=home_path(os.environ.get("JAVA_HOME")))
    if not java and not submitted():
        raise ConfigurationError(
            "--engine spark needs Java 17 or 21, and there is no `java` in JAVA_HOME or on the PATH. "
            "Install a JRE, or point JAVA_HOME at one."
        )


def home_path(home: str | None) -> str | None:
    """The search path for `java`, as Spark's: JAVA_HOME if it is set, or else the PATH (None)."""
    return str(Path(home) / "bin") if home else None


def spread(
    spark: SparkSession, items: Sequence[Any], make: Callable[[Any], Iterable[pa.RecordBatch]], schema: pa.Schema
) -> DataFrame:
    """A DataFrame (columns of `schema`) with the rows that `make` returns for each item; each item is one task."""
    from pyspark.sql.pandas.types import from_arrow_schema

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch["number"].to_pylist():
                yield from make(items[number])

    numbers = spark.range(0, len(items), 1, max(1, len(items))).withColumnRenamed("id", "number")
    return numbers.mapInArrow(run, from_arrow_schema(schema))


@contextmanager
def scratch(context: JobContext) -> Iterator[None]:
    """A prefix of the store for files that tasks exchange, empty before and after."""
    delete_scratch(context.storage, context.prefix)
    try:
        yield
    finally:
        delete_scratch(context.storage, context.prefix)


def delete_scratch(storage: Storage, prefix: str) -> None:
    """Delete the files that the tasks of a job under `prefix` exchanged."""
    for key in storage.list(keys.scratch(prefix)):
        storage.delete(key)
