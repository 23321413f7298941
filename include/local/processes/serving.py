"""`make serve`: the API on what `make demo` left behind, its ledger in Postgres and its champion in a folder."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from hashlib import sha256
from pathlib import Path

from rich.markup import escape

from local.demo import alone, say, shown
from local.processes import postgres
from local.processes.children import Children, is_free, terminated_as_interrupted
from ratchet.errors import ConfigurationError
from ratchet.ledger.store import Ledger
from ratchet.serving.models.cache import ChampionCache
from ratchet.serving.models.promotion import latest
from ratchet.settings import Settings

NAME = "demo"
ASKED = '{"reviews": [{"text": "It broke after a week."}, {"title": "Excellent", "text": "I love it."}]}'


def serve(root: Path, port: int) -> int:
    """Answer until Ctrl-C or SIGTERM, with a key that is shown once. Returns the exit code of the API."""
    if not (root / "champion").is_dir():
        raise ConfigurationError(f"There is no champion under {shown(root)}. Run `make demo` first.")
    if not is_free(port):
        raise ConfigurationError(f"Port {port} is taken. Take another one: `make serve PORT={port + 1}`.")
    with alone(root), terminated_as_interrupted():
        try:
            return _serve(root, port)
        except KeyboardInterrupt:
            say("Stopped.")
            return 0


def _serve(root: Path, port: int) -> int:
    key = secrets.token_urlsafe(32)
    logs = root / "logs"
    with (
        Children(logs) as keeper,
        postgres.running(root / "postgres", keeper.adopt) as databases,
        Children(logs) as children,  # so that the API ends before its Postgres does
    ):
        environment = {
            **os.environ,
            "RATCHET_STORE": str(root / "serving"),
            "RATCHET_LEDGER": databases["ratchet"],
            "RATCHET_SERVING_CACHE": str(root / "serving" / "cache"),
            "RATCHET_SERVING_LOG_SPOOL": str(root / "serving" / "spool"),
            "RATCHET_SERVING_KEYS": f"{NAME}:predict+feedback+admin:{sha256(key.encode()).hexdigest()}",
        }
        _bring(root, Settings(ledger=databases["ratchet"]))
        command = [sys.executable, "-m", "ratchet", "serve", "--port", str(port)]
        child = children.start("serve", command, environment)
        children.wait_for("serve", f"http://127.0.0.1:{port}/ready")
        say(f"Serving the demo's champion until Ctrl-C. The key is shown here and nowhere else:\n\nKEY={key}\n")
        say(
            escape(
                'curl -s -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" '
                f"-d '{ASKED}' http://127.0.0.1:{port}/v1/predict\n"
            )
        )
        say(f"Also: /v1/model, /metrics, /openapi.json. Log: {shown(logs / 'serve.log')}")
        return child.wait()


def _bring(root: Path, settings: Settings) -> None:
    """Put the demo's champion into the API's cache: the MLflow that it would come from ended with the demo."""
    promotion = latest(Ledger(settings.ledger_url, settings.registered_model))
    if promotion is None:
        raise ConfigurationError(f"The ledger under {shown(root)} names no champion. Run `make demo` again.")
    cache = ChampionCache(root / "serving" / "cache", settings.registered_model)
    with cache.staging() as folder:
        shutil.copytree(root / "champion", folder, dirs_exist_ok=True)
        cache.record(promotion, cache.add(folder))
