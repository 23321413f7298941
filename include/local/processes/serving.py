"""`make serve`: the API with the results of `make demo`: its ledger in Postgres and its champion in a folder."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from hashlib import sha256
from pathlib import Path

from rich.markup import escape

from local.demo import display_path, print_line
from local.environment import isolated_environment, replaced_environment
from local.output_folder import locked_folder
from local.processes import postgres
from local.processes.children import Children, is_free, sigterm_as_interrupt
from ratchet.errors import ConfigurationError
from ratchet.ledger.store import Ledger
from ratchet.serving.models.cache import ChampionCache
from ratchet.serving.models.promotion import latest
from ratchet.settings import Settings

KEY_NAME = "demo"
REQUEST = '{"reviews": [{"text": "It broke after a week."}, {"title": "Excellent", "text": "I love it."}]}'


def serve(root: Path, port: int) -> int:
    """Run the API until Ctrl-C or SIGTERM, with a new key that is printed once. Returns the exit code of the API.

    Raises ConfigurationError if there is no champion under `root`, if another run uses `root`, or if another program
    listens on `port`.
    """
    if not (root / "champion").is_dir():
        raise ConfigurationError(f"There is no champion under {display_path(root)}. Run `make demo` first.")
    if not is_free(port):
        raise ConfigurationError(f"Port {port} is in use. Choose another one: `make serve PORT={port + 1}`.")
    with locked_folder(root), sigterm_as_interrupt():
        try:
            return _serve(root, port)
        except KeyboardInterrupt:
            print_line("Stopped.")
            return 0


def _serve(root: Path, port: int) -> int:
    key = secrets.token_urlsafe(32)
    logs = root / "logs"
    with (
        replaced_environment(isolated_environment()),
        Children(logs) as database,
        postgres.running(root / "postgres", database.register) as databases,
        Children(logs) as api,  # a second group, so that the API ends before Postgres does
    ):
        environment = {
            **os.environ,
            "RATCHET_STORE": str(root / "serving"),
            "RATCHET_LEDGER": databases["ratchet"],
            "RATCHET_SERVING_CACHE": str(root / "serving" / "cache"),
            "RATCHET_SERVING_LOG_SPOOL": str(root / "serving" / "spool"),
            "RATCHET_SERVING_KEYS": f"{KEY_NAME}:predict+feedback+admin:{sha256(key.encode()).hexdigest()}",
        }
        _fill_cache(root, Settings(ledger=databases["ratchet"]))
        command = [sys.executable, "-m", "ratchet", "serve", "--port", str(port)]
        child = api.start("serve", command, environment)
        api.wait_for("serve", f"http://127.0.0.1:{port}/ready")
        print_line(f"Serving the demo's champion until Ctrl-C. The key is printed only here:\n\nKEY={key}\n")
        print_line(
            escape(
                'curl -s -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" '
                f"-d '{REQUEST}' http://127.0.0.1:{port}/v1/predict\n"
            )
        )
        print_line(f"Also: /v1/model, /metrics, /openapi.json. Log: {display_path(logs / 'serve.log')}")
        return child.wait()


def _fill_cache(root: Path, settings: Settings) -> None:
    """Put the demo's champion into the API's cache, because the demo's MLflow no longer runs."""
    promotion = latest(Ledger(settings.ledger_url, settings.registered_model))
    if promotion is None:
        raise ConfigurationError(f"The ledger under {display_path(root)} names no champion. Run `make demo` again.")
    cache = ChampionCache(root / "serving" / "cache", settings.registered_model)
    with cache.staging() as folder:
        shutil.copytree(root / "champion", folder, dirs_exist_ok=True)
        cache.record(promotion, cache.add(folder))
