"""The system on this machine: `rehearse`, `dag-test`, `serve-demo` start what they need and leave nothing running."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ratchet.settings import Settings

panel = {"rich_help_panel": "On this machine"}
Reviews = Annotated[str, typer.Option(help="Where reviews come from; docs/sources.md lists all forms.")]


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    @app.command(**panel)
    def rehearse(
        weeks: Annotated[int, typer.Option(min=1, max=52, help="How many logical weeks to run.")] = 10,
        reviews: Reviews = "synthetic:",
        output: Annotated[Path, typer.Option(help="Where everything is written; emptied first.")] = Path("var/demo"),
    ) -> None:
        """Run the DAG for consecutive weeks on local stand-ins for AWS, and report."""
        from local.demo import rehearse as run

        raise typer.Exit(run(weeks, reviews, output.resolve()))

    @app.command("serve-demo", **panel)
    def serve_demo(
        port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8000,
        output: Annotated[Path, typer.Option(help="What a rehearsal wrote.")] = Path("var/demo"),
    ) -> None:
        """Answer with the champion of a rehearsal over HTTP, with a key made on the fly."""
        from local.processes.serving import serve as run

        raise typer.Exit(run(output.resolve(), port))

    @app.command("dag-test", **panel)
    def dag_test(
        date: Annotated[str, typer.Option(help="The logical date, for example 2026-01-05.")] = "2026-01-05",
        reviews: Reviews = "synthetic:",
        output: Annotated[Path, typer.Option(help="Where everything is written; emptied first.")] = Path(
            "var/dag-test"
        ),
    ) -> None:
        """Run `airflow dags test review_sentiment DATE` against the embedded services."""
        from local.demo import dag_test as run

        raise typer.Exit(run(date, reviews, output.resolve()))
