"""A benchmark's marked section of docs/benchmarks.md, and its goals as they are printed there."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
REPORT = DOCS / "benchmarks.md"


def goal(met: bool, words: str) -> str:
    return f"- {'met' if met else '**missed**'}: {words}"


def write(name: str, text: str) -> None:
    """Put the text between `<!-- name -->` and `<!-- /name -->`."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    section = f"{begin}\n{text}\n{end}"
    REPORT.write_text(re.sub(f"{begin}.*{end}", lambda _: section, REPORT.read_text(), flags=re.DOTALL))
