"""A small store with everything a week needs, and the real CLI to run on it from inside a test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import structlog
from typer.testing import CliRunner

from ratchet.cli import connections
from ratchet.cli.app import app
from ratchet.jobs import keys, manifests
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.promote import PromoteDetails
from ratchet.jobs.storage import FolderStorage
from ratchet.ledger.decision import Decision, Evidence
from ratchet.ledger.store import Ledger
from ratchet.promotion.gate import EVIDENCE
from ratchet.promotion.registry import Registry
from ratchet.settings import Settings
from ratchet.windows import Window

BOTH = "linear-svc,logistic-regression"


@dataclass(frozen=True)
class Bench:
    """A folder store, with its ledger and MLflow in SQLite files beside the data."""

    store: Path

    def ratchet(self, *arguments: str) -> str:
        """Run one command of the CLI in this process, on this store, and return what it printed."""
        try:
            done = CliRunner().invoke(app, [*arguments, "--store", str(self.store)], catch_exceptions=False)
        finally:
            structlog.reset_defaults()
        assert done.exit_code == 0, done.output
        return done.output

    def prepare(self, source: str, batches: int) -> None:
        """Run every job up to the features of each batch."""
        self.ratchet("ingest", "--source", source)
        self.ratchet("preprocess")
        self.ratchet("split", "--batches", str(batches))
        for batch in [*map(keys.batch_name, range(batches)), keys.TEST]:
            self.ratchet("featurize", "--batch", batch)

    def week(self, window: str, *flags: str, candidates: str = "linear-svc") -> Decision:
        """Train, evaluate and promote one window."""
        for candidate in candidates.split(","):
            self.ratchet("train", "--window", window, "--candidate", candidate, *flags)
        return self.judge(window, *flags, candidates=candidates)

    def judge(self, window: str, *flags: str, candidates: str = "linear-svc") -> Decision:
        """Evaluate and promote what was trained on a window; returns the decision."""
        self.ratchet("evaluate", "--window", window, "--candidates", candidates, *flags)
        self.ratchet("promote", "--window", window, *flags)
        promoted = self.manifest(keys.decision(Window.parse(window)))
        return self.ledger.decision(PromoteDetails.of(promoted).decision)

    def evidence(self, window: str) -> Evidence:
        prefix = self.store / keys.evaluation(Window.parse(window))
        return Evidence.model_validate_json((prefix / EVIDENCE).read_text())

    def manifest(self, prefix: str) -> Manifest:
        return manifests.read(FolderStorage(self.store), prefix, "nothing")

    def rewrite(self, prefix: str, **changes: object) -> None:
        """Change fields of the manifest of a prefix."""
        path = self.store / keys.manifest(prefix)
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    @property
    def settings(self) -> Settings:
        return Settings(store=str(self.store))

    @property
    def ledger(self) -> Ledger:
        return connections.ledger(self.settings)

    @property
    def registry(self) -> Registry:
        return connections.registry(self.settings)

    @property
    def versions(self) -> list[int]:
        """All versions of the registered model, oldest first."""
        registry = self.registry
        return sorted(int(each.version) for each in registry.client.search_model_versions(f"name = '{registry.name}'"))
