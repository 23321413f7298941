"""Write a benchmark's section of docs/benchmarks.md, with its goals."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
REPORT = DOCS / "benchmarks.md"


def goal(met: bool, text: str) -> str:
    """A line of the section: the goal, and whether it is met."""
    return f"- {'met' if met else '**missed**'}: {text}"


def write(name: str, text: str) -> None:
    """Replace the text between `<!-- name -->` and `<!-- /name -->`."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    section = f"{begin}\n{text}\n{end}"
    REPORT.write_text(re.sub(f"{begin}.*{end}", lambda _: section, REPORT.read_text(), flags=re.DOTALL))
