"""The import graph of packages: which package imports which, and on which floor each one stands.

A package here is a package of `ratchet`, a loose module of it, or `orchestration`, `dag_bundle`, `local` as a whole.
The floor of a package is 1 if it imports no other, and else one above the highest that it imports. Imports for type
checkers only do not count. `PYTHONPATH=include python tests/architecture/packages.py` prints the table of
docs/architecture.md.
"""

from __future__ import annotations

from functools import cache
from graphlib import TopologicalSorter

import grimp

ROOTS = ("ratchet", "orchestration", "dag_bundle", "local")


def package_of(module: str) -> str:
    """`ratchet.serving.api.routes` -> `ratchet.serving`, `local.report.table` -> `local`."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "ratchet" else parts[0]


@cache
def imports() -> dict[str, frozenset[str]]:
    """The packages that each package imports, itself left out."""
    graph = grimp.build_graph(*ROOTS, exclude_type_checking_imports=True, cache_dir=None)
    found: dict[str, set[str]] = {}
    for module in graph.modules - {"ratchet"}:
        package = package_of(module)
        imported = {package_of(each) for each in graph.find_modules_directly_imported_by(module) if each != "ratchet"}
        found.setdefault(package, set()).update(imported - {package})
    return {package: frozenset(imported) for package, imported in found.items()}


def floors() -> dict[str, int]:
    """The floor of each package, from 1. Raises graphlib.CycleError, with their names, if imports go in a circle."""
    found: dict[str, int] = {}
    for package in TopologicalSorter(imports()).static_order():
        found[package] = 1 + max((found[each] for each in imports()[package]), default=0)
    return found


def table() -> str:
    """The floors from the top, as a Markdown table."""
    by_floor: dict[int, list[str]] = {}
    for package, floor in floors().items():
        by_floor.setdefault(floor, []).append(package)
    rows = [f"| {floor} | {', '.join(f'`{name}`' for name in sorted(names))} |" for floor, names in by_floor.items()]
    return "\n".join(["| floor | packages |", "|---|---|", *sorted(rows, key=lambda row: -int(row.split()[1]))])


if __name__ == "__main__":
    print(table())
