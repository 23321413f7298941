"""The page itself: the ledger's rows with their figures, in one file of HTML that fetches nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow.api_fastapi.app import API_ROOT_PATH
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from orchestration.links import version_page
from ratchet.ledger.store import Decision

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
"""Our own style and script, and nothing else, may work on the page; and only Airflow's UI may frame it."""


@dataclass(frozen=True)
class Row:
    """A decision with what its evidence says; None where it says nothing, as for a rollback by hand."""

    decision: Decision

    @property
    def measured(self) -> dict[str, Any]:
        return self.decision.evidence.get("evidence", {})

    @property
    def verdict(self) -> dict[str, Any]:
        return self.decision.evidence.get("verdict", {})

    @property
    def challenger_f1(self) -> float | None:
        return self.measured.get("metrics", {}).get("macro_f1")

    @property
    def champion_f1(self) -> float | None:
        return self.measured.get("champion_metrics", {}).get("macro_f1")

    @property
    def compared(self) -> bool:
        """Whether there was a champion to compare with."""
        return self.challenger_f1 is not None and self.champion_f1 is not None

    @property
    def checks(self) -> list[dict[str, Any]]:
        return self.verdict.get("checks", [])

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.decision.decided_at)


@dataclass(frozen=True)
class History:
    """All rows, newest first, and what they come to."""

    rows: list[Row]

    @property
    def champion(self) -> int | None:
        return self.rows[0].decision.champion if self.rows else None

    @cached_property
    def since(self) -> Row:
        """The decision that made the champion champion."""
        return next(row for row in self.rows if row.decision.action != "keep")

    @cached_property
    def origin(self) -> Row:
        """The promotion in which the champion was judged; a rollback goes back to an older one."""
        return next(
            (row for row in self.rows if row.decision.action == "promote" and row.decision.version == self.champion),
            self.since,
        )

    @property
    def held_off(self) -> int:
        """How many challengers the champion has outlasted."""
        return self.rows.index(self.since)

    def count(self, action: str) -> int:
        return sum(row.decision.action == action for row in self.rows)

    @cached_property
    def reach(self) -> float:
        """The largest difference that an interval touches: where the little plots end."""
        ends = [abs(end) for row in self.rows if row.compared for end in row.verdict["interval"]]
        return max(ends, default=0.0) or 1.0


def of(registered_model: str, decisions: list[Decision], dag: str) -> str:
    """The page about decisions, newest first. Everything in them is escaped."""
    return _environment(dag).get_template("page.html.j2").render(
        model=registered_model, history=History([Row(decision) for decision in decisions])
    )  # fmt: skip


def trouble(title: str, says: str, remedy: str) -> str:
    """A page instead of that page."""
    return _environment("").get_template("trouble.html.j2").render(title=title, says=says, remedy=remedy)


def _environment(dag: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"style": Markup(STYLE), "script": Markup(SCRIPT), "version_page": version_page}
    environment.globals |= {"dag": dag, "dag_page": f"{API_ROOT_PATH}dags/{dag}", "root": API_ROOT_PATH}
    environment.filters |= {"f1": f1, "signed": signed, "p": p_value, "typeset": typeset}
    environment.filters["quoted"] = lambda text: quote(text, safe="")
    return environment


def f1(score: float | None) -> str:
    return "–" if score is None else f"{score:.4f}"


def signed(difference: float) -> str:
    """+0.0123 or −0.0123, with a minus that is as wide as the plus."""
    return f"{difference:+.4f}".replace("-", "−")


def p_value(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"= {p:.2g}"


def typeset(words: str) -> str:
    """The same words, with minus signs for hyphens and no line that ends in `p =`."""
    return re.sub(r"(?<![0-9])-(?=\d)", "−", words).replace(" = ", "\u00a0=\u00a0")
