"""The page as HTML: the ledger's decisions with their scores, in one file that loads nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from airflow.api_fastapi.app import API_ROOT_PATH
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestration.links import version_page
from ratchet.ledger.decision import Check, Decision, Verdict
from ratchet.ledger.history import DecisionHistory

HERE = Path(__file__).parent
STYLE, SCRIPT = ((HERE / name).read_text() for name in ("page.css", "page.js"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


POLICY = "; ".join(
    [
        "default-src 'none'",
        f"style-src {_hash(STYLE)}",
        f"script-src {_hash(SCRIPT)}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    ]
)
"""The page may use only its own style and script, and only Airflow's UI may frame it."""


@dataclass(frozen=True)
class Row:
    """A decision with the scores of its evidence; they are None for a rollback."""

    decision: Decision

    @property
    def verdict(self) -> Verdict | None:
        """The gate's verdict; None for a rollback."""
        return self.decision.verdict

    @property
    def challenger_f1(self) -> float | None:
        """Macro-F1 of the challenger on the test set; None if it was not measured."""
        evidence = self.decision.evidence
        return evidence.metrics.get("macro_f1") if evidence else None

    @property
    def champion_f1(self) -> float | None:
        """Macro-F1 of the champion before the decision; None if there was none."""
        evidence = self.decision.evidence
        return evidence.champion_metrics.get("macro_f1") if evidence else None

    @property
    def compared(self) -> bool:
        """Whether challenger and champion were both measured."""
        return self.challenger_f1 is not None and self.champion_f1 is not None

    @property
    def checks(self) -> list[Check]:
        """The checks of the gate; empty for a rollback."""
        return self.verdict.checks if self.verdict else []

    @property
    def moment(self) -> datetime:
        """Time of the decision, UTC."""
        return datetime.fromisoformat(self.decision.decided_at)


@dataclass(frozen=True)
class View:
    """All decisions as rows, newest first, and the champion by them."""

    history: DecisionHistory

    @cached_property
    def rows(self) -> list[Row]:
        """One row per decision, newest first."""
        return [Row(decision) for decision in reversed(self.history)]

    @property
    def since(self) -> Row | None:
        """The decision that made the champion champion; None before the first promotion."""
        made = self.history.champion_decision
        return Row(made) if made else None

    @property
    def judged(self) -> Row | None:
        """The promotion in which the champion was judged; older than `since` after a rollback."""
        judged = self.history.judged_by
        return Row(judged) if judged else self.since

    @cached_property
    def largest_difference(self) -> float:
        """The largest absolute limit of all intervals of the difference: the end of the axis of the small plots."""
        limits = [abs(limit) for row in self.rows if row.compared and row.verdict for limit in row.verdict.interval]
        return max(limits, default=0.0) or 1.0


def render(registered_model: str, history: DecisionHistory, dag: str) -> str:
    """The page as HTML. All text of the decisions is escaped."""
    view = View(history)
    return _environment(dag).get_template("page.html.j2").render(model=registered_model, view=view, history=history)


def render_error(title: str, message: str, remedy: str) -> str:
    """The page that shows an error, as HTML."""
    return _environment("").get_template("error.html.j2").render(title=title, message=message, remedy=remedy)


def _environment(dag: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"style": STYLE, "script": SCRIPT, "version_page": version_page}
    environment.globals |= {"dag": dag, "dag_page": f"{API_ROOT_PATH}dags/{dag}", "root": API_ROOT_PATH}
    environment.filters |= {"f1": f1, "signed": signed, "p": p_value, "typeset": typeset}
    environment.filters["quoted"] = lambda text: quote(text, safe="")
    return environment


def f1(score: float | None) -> str:
    """A score with four digits; a dash for none."""
    return "–" if score is None else f"{score:.4f}"


def signed(difference: float) -> str:
    """+0.0123 or −0.0123, with a minus sign as wide as the plus sign."""
    return f"{difference:+.4f}".replace("-", "−")


def p_value(p: float) -> str:
    """A p-value with its relation: `= 0.021` or `< 0.0001`."""
    return "< 0.0001" if p < 0.0001 else f"= {p:.2g}"


def typeset(words: str) -> str:
    """The same text, with minus signs before digits and no line break around ` = `."""
    return re.sub(r"(?<![0-9])-(?=\d)", "−", words).replace(" = ", "\u00a0=\u00a0")
