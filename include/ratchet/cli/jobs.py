"""One command per job, made from the fields of its class."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import structlog
import typer
from pydantic.fields import FieldInfo

from ratchet.cli import panels
from ratchet.errors import RatchetError
from ratchet.jobs.base import Job
from ratchet.jobs.catalogue import JOBS
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import open_storage
from ratchet.logs import configure
from ratchet.settings import Settings

log = structlog.get_logger()

Force = Annotated[bool, typer.Option("--force", help="Run the job even if its result stands.")]
PLAIN = (bool, int, float)
"""Types that the command line reads by itself; any other field is text that the job's class reads."""


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    """Add the command of every job, in their order."""
    for job in JOBS.values():
        app.command(job.name, help=inspect.cleandoc(job.__doc__ or ""), rich_help_panel=panels.JOBS)(
            command(job, settings_for)
        )


def command(job: type[Job], settings_for: Callable[[str | None], Settings]) -> Callable[..., None]:
    """The function of a job's command; its signature defines the options for Typer."""

    def body(*, store: str | None, force: bool, **options: Any) -> None:
        settings = settings_for(store)
        run(job.from_command_line(options, settings), settings, force=force)

    parameters = [
        *(option(name, each, optional=bool(job.from_setting(name))) for name, each in job.model_fields.items()),
        inspect.Parameter("store", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=panels.Store),
        inspect.Parameter("force", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Force),
    ]
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # a function takes any attribute
    body.__annotations__ = {each.name: each.annotation for each in parameters}
    return body


def option(name: str, field: FieldInfo, *, optional: bool) -> inspect.Parameter:
    """One option; `optional` is for one whose default is a setting, which is read when the command runs."""
    kind: Any = field.annotation if field.annotation in PLAIN else str
    kind = kind | None if optional else kind
    default = None if optional else inspect.Parameter.empty if field.is_required() else field.default
    declared = typer.Option(f"--{name.replace('_', '-')}", help=field.description)
    annotation = Annotated[kind, declared]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def run(job: Job, settings: Settings, *, force: bool = False) -> Manifest:
    """Run a job on the store of the settings, with its name in every log line; a failure becomes a log event."""
    configure(job=job.name, dag_run=settings.dag_run)
    try:
        return job.execute(open_storage(settings.store), settings, force=force)
    except RatchetError as error:
        log.error(  # noqa: TRY400 - a RatchetError is for people: without a traceback
            "job failed", kind=type(error).__name__, exit_code=error.exit_code, message=str(error)
        )
        raise
