"""Downloads datasets from Kaggle with its own client, which resumes broken downloads."""

from __future__ import annotations

import os
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import structlog

from ratchet.errors import ConfigurationError, ServiceUnavailable

log = structlog.get_logger()


def fetch(dataset: str, cache: Path) -> Path:
    """Download the dataset `owner/name` into the cache; returns the .zip that Kaggle makes of it.

    Raises ConfigurationError for a name of another form or without credentials, before any request, and
    ServiceUnavailable if Kaggle refuses or does not respond.
    """
    if not re.fullmatch(r"[\w-]+/[\w-]+", dataset):
        raise ConfigurationError(f"{dataset!r} is no Kaggle dataset. Write kaggle:owner/dataset.")
    if not _has_credentials():
        raise ConfigurationError(
            f"kaggle:{dataset} needs credentials. Create a token at https://www.kaggle.com/settings/api, then set "
            "KAGGLE_USERNAME and KAGGLE_KEY (or KAGGLE_API_TOKEN), or save it as ~/.kaggle/kaggle.json."
        )
    folder = cache / "kaggle" / dataset
    folder.mkdir(parents=True, exist_ok=True)
    log.info("downloading from Kaggle", dataset=dataset)
    with redirect_stdout(sys.stderr):  # the client prints; stdout is for our log
        from kaggle import api  # its import authenticates and creates ~/.config/kaggle
        from requests import RequestException

        try:
            api.authenticate()
            api.dataset_download_files(dataset, path=str(folder))
        except SystemExit as error:  # the client exits if it accepts none of the credentials
            raise ConfigurationError(
                f"Kaggle's client accepts no credentials for {dataset}. Make a new token."
            ) from error
        except (RequestException, ValueError) as error:
            raise ServiceUnavailable(
                f"Kaggle did not deliver {dataset}: {error}. Check its name and the token, and accept its terms; "
                "then run again: the download continues where it stopped."
            ) from error
    return folder / f"{dataset.rpartition('/')[2]}.zip"


def _has_credentials() -> bool:
    """Whether there are credentials in any variable or file that the client reads."""
    if os.environ.get("KAGGLE_API_TOKEN") or (os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY")):
        return True
    tokens = Path("~/.kaggle").expanduser()
    xdg = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    named = os.environ.get("KAGGLE_CONFIG_DIR")
    keys = [Path(named)] if named else [tokens, xdg / "kaggle"]
    files = [tokens / "access_token", tokens / "credentials.json", *(folder / "kaggle.json" for folder in keys)]
    return any(file.is_file() for file in files)
