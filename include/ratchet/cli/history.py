"""See what happened and why: `history`, `explain`, `replay`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ratchet.cli import connections
from ratchet.errors import LedgerError
from ratchet.jobs import keys, manifests
from ratchet.jobs.storage import Storage, open_storage
from ratchet.ledger.store import Decision
from ratchet.settings import Settings
from ratchet.windows import Window

if TYPE_CHECKING:
    from ratchet.promotion.gate import Check, Verdict

console = Console()
panel = {"rich_help_panel": "Champion"}
Store = Annotated[str | None, typer.Option(help="A folder or s3://bucket/prefix.")]


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    @app.command(**panel)
    def history(store: Store = None) -> None:
        """Who was champion when, and every decision with its reasons."""
        console.print(_told(connections.ledger(settings_for(store)).history()))

    @app.command(**panel)
    def explain(version: Annotated[int, typer.Argument(help="A model version.")], store: Store = None) -> None:
        """Why a version was promoted or kept back, on what data, and by which DAG run."""
        settings = settings_for(store)
        rows = [row for row in connections.ledger(settings).history() if version in (row.version, _left(row))]
        if not rows:
            raise LedgerError(f"No decision names version {version}. `ratchet history` lists all of them.")
        storage = open_storage(settings.store)
        for row in rows:
            console.print(_explained(row, storage))

    @app.command(**panel)
    def replay(decision: Annotated[int, typer.Argument(help="A decision's id.")], store: Store = None) -> None:
        """Compute a verdict again from its stored evidence and compare it with what was recorded."""
        _replay(connections.ledger(settings_for(store)).decision(decision))


def _told(rows: list[Decision]) -> Table:
    """The ledger as a table that fits 80 columns: the reasons take what the short columns leave."""
    table = Table(title="Decisions", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("id", "when (UTC)", "window", "decision", "champion"):
        table.add_column(name, no_wrap=True)
    table.add_column("because", ratio=1)
    for row in rows:
        colour = "green" if row.action == "promote" else "yellow"
        who = "" if row.decided_by == "the gate" or row.answer else f" ({row.decided_by})"  # reasons name who answered
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
    verdict, follows = replayed(recorded)
    for check in verdict.checks:
        console.print(f"{mark(check)} {escape(check.says)}")
    word = "promote" if verdict.promote else "keep"
    console.print(f"The evidence says {word}; the ledger says {recorded.action}.")
    if not follows:
        raise LedgerError(
            f"Decision {recorded.id} does not follow from its evidence. Was the ledger or the gate changed?"
        )


def _answered(row: Decision) -> str:
    if row.answer is None:
        return "nobody was asked"
    return f"{row.answer.words}, {row.answer.at[:19] or row.decided_at[:19]} UTC"


def _left(row: Decision) -> int | None:
    """The version that a rollback moved away from."""
    return row.previous if row.action == "rollback" else None


def _explained(row: Decision, storage: Storage) -> Table:
    found = row.evidence.get("evidence", {})
    facts = {
        "decision": f"{row.action} version {text(row.version)}, {row.decided_at[:19]} UTC, by {row.decided_by}",
        "answer": _answered(row),
        "window": row.window or "-",
        "candidate": row.candidate or "-",
        "champion": f"before: {text(row.previous)}, after: {text(row.champion)}",
        "DAG run": row.dag_run or "by hand",
        "code version": row.code_version or "-",
        "test macro-F1": f"{found['metrics']['macro_f1']:.4f}" if found.get("metrics") else "-",
        "test set": found.get("test_digest", "-")[:16],
        "model": found.get("model_digest", "-")[:16],
    }
    table = Table("", "", title=f"Decision {row.id}", show_header=False)
    for name, fact in facts.items():
        table.add_row(name, escape(fact))
    _add(table, "trained on", _trained_on(row, storage) if row.evidence else [])
    _add(table, "because", [escape(reason) for reason in row.reasons])
    _add(table, "checks", [f"{mark(check)} {escape(check.says)}" for check in _checks(row)])
    return table


def _add(table: Table, name: str, lines: list[str]) -> None:
    for number, line in enumerate(lines):
        table.add_row("" if number else name, line)


def _checks(row: Decision) -> list[Check]:
    """The gate's checks as they were recorded; none for a decision by hand."""
    from ratchet.promotion.gate import Check

    return [Check(**check) for check in row.evidence.get("verdict", {"checks": []})["checks"]]


def _trained_on(row: Decision, storage: Storage) -> list[str]:
    """The batches of the version's training with their digests and rows, as far as the store still has them."""
    trained = manifests.find(storage, keys.model(Window.parse(row.window), row.candidate))
    if trained is None or trained.digest != row.evidence["evidence"]["model_digest"]:
        return ["the store no longer has this training"]
    lines = []
    for prefix, digest in trained.inputs.items():
        made = manifests.find(storage, prefix)
        known = made is not None and made.digest == digest
        rows = f"{sum(made.rows.values()):,} reviews" if known else "the store no longer has these bytes"
        lines.append(f"{prefix.rpartition('/')[2]} {digest[:16]}, {rows}")
    return [*lines, ", ".join(f"{part}: {count:,}" for part, count in trained.rows.items())]


def text(version: int | None) -> str:
    return "-" if version is None else str(version)


def mark(check: Check) -> str:
    return "[green]pass[/]" if check.passed else "[red]FAIL[/]"


def replayed(row: Decision) -> tuple[Verdict, bool]:
    """The verdict computed again; imported late, because most commands need no SciPy."""
    from ratchet.promotion.promote import replay

    return replay(row)
