"""The Airflow side: a DAG bundle whose versions are releases."""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion

from dag_bundle.errors import NoRelease, Shadowed
from dag_bundle.fetch import current, fetch
from dag_bundle.layout import DAGS, PLUGINS
from dag_bundle.object_store import Place, open_place


class RatchetDagBundle(BaseDagBundle):
    """The current release in a bucket or folder, or, with a `version`, that release for as long as a run needs it.

    Its path is the release's top folder, which Airflow appends to `sys.path` in each process that reads a DAG file of
    it: the DAG processor's children, task runners, callbacks. Nothing is put on the path of the DAG processor itself,
    which prepares callbacks of old releases beside the new one and would pass a mixture on to its children.

    :param releases: where `delivery release` puts them, for example `s3://ratchet/dags`
    """

    supports_versioning = True

    def __init__(self, *, releases: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.releases = releases
        self._release = self.version

    @cached_property
    def place(self) -> Place:
        return open_place(self.releases)

    def initialize(self) -> None:
        self._hold(self.version or current(self.place))
        super().initialize()

    def refresh(self) -> None:
        """Follow the pointer. If the new release cannot be had, the error says why, and the old one stays."""
        if self.version:
            raise NoRelease(f"This bundle is pinned to release {self.version:.12} and follows no pointer.")
        self._hold(current(self.place))

    def get_current_version(self) -> BundleVersion:
        return BundleVersion(self._release or current(self.place))

    @property
    def path(self) -> Path:
        """The release's folder; before one is fetched, which Airflow also asks, the folder of them all."""
        return self.versions_dir / (self._release or "")

    def _hold(self, sha: str) -> None:
        refuse_shadows(fetch(self.place, self.versions_dir, sha))
        self._release = sha


def refuse_shadows(release: Path) -> None:
    """Raise Shadowed if this process would import a package of the release from elsewhere."""
    for entry in release.iterdir():
        if entry.name in {DAGS, PLUGINS} or not (entry / "__init__.py").is_file():
            continue
        found = importlib.util.find_spec(entry.name)
        if found and found.origin and not Path(found.origin).resolve().is_relative_to(release.resolve()):
            raise Shadowed(
                f"{entry.name} would be imported from {found.origin}, and not from release {release.name:.12}. "
                "Take it off PYTHONPATH and out of the image: there, only `dag_bundle` is installed."
            )
