"""Derives from all decisions on one registered model the champion, its predecessors and the dates of changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from itertools import takewhile
from typing import Literal, overload

from ratchet.ledger.decision import Decision
from ratchet.windows import Window


class DecisionHistory(Sequence[Decision]):
    """The decisions on one registered model, oldest first. A slice of it is a plain list."""

    def __init__(self, decisions: Iterable[Decision] = ()) -> None:
        self._decisions = list(decisions)

    @overload
    def __getitem__(self, index: int) -> Decision: ...
    @overload
    def __getitem__(self, index: slice) -> list[Decision]: ...
    def __getitem__(self, index: int | slice) -> Decision | list[Decision]:
        return self._decisions[index]

    def __len__(self) -> int:
        return len(self._decisions)

    def __iter__(self) -> Iterator[Decision]:
        return iter(self._decisions)

    def __eq__(self, other: object) -> bool:
        """Equal to any history or list of the same decisions."""
        if isinstance(other, DecisionHistory | list):
            return self._decisions == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # compared by value, like the list that it stands for

    def __repr__(self) -> str:
        return f"DecisionHistory({self._decisions!r})"

    @cached_property
    def _changes(self) -> list[Decision]:
        """Promotions and rollbacks: the decisions that changed the champion."""
        return [decision for decision in self if decision.action != "keep"]

    @property
    def champion(self) -> int | None:
        """The version that serves; None before the first promotion."""
        return self._changes[-1].version if self._changes else None

    @property
    def champion_decision(self) -> Decision | None:
        """The promotion or rollback that made the champion champion; None before the first promotion."""
        return self._changes[-1] if self._changes else None

    def champion_decision_at(self, moment: datetime) -> Decision | None:
        """The promotion or rollback in force at a moment (with a time zone); None before the first promotion."""
        found = [row for row in self._changes if datetime.fromisoformat(row.decided_at) <= moment]
        return found[-1] if found else None

    def since(self, moment: datetime) -> DecisionHistory:
        """The decisions at or after a moment (with a time zone)."""
        return DecisionHistory(row for row in self if datetime.fromisoformat(row.decided_at) >= moment)

    @property
    def judged_by(self) -> Decision | None:
        """The promotion in which the gate judged the champion; after a rollback it is older than `champion_decision`.

        None before the first promotion.
        """
        found = [row for row in self._changes if row.version == self.champion and row.action == "promote"]
        return found[-1] if found else None

    @property
    def previous_champion(self) -> int | None:
        """The version that served before the last change; None if there was none."""
        return self._changes[-2].version if len(self._changes) > 1 else None

    @property
    def champion_candidate(self) -> str:
        """The candidate that the champion was trained as; empty before the first promotion."""
        found = [row.candidate for row in self if self.champion is not None and row.version == self.champion]
        return next(filter(None, reversed(found)), "")

    @property
    def kept_since(self) -> int:
        """The number of challengers that were kept back since the champion became champion."""
        return len(list(takewhile(lambda decision: decision.action == "keep", reversed(self)))) if self._changes else 0

    @cached_property
    def promoted(self) -> dict[int, int | None]:
        """Every version that was ever promoted, with the champion that it replaced."""
        found = [decision for decision in self if decision.action == "promote"]
        return {decision.version: decision.previous for decision in found if decision.version is not None}

    def predecessor(self, version: int | None) -> int | None:
        """The champion that a version replaced when it was promoted; None if it replaced none or was not promoted."""
        return self.promoted.get(version) if version is not None else None

    @cached_property
    def last_by_window(self) -> dict[str, Decision]:
        """The last decision on each window, shortest window first."""
        found = {decision.window: decision for decision in self if decision.window}
        return dict(sorted(found.items(), key=lambda item: Window.parse(item[0])))

    @property
    def windows(self) -> list[str]:
        """The windows that were decided on, shortest first."""
        return list(self.last_by_window)

    @property
    def next_week(self) -> int:
        """The number of the week after the last one that was decided on; a rollback decides on no week."""
        return max((Window.parse(window).end for window in self.windows), default=-1) + 1

    def before(self, window: str) -> DecisionHistory:
        """The decisions before the first one on a window."""
        return DecisionHistory(takewhile(lambda decision: decision.window != window, self))

    def number_of(self, action: Literal["promote", "keep", "rollback"]) -> int:
        """The number of decisions with this action."""
        return sum(decision.action == action for decision in self)

    def withdrawn_in(self, version: int | None) -> int | None:
        """The id of the rollback that moved away from a version, unless a later one went back to it."""
        found = None
        for decision in self:
            if decision.action == "rollback" and version in (decision.version, decision.previous):
                found = decision.id if version == decision.previous else None
        return found

    def rejected_in(self, version: int | None) -> int | None:
        """The id of the decision in which a person rejected a version, unless it was approved later."""
        found = None
        for decision in self:
            if version is not None and decision.version == version and decision.approval:
                found = decision.id if decision.approval.response == "reject" else None
        return found

    def judged_digest(self, version: int) -> str | None:
        """The digest of the model that the gate last judged under a version; None if it judged none."""
        found = [row.evidence.model_digest for row in self if row.version == version and row.evidence]
        return found[-1] if found else None
