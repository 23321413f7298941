"""Datasets of Kaggle through its own client, which resumes downloads itself."""

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
    """The dataset `owner/name` as the .zip that Kaggle makes of it, in the cache.

    Raises ConfigurationError, before anything is sent, for another form or without credentials, and
    ServiceUnavailable if Kaggle refuses or does not answer.
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
    log.info("asking Kaggle", dataset=dataset)
    with redirect_stdout(sys.stderr):  # the client prints; stdout belongs to our log
        from kaggle import api  # authenticates, and makes ~/.config/kaggle, when imported
        from requests import RequestException

        try:
            api.authenticate()
            api.dataset_download_files(dataset, path=str(folder))
        except SystemExit as error:  # how the client says that it knows none of the credentials
            raise ConfigurationError(
                f"Kaggle's client accepts no credentials for {dataset}. Make a new token."
            ) from error
        except (RequestException, ValueError) as error:
            raise ServiceUnavailable(
                f"Kaggle did not give {dataset}: {error}. Check its name, the token, and that its terms are accepted; "
                "then run again: the download goes on where it stopped."
            ) from error
    return folder / f"{dataset.rpartition('/')[2]}.zip"


def _has_credentials() -> bool:
    """Whether any of the places is filled where the client looks."""
    if os.environ.get("KAGGLE_API_TOKEN") or (os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY")):
        return True
    tokens = Path("~/.kaggle").expanduser()
    xdg = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    named = os.environ.get("KAGGLE_CONFIG_DIR")
    keys = [Path(named)] if named else [tokens, xdg / "kaggle"]
    files = [tokens / "access_token", tokens / "credentials.json", *(folder / "kaggle.json" for folder in keys)]
    return any(file.is_file() for file in files)
