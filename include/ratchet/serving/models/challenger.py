"""Who challenges: the version that MLflow's alias names, verified and warm, and never in the champion's way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from ratchet.errors import ArtifactError, RatchetError
from ratchet.ledger.store import Decision, Ledger, rejected_in, withdrawn_in
from ratchet.model.artifact import CARD, Model
from ratchet.serving.models.cache import APART, Files
from ratchet.serving.models.champion import RETRY_SECONDS, warm
from ratchet.serving.models.mlflow_source import ChallengerInfo, versions
from ratchet.serving.models.poller import following
from ratchet.serving.settings import ServingSettings

log = structlog.get_logger()


@dataclass(frozen=True)
class Challenger:
    """One challenger with all that an answer needs."""

    model: Model
    nominee: ChallengerInfo
    loaded_at: datetime


class Challengers:
    """Follows MLflow's alias, in a thread of its own, so that a slow download never delays a new champion.

    `current` is None whenever it is not certain that there is a sound challenger: then the champion answers everything.
    """

    def __init__(self, settings: ServingSettings) -> None:
        self.settings = settings
        self.files = Files(settings.serving_cache.expanduser() / APART)
        self.current: Challenger | None = None
        self.absence = "MLflow was not asked yet." if self.wanted else ""
        self.problem = ""
        self.checked_at: datetime | None = None
        self._ledger: Ledger | None = None
        self._refused: ChallengerInfo | None = None
        self._retry_at = 0.0

    @property
    def wanted(self) -> bool:
        """Whether a challenger takes part at all."""
        return self.settings.serving_challenger_share > 0 or self.settings.serving_shadow

    def following(self) -> AbstractContextManager[None]:
        """Look for the challenger now and then for as long as the block runs, if one is wanted."""
        if not self.wanted:
            return nullcontext()
        return following(self.refresh, self.settings.serving_poll_seconds, "follow-challenger")

    def refresh(self) -> None:
        """Look once. A challenger that is not sound is dropped; one that is stays if nobody can be asked."""
        try:
            problem = self._swap()
        except ArtifactError as error:
            problem, self.current, self.absence = str(error), None, "It is not sound; see the problem."
        except (RatchetError, SQLAlchemyError, ValidationError, OSError) as error:
            problem = str(error)
        if problem and problem != self.problem:
            log.error("challenger problem", problem=problem, current=self.current and self.current.nominee.version)
        self.problem, self.checked_at = problem, datetime.now(UTC)

    def _swap(self) -> str:
        """Take up the challenger, unless it is current already. Returns what is still wrong with it, or nothing."""
        self._ledger = self._ledger or Ledger(self.settings.ledger_url, self.settings.registered_model)
        champion, history = self._ledger.champion().version, self._ledger.history()
        if self.current and (absence := absent(self.current.nominee, champion, history)):
            self.current, self.absence = None, absence  # now, because MLflow may not answer
        nominee = versions(self.settings).nominee()
        absence = absent(nominee, champion, history)
        if nominee is None or absence:
            self.current, self.absence = None, absence
            self.files.forget_all_but(set())
            return ""
        if self.current and self.current.nominee == nominee:
            return ""
        if self._refused == nominee and time.monotonic() < self._retry_at:
            return self.problem
        try:
            _check_judged(nominee, history)
            self.absence, self.current = "", self._obtain(nominee)
        except ArtifactError:
            self._refused, self._retry_at = nominee, time.monotonic() + RETRY_SECONDS
            raise
        log.info("challenger takes part", version=nominee.version)
        self.files.forget_all_but({nominee.sha256[CARD]})
        return ""

    def _obtain(self, nominee: ChallengerInfo) -> Challenger:
        """The challenger from its cache, or else from MLflow. Raises ArtifactError."""
        try:
            return self._load(nominee)
        except ArtifactError as error:
            log.info("challenger not in the cache", because=str(error))
        with self.files.aside() as folder:
            versions(self.settings).fetch(nominee, folder)
            self.files.add(folder)
        return self._load(nominee)

    def _load(self, nominee: ChallengerInfo) -> Challenger:
        model = self.files.load(nominee.sha256[CARD])
        if model.card.window != nominee.window:
            raise ArtifactError(f"The files of version {nominee.version} are of another training.")
        warm(model, nominee.version)
        return Challenger(model, nominee, datetime.now(UTC))


def absent(nominee: ChallengerInfo | None, champion: int | None, history: Sequence[Decision]) -> str:
    """Why nobody challenges although all is well, or nothing. What was taken out of service does not come back here."""
    if nominee is None:
        return "Nobody is challenger yet; the next evaluation names one."
    version = nominee.version
    if version == champion:
        return f"Version {version} was the challenger and is the champion now; the next evaluation names another."
    if (withdrawn := withdrawn_in(history, version)) is not None:
        return f"Version {version} was withdrawn in decision {withdrawn}."
    if (rejected := rejected_in(history, version)) is not None:
        return f"Version {version} was rejected in decision {rejected}."
    return ""


def _check_judged(nominee: ChallengerInfo, history: Sequence[Decision]) -> None:
    """If the gate has judged this version, it has judged these bytes. Raises ArtifactError if it has not."""
    rows = [row.evidence.get("evidence", {}) for row in history if row.version == nominee.version]
    judged = [evidence["model_digest"] for evidence in rows if "model_digest" in evidence]
    if judged and judged[-1] != nominee.model_digest:
        raise ArtifactError(
            f"MLflow's version {nominee.version} of the challenger is not the model that was judged under this number. "
            "Was MLflow's database replaced? See `ratchet doctor`."
        )
