"""Commands that show what happened and why: `history`, `explain`, `replay`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
from ratchet.settings import Settings
from ratchet.windows import Window

console = Console()
panel: dict[str, Any] = {"rich_help_panel": panels.CHAMPION}


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    """Add these commands to the CLI. `settings_for` gives the settings for the option --store."""

    @app.command(**panel)
    def history(store: panels.Store = None) -> None:
        """List every decision with its reasons, and the champion after it."""
        console.print(_history_table(connections.ledger(settings_for(store)).history()))

    @app.command(**panel)
    def explain(version: Annotated[int, typer.Argument(help="A model version.")], store: panels.Store = None) -> None:
        """Show why a version was promoted or kept back, on which data, and by which DAG run."""
        settings = settings_for(store)
        rows = [row for row in connections.ledger(settings).history() if version in (row.version, _withdrawn(row))]
        if not rows:
            raise LedgerError(f"No decision names version {version}. `ratchet history` lists all of them.")
        storage = open_storage(settings.store)
        for row in rows:
            console.print(_explanation(row, storage))

    @app.command(**panel)
    def replay(decision: Annotated[int, typer.Argument(help="A decision's id.")], store: panels.Store = None) -> None:
        """Compute a verdict again from its stored evidence and compare it with the recorded decision."""
        _replay(connections.ledger(settings_for(store)).decision(decision))


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


def _explanation(row: Decision, storage: Storage) -> Table:
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
    _add(table, "trained on", _trained_on(row, evidence.model_digest, storage) if evidence else [])
    _add(table, "because", [escape(reason) for reason in row.reasons])
    checks = row.verdict.checks if row.verdict else []
    _add(table, "checks", [f"{mark(check)} {escape(check.message)}" for check in checks])
    return table


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
