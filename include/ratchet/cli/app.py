"""`ratchet <job>`: one command per job, and the commands that people use to see and to steer."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, NoReturn

import structlog
import typer

from ratchet.cli import commands
from ratchet.errors import ConfigurationError, RatchetError
from ratchet.jobs import catalogue, engines
from ratchet.jobs.base import Job, JobContext
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import open_storage
from ratchet.logs import configure
from ratchet.settings import Settings

log = structlog.get_logger()
app = typer.Typer(
    help="Weekly model retraining that only moves forward.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
jobs_panel = {"rich_help_panel": "Jobs, in their order"}

Store = Annotated[str | None, typer.Option(help="A folder or s3://bucket/prefix. Default: RATCHET_STORE, or ./data.")]
Force = Annotated[bool, typer.Option("--force", help="Run even if the result stands.")]
Delivery = Annotated[str, typer.Option(help="`seed`, or `batch_10` and so on for a batch that arrived alone.")]
Batch = Annotated[str, typer.Option(help="`batch_00` and so on, or `test`.")]
Engine = Annotated[str, typer.Option(help="Who does it, to the same bytes: `local`, or `spark`; see docs/spark.md.")]
WindowOption = Annotated[str, typer.Option("--window", help="The window of batches, for example 0-4.")]


def settings_for(store: str | None) -> Settings:
    """The settings of the environment, with the store that the command line names."""
    found = Settings()
    return found.model_copy(update={"store": store}) if store else found


def run(job: Job, make, settings: Settings, *, force: bool = False) -> Manifest:
    """Run one job against the store of the settings, its logs marked with its name; a failure is an event of them."""
    configure(job=job.name, dag_run=settings.dag_run)
    try:
        return job.run(make, open_storage(settings.store), settings, force=force)
    except RatchetError as error:
        log.error("job failed", kind=type(error).__name__, exit_code=error.exit_code, message=str(error))
        raise


@app.command(**jobs_panel)
def ingest(
    source: Annotated[
        str | None, typer.Option(help="Where reviews come from; docs/sources.md lists all forms.")
    ] = None,
    delivery: Delivery = "seed",
    store: Store = None,
    force: Force = False,
) -> None:
    """Bring the source's files into the store, as they came, verified."""
    from ratchet.sources.ingest import ingest as make

    settings = settings_for(store)
    origin = source or settings.source.get_secret_value()
    if origin.startswith("postgresql"):  # refused here, because a job tells its parameters to log and manifest
        raise ConfigurationError("A SQL table is extracted by Airflow's Postgres hook: run it through the DAG.")
    run(
        catalogue.ingest(origin, delivery),
        lambda context: make(context, origin, delivery, settings.cache.expanduser()),
        settings,
        force=force,
    )


@app.command(**jobs_panel)
def preprocess(
    delivery: Delivery = "seed", engine: Engine = "local", store: Store = None, force: Force = False
) -> None:
    """Read reviews, refuse what is broken into the quarantine, and drop duplicates."""
    make = engines.job("preprocess", engine)
    run(catalogue.preprocess(delivery), lambda context: make(context, delivery), settings_for(store), force=force)


@app.command(**jobs_panel)
def split(
    delivery: Delivery = "seed",
    batches: Annotated[int | None, typer.Option(help="How many weekly batches the seed makes.")] = None,
    engine: Engine = "local",
    store: Store = None,
    force: Force = False,
) -> None:
    """Cut the seed into equal weekly batches and a frozen test set; a later delivery is one batch."""
    make = engines.job("split", engine)
    settings = settings_for(store)
    job = catalogue.split(delivery, str(batches or settings.seed_batches))
    run(job, lambda context: make(context, delivery, job.parameters["batches"]), settings, force=force)


@app.command(**jobs_panel)
def featurize(batch: Batch, store: Store = None, force: Force = False) -> None:
    """Count the n-grams of one batch, once, for every later window."""
    from ratchet.features.featurize import featurize as make

    run(catalogue.featurize(batch), lambda context: make(context, batch), settings_for(store), force=force)


@app.command(**jobs_panel)
def score(batch: Batch, store: Store = None, force: Force = False) -> None:
    """Score the champion on a batch before anything trains on it."""
    from ratchet.promotion.evaluate import score as make

    settings = settings_for(store)

    def scored(context: JobContext) -> None:
        make(context, batch, commands.registry(settings), commands.ledger(settings))

    run(catalogue.score(batch), scored, settings, force=force)


@app.command(**jobs_panel)
def train(
    window: WindowOption,
    candidate: Annotated[str, typer.Option(help="logistic-regression, linear-svc or nb-svm.")] = "linear-svc",
    store: Store = None,
    force: Force = False,
) -> None:
    """Fit one candidate on batches 0..k and log it to MLflow."""
    from ratchet.training.tracking import train_and_log

    settings = settings_for(store)
    job = catalogue.train(window, candidate)
    run(job, lambda context: train_and_log(context, job, commands.registry(settings), settings), settings, force=force)


@app.command(**jobs_panel)
def evaluate(
    window: WindowOption,
    candidates: Annotated[
        str, typer.Option(help="Which trained candidates compete, separated by commas.")
    ] = "linear-svc",
    store: Store = None,
    force: Force = False,
) -> None:
    """Register the better candidate as challenger and measure it beside the champion."""
    from ratchet.promotion.evaluate import evaluate as make
    from ratchet.windows import Window

    settings = settings_for(store)

    def evaluated(context: JobContext) -> None:
        names = [name.strip() for name in candidates.split(",")]
        make(context, Window.parse(window), names, commands.registry(settings), commands.ledger(settings))

    run(catalogue.evaluate(window, candidates), evaluated, settings, force=force)


@app.command(**jobs_panel)
def promote(
    window: WindowOption,
    response: Annotated[str, typer.Option(help="A person's response: approve or reject. Empty: none requested.")] = "",
    by: Annotated[str, typer.Option(help="Name of that person, for the ledger.")] = "",
    at: Annotated[str, typer.Option(help="Time of the response, ISO 8601; tells two of one person apart.")] = "",
    store: Store = None,
    force: Force = False,
) -> None:
    """Promote the challenger, or keep the champion, by the evidence and the approval; the ledger records both."""
    from ratchet.ledger.approval import approval_from
    from ratchet.promotion.promote import promote as make
    from ratchet.windows import Window

    settings = settings_for(store)

    approval = approval_from(response, by, at)

    def promoted(context: JobContext) -> None:
        make(context, Window.parse(window), commands.registry(settings), commands.ledger(settings), settings, approval)

    run(catalogue.promote(window, response, by, at), promoted, settings, force=force)


commands.add_to(app, settings_for)


def terminated(number: int, frame: object) -> NoReturn:
    """Stop on SIGTERM as ECS expects: temporary files go, the exit code is 143."""
    sys.exit(128 + number)


def run_to_exit_code() -> int:
    """Run the command line; errors meant for people are printed without a traceback."""
    try:
        app()
    except RatchetError as error:
        print(f"ratchet: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def main() -> NoReturn:
    """The entry point. Taking down the modules of MLflow and scikit-learn costs 0.5 s a job, so it is left out."""
    signal.signal(signal.SIGTERM, terminated)
    configure()
    code = run_to_exit_code()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
