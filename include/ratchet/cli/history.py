"""Commands that show what happened and why: `history`, `explain`, `replay`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ratchet.cli import connections, panels
from ratchet.errors import LedgerError
from ratchet.jobs import keys, manifests
from ratchet.jobs.storage import Storage, open_storage
from ratchet.ledger.decision import Check, Decision
from ratchet.ledger.history import DecisionHistory
from ratchet.settings import Settings
from ratchet.windows import Window

console = Console()
panel: dict[str, Any] = {"rich_help_panel": panels.CHAMPION}
FORM = "as 2026-03-04 or 2026-03-04T10:00Z"
"""How a moment is written on the command line."""


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    """Add these commands to the CLI. `settings_for` gives the settings for the option --store."""

    @app.command(**panel)
    def history(
        at: Annotated[datetime | None, typer.Option(parser=moment, help=f"Who was champion then, {FORM}.")] = None,
        since: Annotated[
            datetime | None, typer.Option(parser=moment, help=f"Only decisions since then, {FORM}.")
        ] = None,
        limit: Annotated[int, typer.Option(min=0, help="The number of newest decisions to list; 0: all of them.")] = 20,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per decision.")] = False,
        store: panels.Store = None,
    ) -> None:
        """List decisions with their reasons, and the champion after each; or with --at, who was champion at a time."""
        history = connections.ledger(settings_for(store)).history()
        if at is not None:
            _print_champion_at(history, at, as_json=as_json)
            return
        found = list(history.since(since) if since else history)
        shown = found[-limit:] if limit else found
        if as_json:
            for row in shown:
                typer.echo(row.model_dump_json())
            return
        console.print(_history_table(shown) if shown else "No decision yet." if since is None else "No decision since.")
        if len(shown) < len(found):
            console.print(f"The newest {len(shown)} of {len(found)} decisions. `--limit 0` lists all of them.")

    @app.command(**panel)
    def explain(
        version: Annotated[int, typer.Argument(help="A model version.")],
        verbose: Annotated[bool, typer.Option("--verbose", help="Every check and every batch.")] = False,
        store: panels.Store = None,
    ) -> None:
        """Show why a version was promoted or kept back, on which data, and by which DAG run."""
        settings = settings_for(store)
        rows = [row for row in connections.ledger(settings).history() if version in (row.version, _withdrawn(row))]
        if not rows:
            raise LedgerError(f"No decision names version {version}. `ratchet history` lists all of them.")
        storage = open_storage(settings.store)
        for row in rows:
            console.print(_explanation(row, storage, verbose=verbose))

    @app.command(**panel)
    def replay(decision: Annotated[int, typer.Argument(help="A decision's id.")], store: panels.Store = None) -> None:
        """Compute a verdict again from its stored evidence and compare it with the recorded decision."""
        _replay(connections.ledger(settings_for(store)).decision(decision))


def moment(text: str) -> datetime:
    """A moment that a caller wrote, in UTC if it has no time zone. Raises typer.BadParameter for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date or time. Write 2026-03-04 or 2026-03-04T10:00Z.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _print_champion_at(history: DecisionHistory, at: datetime, *, as_json: bool) -> None:
    """Print which version was champion, and the decision that had made it champion. Raises LedgerError if none was."""
    row = history.champion_decision_at(at)
    when = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if row is None:
        raise LedgerError(f"No version was champion yet at {when}. `ratchet history --limit 0` lists all decisions.")
    if as_json:
        typer.echo(row.model_dump_json())
        return
    made = "promoted" if row.action == "promote" else "made champion again"
    console.print(
        f"Version {row.version} was champion at {when}: {made} in decision {row.id} by {row.decided_by} at "
        f"{row.decided_at[:19].replace('T', ' ')} UTC.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _history_table(rows: Iterable[Decision]) -> Table:
    """The ledger as a table that fits 80 columns: the reasons take the width that the short columns leave."""
    table = Table(title="Decisions", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("id", "when (UTC)", "window", "decision", "champion"):
        table.add_column(name, no_wrap=True)
    table.add_column("because", ratio=1)
    for row in rows:
        colour = "green" if row.action == "promote" else "yellow"
        who = "" if row.decided_by == "the gate" or row.approval else f" ({row.decided_by})"  # reasons name approvers
        table.add_row(
            str(row.id),
            row.decided_at[:16].replace("T", " "),
            row.window,
            f"[{colour}]{row.action} {text(row.version)}",
            text(row.champion),
            escape("; ".join(row.reasons) + who),
        )
    return table


def _replay(recorded: Decision) -> None:
    from ratchet.promotion.promote import replay  # imports NumPy, which most commands do not need

    verdict, follows = replay(recorded)
    for check in verdict.checks:
        console.print(f"{mark(check)} {escape(check.message)}")
    word = "promote" if verdict.promote else "keep"
    console.print(f"Verdict from the evidence: {word}. Recorded decision: {recorded.action}.")
    if not follows:
        raise LedgerError(
            f"Decision {recorded.id} does not follow from its evidence. Was the ledger or the gate changed?"
        )


def _approval(row: Decision) -> str:
    if row.approval is None:
        return "none requested"
    return f"{row.approval.summary}, {row.approval.at[:19] or row.decided_at[:19]} UTC"


def _withdrawn(row: Decision) -> int | None:
    """The version that a rollback moved away from."""
    return row.previous if row.action == "rollback" else None


def _explanation(row: Decision, storage: Storage, *, verbose: bool) -> Table:
    evidence = row.evidence
    facts = {
        "decision": f"{row.action} version {text(row.version)}, {row.decided_at[:19]} UTC, by {row.decided_by}",
        "approval": _approval(row),
        "window": row.window or "-",
        "candidate": row.candidate or "-",
        "champion": f"before: {text(row.previous)}, after: {text(row.champion)}",
        "DAG run": row.dag_run or "by hand",
        "code version": row.code_version or "-",
        "test macro-F1": f"{evidence.metrics['macro_f1']:.4f}" if evidence and evidence.metrics else "-",
        "test set": evidence.test_digest[:16] if evidence else "-",
        "model": evidence.model_digest[:16] if evidence else "-",
    }
    table = Table("", "", title=f"Decision {row.id}", show_header=False)
    for name, fact in facts.items():
        table.add_row(name, escape(fact))
    trained_on = _trained_on(row, evidence.model_digest, storage) if evidence else []
    _add(table, "trained on", trained_on if verbose else _first_and_last(trained_on))
    _add(table, "because", [escape(reason) for reason in row.reasons])
    checks = row.verdict.checks if row.verdict else []
    shown = [check for check in checks if verbose or not check.passed]
    _add(table, "checks", [f"{mark(check)} {escape(check.message)}" for check in shown])
    if len(shown) < len(checks):
        _add(table, "" if shown else "checks", [f"{len(checks) - len(shown)} passed; --verbose lists them"])
    return table


def _first_and_last(lines: list[str]) -> list[str]:
    """At most three lines: those between the first and the last are counted."""
    left_out = len(lines) - 2
    return lines if left_out < 2 else [lines[0], f"and {left_out} more; --verbose lists them", lines[-1]]


def _add(table: Table, name: str, lines: list[str]) -> None:
    for number, line in enumerate(lines):
        table.add_row("" if number else name, line)


def _trained_on(row: Decision, model_digest: str, storage: Storage) -> list[str]:
    """The batches of the version's training with their digests and rows, as far as the store still has them."""
    trained = manifests.find(storage, keys.model(Window.parse(row.window), row.candidate))
    if trained is None or trained.digest != model_digest:
        return ["the store no longer has this training"]
    lines = []
    for prefix, digest in trained.inputs.items():
        made = manifests.find(storage, prefix)
        unchanged = made is not None and made.digest == digest
        rows = f"{sum(made.rows.values()):,} reviews" if made and unchanged else "the store no longer has these bytes"
        lines.append(f"{prefix.rpartition('/')[2]} {digest[:16]}, {rows}")
    return [*lines, ", ".join(f"{part}: {count:,}" for part, count in trained.rows.items())]


def text(version: int | None) -> str:
    """A version as the tables show it; `-` for none."""
    return "-" if version is None else str(version)


def mark(check: Check) -> str:
    """Whether a check passed, as coloured markup."""
    return "[green]pass[/]" if check.passed else "[red]FAIL[/]"
